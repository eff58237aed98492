"""Read and check the files of a bundle as untrusted input.

A hash shows that a file is as it was packaged, not who packaged it: the author of a bundle controls the hashes, too.
So what a file holds is checked too, before anything is computed from it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load

from fracture_core.errors import FractureCoreError
from fracture_core.network.graph import Graph
from fracture_core.recipe import Recipe

#: Largest file of a bundle, and largest one of plain text, in bytes.
MOST_BYTES = 256 * 2**20
MOST_TEXT = 32 * 2**20
#: Largest bundle.json and chosen_points.json, in bytes.
MOST_SMALL = 2**20
#: What every network gives; one with a localiser gives `cells` too.
_OUTPUTS = frozenset({"logit", "global_logit", "embedding", "last_map"})
#: Far above any real network's: strides, factors, windows and paddings, in pixels or places.
_MOST_PLACES = 256
_MOST_NODES = 10_000
_MEASURES = ("padding", "strides", "dilation", "window", "factor")
_COLUMNS = frozenset({"image_id", "split", "label", "logit"})


class BundleError(FractureCoreError):
    """A bundle that is missing, damaged, altered, or made by a newer version of the program."""


def read_file(folder: Path, file: str, *, most: int = MOST_BYTES, sha256: str | None = None) -> bytes:
    """Read one file of a bundle.

    Links are rejected, because they could lead to any file on this machine, and so is anything that is not a regular
    file: a pipe would never end.

    Args:
        folder: The bundle's folder.
        file: Name of the file.
        most: Maximum size in bytes.
        sha256: The expected hash, or None.

    Returns:
        The content.

    Raises:
        BundleError: It is not a regular file, is too large, or has another hash.
    """
    try:
        # NONBLOCK: opening a pipe would wait for its writer. The kind is asked of what was opened, not of the name.
        descriptor = os.open(folder / file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as opened:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise BundleError(f"The bundle {folder.name!r} is damaged: {file} is not a regular file.")
            if status.st_size > most:
                raise BundleError(f"The bundle {folder.name!r} is damaged: {file} is far too large.")
            data = opened.read(status.st_size)  # memory is taken for as many bytes as are asked for
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) or (folder / file).is_symlink()
        what = "is missing" if missing else f"cannot be read ({error.strerror})"
        raise BundleError(f"The bundle {folder.name!r} is incomplete: {file} {what}.") from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise BundleError(f"The bundle {folder.name!r} was altered or damaged: {file} is not as published.")
    return data


def parse_json(data: bytes) -> Any:
    """Parse JSON from an untrusted source.

    Args:
        data: The bytes.

    Returns:
        The value.

    Raises:
        ValueError: It is not JSON, or nested too deeply.
    """
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def parse_arrays(data: bytes) -> dict[str, np.ndarray]:
    """Parse a safetensors file from an untrusted source.

    Args:
        data: The bytes.

    Returns:
        Real arrays by name.

    Raises:
        ValueError: It is not such a file, or a value is not a number.
    """
    arrays = load(data)
    for name, array in arrays.items():
        if array.dtype.kind != "f" or np.isnan(array).any():
            raise ValueError(f"{name[:60]!r} has non-numeric values")
    return arrays


def check_network(graph: Graph, recipe: Recipe) -> None:
    """Check the size of a network.

    Args:
        graph: The network.
        recipe: The bundle's recipe.

    Raises:
        ValueError: It does not fit the recipe, or could exhaust the memory.
    """
    if graph.input_size != (recipe.image_size, recipe.image_size):
        raise ValueError(f"its network reads {graph.input_size} pixels and its recipe says {recipe.image_size}")
    if len(graph.nodes) > _MOST_NODES or len(graph.outputs) > 16:
        raise ValueError("its network has too many layers")
    if lacking := _OUTPUTS - set(graph.outputs):
        raise ValueError(f"its network has no output {min(lacking)!r}")
    for node in graph.nodes:
        for measure in _MEASURES:
            values = node.attributes.get(measure, 1)
            values = values if isinstance(values, list) else [values]
            least = 0 if measure == "padding" else 1
            if not all(isinstance(n, int) and least <= n <= _MOST_PLACES for n in values):
                raise ValueError(f"its network has a {measure} that no network has, at {node.name[:60]!r}")


def validation_hits(data: bytes) -> dict[str, int]:
    """Count on how many validation images each heatmap method pointed into a box.

    Args:
        data: predictions.csv with its `hit_` columns.

    Returns:
        Counts by method.
    """
    rows = _table(data)
    columns = [name for name in rows.fieldnames or () if name.startswith("hit_") and name != "hit_centre"]
    hits = dict.fromkeys(columns, 0)
    for row in rows:
        for name in columns if row["split"] == "val" else ():
            hits[name] += row[name] == "1"
    return {name.removeprefix("hit_"): count for name, count in hits.items()}


def check_predictions(data: bytes) -> None:
    """Check that every row of predictions.csv has what the metrics are computed from.

    Args:
        data: The bytes.

    Raises:
        ValueError: A column or a value is missing or invalid.
    """
    rows = _table(data)
    if lacking := _COLUMNS - set(rows.fieldnames or ()):
        raise ValueError(f"predictions.csv has no column {min(lacking)!r}")
    seen = set()
    for row in rows:
        if row["split"] not in ("val", "test") or row["label"] not in ("0", "1") or None in row.values():
            raise ValueError(f"line {rows.line_num} of predictions.csv is invalid")
        if not math.isfinite(float(row["logit"])):
            raise ValueError(f"line {rows.line_num} of predictions.csv has no finite logit")
        seen.add((row["split"], row["label"]))
    if len(seen) < 4:
        raise ValueError("predictions.csv lacks fractured or other radiographs of val or test")


def check_history(data: bytes) -> None:
    """Check that history.csv is a table with the same number of values in every row.

    Args:
        data: The bytes.

    Raises:
        ValueError: It is not.
    """
    rows = _table(data)
    if not rows.fieldnames or any(None in row or None in row.values() for row in rows):
        raise ValueError("history.csv is not a table")


def _table(data: bytes) -> csv.DictReader:
    if len(data) > MOST_TEXT or b"\0" in data:
        raise ValueError("a table is not text, or far too long")
    return csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)


def hashes_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each file as stated in a manifest.

    Args:
        manifest: The content of bundle.json.

    Returns:
        Hashes by file name.

    Raises:
        ValueError: The manifest has no valid list of files.
    """
    files = dict(manifest["files"])
    if not all(isinstance(word, str) and len(word) <= 100 for pair in files.items() for word in pair):
        raise ValueError("its list of files is invalid")
    return files
