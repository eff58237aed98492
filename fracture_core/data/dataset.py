"""Datasets to train on: FracAtlas, or a user's own radiographs, with one interface."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.data.user_dataset import OwnDataset
from fracture_core.paths import expand_user_path

Dataset = FracAtlas | OwnDataset
#: Columns of FracAtlas's dataset.csv that no other csv is likely to have together.
_FRACATLAS = {"image_id", "fractured", "fracture_count", "multiscan"}


def open_dataset(
    path: str | os.PathLike[str] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Open a folder, a csv or a COCO file in whichever supported format it is.

    The first look at a user's own data reads every file.

    Args:
        path: The folder or file; None opens FracAtlas in its usual folder.
        progress: Called with the number of files read and of all files.

    Returns:
        The dataset, its images listed but not decoded.

    Raises:
        DatasetError: It is in no supported format; the message says what is wrong.
    """
    root = find_fracatlas() if path is None else expand_user_path(path)
    if is_fracatlas(root):
        return FracAtlas(root)
    return OwnDataset(root, progress=progress)


def is_fracatlas(root: Path) -> bool:
    """Return whether a folder has FracAtlas's dataset.csv, complete or not.

    Args:
        root: The folder.

    Returns:
        Whether it has.
    """
    try:
        with (root / "dataset.csv").open(encoding="utf-8-sig") as file:
            return set(file.readline().strip().split(",")) >= _FRACATLAS
    except (OSError, UnicodeDecodeError):
        return False


def dataset_name(provenance: Mapping[str, Any]) -> str:
    """Return the name of the dataset that a bundle was trained on; the first bundles do not record it.

    Args:
        provenance: The bundle's record.

    Returns:
        The name.
    """
    return str(provenance.get("dataset") or FracAtlas.name)
