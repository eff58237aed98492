"""Save a bundle's site calibrations beside it, and read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fracture_core.bundle.saved_points import save_pair
from fracture_core.bundle.validation import BundleError
from fracture_core.evaluation.site_calibration import SiteCalibration
from fracture_core.files import exclusive_lock, write_text
from fracture_core.paths import writable_bundle_folder

if TYPE_CHECKING:
    from fracture_core.bundle.bundle import Bundle

FILE = "site_calibrations.json"


def save_site_calibration(bundle: Bundle, calibration: SiteCalibration) -> None:
    """Save a calibration with the bundle, and its two points among the operating points that the app offers.

    The same one again under the same name changes nothing.

    Args:
        bundle: The bundle.
        calibration: The calibration.

    Raises:
        BundleError: The name is taken or invalid, or the bundle's folder cannot be written.
    """
    note = f"{calibration.films['all']} films, list {calibration.digest[:12]}"
    save_pair(bundle, *calibration.points, calibration.name, note)
    folder = writable_bundle_folder(bundle.folder)
    try:
        with exclusive_lock(folder):
            entries, entry = load_site_calibrations(bundle), calibration.to_json()
            if json.dumps(entry) not in map(json.dumps, entries):
                write_text(folder / FILE, json.dumps([*entries, entry], indent=1) + "\n")
    except OSError as error:
        raise BundleError(f"The calibration cannot be saved beside {bundle.name} ({error.strerror}).") from error


def load_site_calibrations(bundle: Bundle) -> list[dict[str, Any]]:
    """Return the saved calibrations of a bundle as plain data, oldest first.

    Args:
        bundle: The bundle.

    Returns:
        The calibrations; empty if there are none.

    Raises:
        BundleError: The file is damaged.
    """
    try:
        entries = json.loads((writable_bundle_folder(bundle.folder) / FILE).read_text("utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise BundleError(f"The site calibrations of {bundle.name} cannot be read; delete {FILE}.") from error
    return entries if isinstance(entries, list) else []
