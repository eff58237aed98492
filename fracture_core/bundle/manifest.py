"""The manifest, bundle.json: write and verify the hashes of a bundle's files, and install the bundle under models/."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fracture_core.bundle.validation import MOST_SMALL, BundleError, hashes_of, parse_json, read_file
from fracture_core.files import exclusive_lock, swap_paths, write_text
from fracture_core.paths import models_folder

FORMAT = 1
_MAKING = ".making-"
_STALE_S = 24 * 3600.0  # packaging takes minutes, and gives its folder a new entry every few of them
#: The one that comes with the project, and is used until another is promoted.
FILES = (
    "network.json",
    "weights.safetensors",
    "recipe.json",
    "predictions.csv",
    "operating_points.json",
    "features.safetensors",
    "history.csv",
    "card.md",
)
LONGEST_NAME = 100  # characters
#: What can name a bundle.
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}")


def check_name(name: str) -> str:
    """Check that a name can be a folder of its own among the bundles.

    Args:
        name: The name.

    Returns:
        The name.

    Raises:
        BundleError: It cannot.
    """
    if not NAME.fullmatch(name) or ".." in name:
        raise BundleError(f"{name[:100]!r} cannot name a bundle; use letters, digits, dots and hyphens.")
    return name


def verify(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Check that every file is present with the hash that the manifest states.

    Args:
        folder: The bundle's folder.
        manifest: The content of bundle.json.

    Raises:
        BundleError: One is not.
    """
    for file in FILES:
        # A file that the manifest leaves out has no hash that could fit.
        read_file(folder, file, sha256=manifest["files"].get(file, ""))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read bundle.json.

    Args:
        folder: The bundle's folder.

    Returns:
        Its content.

    Raises:
        BundleError: It is missing, invalid, or has another format.
    """
    try:
        manifest = parse_json(read_file(folder, "bundle.json", most=MOST_SMALL))
        version, files, temperature = manifest["format"], hashes_of(manifest), float(manifest["temperature"])
        created, provenance = manifest["created"], manifest.get("provenance", {})
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise BundleError(f"The bundle {folder.name!r} is damaged: bundle.json cannot be read.") from error
    if version != FORMAT:
        raise BundleError(
            f"The bundle {folder.name!r} has format {str(version)[:20]}; this version of the program reads format "
            f"{FORMAT}."
        )
    sensible = isinstance(created, str) and len(created) <= 64 and isinstance(provenance, Mapping)
    if not (0.01 <= temperature <= 100) or not sensible:
        raise BundleError(f"The bundle {folder.name!r} is damaged: its temperature or date is invalid.")
    return manifest | {"files": files}


def write_manifest(folder: Path, *, temperature: float, created: str, provenance: Mapping[str, Any]) -> None:
    """Write bundle.json for a folder that contains every other file; until then the folder is not a bundle.

    Args:
        folder: The bundle's folder.
        temperature: The calibration temperature.
        created: ISO 8601 time.
        provenance: How it was made, as plain data.
    """
    hashes = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in FILES}
    manifest = {
        "format": FORMAT,
        "created": created,
        "temperature": temperature,
        "provenance": dict(provenance),
        "files": hashes,
    }
    write_text(folder / "bundle.json", json.dumps(manifest, indent=1) + "\n")


@contextmanager
def new_folder(root: Path) -> Iterator[Path]:
    """Make a hidden folder for a bundle to be written into; those that killed processes left are removed first.

    Args:
        root: The folder of the bundles; created if necessary.

    Yields:
        The folder, which is removed in the end unless it was installed.

    Raises:
        OSError: It cannot be made.
    """
    root.mkdir(parents=True, exist_ok=True)
    for left in root.glob(f"{_MAKING}*"):
        with suppress(OSError):  # removed by another process
            # Not the time of its last entry's change, which a copy takes over from what was copied.
            if time.time() - left.stat().st_ctime > _STALE_S:
                shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=_MAKING, dir=root))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def install(folder: Path, name: str, root: Path | None = None) -> Path:
    """Move a finished folder to root/name; an earlier bundle of that name is kept as name.1, name.2 and so on.

    On Linux the two are exchanged atomically: readers always see one or the other, complete, and both survive any
    interruption. Elsewhere there is no bundle of that name for the moment between two renames.

    Args:
        folder: A folder with a manifest.
        name: Name of the bundle.
        root: The folder of the bundles; by default the user's.

    Returns:
        The bundle's folder.

    Raises:
        BundleError: The name is invalid, or the folder does not match its manifest.
    """
    target = Path(root or models_folder()) / check_name(name)
    verify(folder, read_manifest(folder))
    # One name a bundle for what waits to be kept: after an interruption the next publishing finds it there.
    replaced = target.with_name(f".{name}.replaced")
    with exclusive_lock(target):
        if replaced.exists():
            replaced.rename(_free_name(target))
        if not target.exists():
            return folder.rename(target)
        folder.rename(replaced)
        if swap_paths(replaced, target):
            replaced.rename(_free_name(target))
            return target
        renamed = target.rename(_free_name(target))
        try:
            return replaced.rename(target)
        except OSError:
            renamed.rename(target)
            raise


def _free_name(target: Path) -> Path:
    number = 1
    while (free := target.with_name(f"{target.name}.{number}")).exists():
        number += 1
    return free
