"""Datasets to train on: FracAtlas, a user's own radiographs, or both together, with one interface."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fracture_core.data.combined.dataset import SITE, CombinedDataset, is_site
from fracture_core.data.combined.sources import Sources
from fracture_core.data.fracatlas import DatasetError, FracAtlas, find_fracatlas
from fracture_core.data.user_dataset import OwnDataset
from fracture_core.paths import expand_user_path

SingleDataset = FracAtlas | OwnDataset
Dataset = SingleDataset | CombinedDataset
#: Columns of FracAtlas's dataset.csv that no other csv is likely to have together.
_FRACATLAS = {"image_id", "fractured", "fracture_count", "multiscan"}


def open_dataset(
    path: str | os.PathLike[str] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> SingleDataset:
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


def open_sources(sources: Sources, *, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Open what a run is trained on.

    Args:
        sources: Where the radiographs are.
        progress: Called with (done, total) files at the first look at a user's own data.

    Returns:
        The dataset, both together where a site's films are named.

    Raises:
        DatasetError: One cannot be read, or the two do not go together.
    """
    first = open_dataset(sources.dataset, progress=progress)
    if sources.site is None:
        return first
    if not isinstance(first, FracAtlas):
        raise DatasetError(f"A site's films are trained on together with FracAtlas, and {first.name} is not FracAtlas.")
    site = open_dataset(sources.site, progress=progress)
    if not isinstance(site, OwnDataset):
        raise DatasetError("This folder is FracAtlas itself; give the folder of your own films.")
    return CombinedDataset(first, site, sources.site_weight)


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
    except (OSError, ValueError):
        return False


def short_digest(dataset: Dataset, image_id: str) -> str:
    """Return what tells one of a user's own films from others whatever its name: the first digits of a digest.

    Args:
        dataset: The dataset.
        image_id: The image.

    Returns:
        12 hex digits of the SHA-256 of its pixels; "" for an image of FracAtlas, whose ids name it.
    """
    if isinstance(dataset, CombinedDataset):
        return short_digest(dataset.site, image_id.removeprefix(SITE)) if is_site(image_id) else ""
    return dataset.digest(image_id)[:12] if isinstance(dataset, OwnDataset) else ""


def dataset_name(provenance: Mapping[str, Any]) -> str:
    """Return the name of the dataset that a bundle was trained on; the first bundles do not record it.

    Args:
        provenance: The bundle's record.

    Returns:
        The name.
    """
    return str(provenance.get("dataset") or FracAtlas.name)
