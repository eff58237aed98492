"""Read and write chosen_points.json: the operating points that users saved beside a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from fracture_core.bundle.validation import MOST_SMALL, BundleError, parse_json, read_file
from fracture_core.errors import FractureCoreError
from fracture_core.files import exclusive_lock, write_text
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.paths import writable_bundle_folder

_FILE = "chosen_points.json"


def read_points(bundle: Path, name: str) -> list[OperatingPoint]:
    """Return the points that were saved with a bundle, oldest first.

    Args:
        bundle: The bundle's folder.
        name: Its name, for the message.

    Returns:
        The points.

    Raises:
        BundleError: The file is damaged.
    """
    try:
        entries = parse_json(read_file(writable_bundle_folder(bundle), _FILE, most=MOST_SMALL))
        return [OperatingPoint.from_dict(entry) for entry in entries]
    except (ValueError, TypeError, FractureCoreError) as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return []
        raise BundleError(f"The saved operating points of {name} cannot be read; delete {_FILE}.") from error


def change_points(bundle: Path, name: str, change: Callable[[list[OperatingPoint]], list[OperatingPoint]]) -> None:
    """Replace the saved points by what `change` makes of them, in one atomic step.

    Args:
        bundle: The bundle's folder.
        name: Its name, for messages.
        change: Gets the saved points, oldest first, and returns those to keep; what it raises changes nothing.

    Raises:
        BundleError: There would be too many points, or the folder cannot be written.
    """
    folder = writable_bundle_folder(bundle)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(folder):
            text = json.dumps([p.to_dict() for p in change(read_points(bundle, name))], indent=1) + "\n"
            if len(text) > MOST_SMALL:
                raise BundleError(f"Too many points were saved beside {name}; no more fit.")
            write_text(folder / _FILE, text)
    except OSError as error:
        raise BundleError(f"The point cannot be saved beside {name} ({error.strerror}).") from error
