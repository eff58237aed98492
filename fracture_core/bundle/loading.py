"""Find, load and verify the bundles of a models folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from safetensors import SafetensorError

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.manifest import NAME, check_name, read_manifest, verify
from fracture_core.bundle.validation import (
    BundleError,
    check_history,
    check_network,
    check_predictions,
    parse_arrays,
    parse_json,
    read_file,
    validation_hits,
)
from fracture_core.errors import FractureCoreError
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.network.graph import Graph
from fracture_core.paths import bundle_folders, models_folder
from fracture_core.recipe import Recipe

DEFAULT_BUNDLE = "densenet121-fracatlas"
#: Under models/: which bundle was promoted. A user's choice, no part of any bundle.
CURRENT_FILE = "current.json"


def current_bundle(root: Path | None = None) -> str:
    """Return the name of the bundle in use: the promoted one if it exists, else the shipped one.

    Args:
        root: The models folder; by default `models_folder()`.

    Returns:
        The bundle's name.
    """
    try:
        name = json.loads((Path(root or models_folder()) / CURRENT_FILE).read_text("utf-8"))["bundle"]
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_BUNDLE
    there = isinstance(name, str) and NAME.fullmatch(name) and name in _folders(root)
    return name if there else DEFAULT_BUNDLE


def list_bundles(root: Path | None = None) -> list[str]:
    """Return the names of the bundles in a models folder.

    Args:
        root: The models folder; by default `models_folder()`.

    Returns:
        Names, the one in use first, the others in alphabetical order.
    """
    current = current_bundle(root)
    return sorted(_folders(root), key=lambda name: (name != current, name))


def _folders(root: Path | None) -> dict[str, Path]:
    """Return the folder of each bundle by name; of two with one name the user's own counts."""
    folders = (path.parent for place in reversed(bundle_folders(root)) for path in place.glob("*/bundle.json"))
    return {folder.name: folder for folder in folders if NAME.fullmatch(folder.name)}


def load_bundle(name: str | None = None, root: Path | None = None) -> Bundle:
    """Read and verify a bundle of a models folder.

    Args:
        name: The bundle; by default the one in use.
        root: The models folder; by default `models_folder()`.

    Returns:
        The bundle, every file checked against its SHA-256.

    Raises:
        BundleError: It is missing, damaged or altered.
    """
    name = current_bundle(root) if name is None else name
    folder = _folder(root, name)
    met = _identity(folder)
    try:
        return read_bundle(folder)
    except FractureCoreError:
        # Published again between one file and the next: the new one is read instead.
        if _identity(folder) == met:
            raise
        return read_bundle(folder)


def _identity(folder: Path) -> tuple[int, ...]:
    try:
        status = (folder / "bundle.json").stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_bundle(folder: Path) -> Bundle:
    """Read and verify the bundle in a folder.

    Args:
        folder: The bundle's folder, which its name is taken from.

    Returns:
        The bundle, every file checked against its SHA-256.

    Raises:
        BundleError: It is missing, damaged or altered.
    """
    name = folder.name
    manifest = read_manifest(folder)
    verify(folder, manifest)

    def read(file: str) -> bytes:
        return read_file(folder, file, sha256=manifest["files"][file])

    try:
        graph = Graph.from_json(parse_json(read("network.json")))
        recipe = Recipe.from_json(parse_json(read("recipe.json")))
        check_network(graph, recipe)
        points = parse_json(read("operating_points.json"))
        points = {key: OperatingPoint.from_dict(entry) for key, entry in points.items()}
        if missing := {"rule_out", "single", "rule_in"} - set(points):
            raise BundleError(f"The bundle {name!r} lacks the operating point {min(missing)!r}.")
        predictions = read("predictions.csv")
        check_predictions(predictions)
        check_history(read("history.csv"))
        bundle = Bundle(
            name=name,
            folder=folder,
            manifest=manifest,
            graph=graph,
            recipe=recipe,
            points=points,
            card=read("card.md").decode("utf-8"),
            _features=parse_arrays(read("features.safetensors")),
            validation_hits=validation_hits(predictions),
        )
        # Made now, not when the first radiograph is read, so that a misshapen one is refused here.
        _ = bundle.familiarity, bundle.traits, bundle.usual_ranges, bundle.levels
    except FractureCoreError:
        raise
    except (ValueError, TypeError, AttributeError, ArithmeticError, csv.Error, SafetensorError) as error:
        raise BundleError(f"The bundle {name!r} is damaged ({str(error)[:200]}).") from error
    return bundle


def _folder(root: Path | None, name: str) -> Path:
    """Where a bundle lies; raise BundleError where there is none, or a link that leads out of `root`."""
    folder = _folders(root).get(check_name(name))
    if folder is None:
        known = ", ".join(list_bundles(root)) or "none"
        raise BundleError(f"There is no bundle {name!r} in {Path(root or models_folder()).name}/; there is: {known}.")
    if folder.resolve().parent != folder.parent.resolve():
        raise BundleError(f"The bundle {name!r} is a link to another folder; copy that folder here instead.")
    return folder
