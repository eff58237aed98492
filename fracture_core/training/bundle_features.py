"""Fit what a bundle contains besides its weights: scope features, display levels, and metrics on other films."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.display_levels import DisplayLevels
from fracture_core.bundle.image_attributes import TRAITS, fit_traits
from fracture_core.bundle.loading import load_bundle, read_bundle
from fracture_core.bundle.manifest import FILES, new_folder, write_manifest
from fracture_core.bundle.model_card import write_card
from fracture_core.bundle.out_of_distribution import fit_familiarity
from fracture_core.bundle.validation import BundleError
from fracture_core.data.dataset import Dataset
from fracture_core.data.image_cache import find_image_cache
from fracture_core.data.split import Split
from fracture_core.evaluation.external_validation import EXTERNAL_SETTING, external_folder, summary, validate_externally
from fracture_core.explain.boxes import BOXES_FROM
from fracture_core.files import exclusive_lock, swap_paths
from fracture_core.inference.predictor import Predictor
from fracture_core.inference.scorer import Scorer
from fracture_core.recipe import Recipe

#: Share of the validation films without fracture on which no contour is drawn.
_CLEAN = 0.8
#: Contours begin at this share of full colour (`explain.overlay.CONTOUR_LEVELS`).
_FIRST_CONTOUR = 0.25
#: Share of the fractured validation films that get a dotted box at least, and of the others that get no solid one.
_SENSITIVE, _SPECIFIC = 0.9, 0.9


def fit_features(
    scorer: Scorer, dataset: Dataset, split: Split, table: pd.DataFrame, held: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Fit on train what looks familiar and the image attributes; set their thresholds on validation.

    Args:
        scorer: The network.
        dataset: What it was trained on.
        split: Train, val and test.
        table: The predictions of val and test.
        held: `embedding` and `appearance`, float32 (n, C), of the table's rows.

    Returns:
        Arrays by name, for features.safetensors.
    """
    train = _train_features(scorer, dataset, split, ("embedding", "appearance"))
    val = (table["split"] == "val").to_numpy()
    familiarity = fit_familiarity(train["appearance"], held["appearance"][val])
    arrays = familiarity.to_arrays()
    # What a log of films is compared with, until a site has calibrated the bundle to its own.
    arrays["monitoring/validation"] = familiarity.monitored(held["appearance"][val]).astype(np.float32)
    known = [trait for trait in TRAITS if trait in dataset.table]
    train_traits, val_traits = dataset.table.loc[list(split.train), known], table.loc[val, known]
    # Beside FracAtlas a site's films may have none of its columns: the traits are then fitted on FracAtlas alone.
    told, told_val = (rows.notna().all(axis=1).to_numpy() for rows in (train_traits, val_traits))
    on_train, on_val = (
        {trait: rows.loc[which, trait].to_numpy(int) for trait in known}
        for rows, which in ((train_traits, told), (val_traits, told_val))
    )
    embeddings = train["embedding"][told], held["embedding"][val][told_val]
    return arrays | fit_traits(embeddings[0], on_train, embeddings[1], on_val).to_arrays()


def _train_features(scorer: Scorer, dataset: Dataset, split: Split, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Score the training images: those that training decoded, as far as they are still cached."""
    paths = {i: dataset.path(i) for i in dataset.table.index}
    cached = find_image_cache(paths, scorer.size, crop_to_field=scorer.recipe.crop_to_field)
    if cached is None:
        return scorer.score_files([paths[i] for i in split.train], names)
    return scorer.score_many(cached.squares[[cached.rows[i] for i in split.train]], names)


def fit_levels(table: pd.DataFrame, held: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Find on validation at which evidence heatmaps have full colour and boxes are drawn.

    Args:
        table: The predictions of val and test.
        held: `peak_<method>`, the strongest evidence of each heatmap on each row, float32 (n,).

    Returns:
        Arrays by name, for features.safetensors.
    """
    val = (table["split"] == "val").to_numpy()
    clean, fractured = (val & (table["label"] == label).to_numpy() for label in (0, 1))
    full: dict[str, float] = {}
    boxes = None
    for name, peaks in held.items():
        if name.startswith("peak_"):
            # Nothing above zero on nearly every clean film: any evidence stands out, and the fractured set the scale.
            level = float(np.quantile(peaks[clean], _CLEAN)) / _FIRST_CONTOUR
            full[name.removeprefix("peak_")] = max(level, float(np.quantile(peaks[fractured], 0.75)), 1e-6)
    if f"peak_{BOXES_FROM}" in held:
        peaks = held[f"peak_{BOXES_FROM}"]
        sensitive = max(float(np.quantile(peaks[fractured], 1 - _SENSITIVE)), 1e-6)
        boxes = sensitive, max(sensitive, float(np.quantile(peaks[clean], _SPECIFIC)))
    return DisplayLevels(full_colour=full, boxes=boxes).to_arrays()


def record_comparison(bundle: Bundle, comparison: Sequence[Mapping[str, Any]]) -> Bundle:
    """Put the comparison with the bundle in use into a bundle's record and card.

    The folder is copied, changed and exchanged for the old one in one step, which is then deleted. What is saved beside
    the bundle meanwhile is kept.

    Args:
        bundle: The bundle.
        comparison: What each part's `PartComparison.to_json` returned.

    Returns:
        The bundle as it is now.

    Raises:
        BundleError: The folder cannot be written.
    """
    provenance = {**bundle.manifest.get("provenance", {}), "comparison": list(comparison)}
    if provenance == bundle.manifest.get("provenance"):
        return bundle
    root, table = bundle.folder.parent, bundle.predictions().drop(columns="probability")
    try:
        with new_folder(root) as folder:
            shutil.copytree(bundle.folder, folder, dirs_exist_ok=True)
            write_card(folder, bundle.name, bundle.recipe, table, bundle.temperature, provenance)
            write_manifest(folder, temperature=bundle.temperature, created=bundle.created, provenance=provenance)
            with exclusive_lock(bundle.folder):
                _copy_saved(bundle.folder, folder)
                _exchange(folder, bundle.folder)
    except OSError as error:
        raise BundleError(f"The comparison cannot be recorded in {bundle.name} ({error.strerror}).") from error
    return load_bundle(bundle.name, root)


def _copy_saved(source: Path, folder: Path) -> None:
    """Make the files that users save beside a bundle the same in a copy of it as they are now."""
    kept = {*FILES, "bundle.json"}
    for file in [file for file in folder.iterdir() if file.name not in kept and file.is_file()]:
        file.unlink()
    for file in [file for file in source.iterdir() if file.name not in kept and file.is_file()]:
        shutil.copy2(file, folder)


def _exchange(folder: Path, target: Path) -> None:
    """Replace a folder by another, atomically where the system can."""
    if not swap_paths(folder, target):
        aside = target.with_name(f".{target.name}.old")
        target.rename(aside)
        folder.rename(target)
        shutil.rmtree(aside, ignore_errors=True)


def seal(
    folder: Path,
    name: str,
    recipe: Recipe,
    table: pd.DataFrame,
    temperature: float,
    created: str,
    provenance: Mapping[str, Any],
) -> None:
    """Write card.md and bundle.json for a folder that holds every other file of a bundle.

    Where FRACTURE_ELSEWHERE_DIR names a folder, the bundle is first measured on the films of other sources in it.

    Args:
        folder: The bundle's folder.
        name: The bundle's name.
        recipe: Its recipe.
        table: Its predictions, as in predictions.csv.
        temperature: What its logits are divided by.
        created: When it was made, ISO 8601.
        provenance: How it was made.

    Raises:
        BundleError: The files do not fit together.
        ExternalValidationError: FRACTURE_ELSEWHERE_DIR names a folder without list.csv.
    """
    write_card(folder, name, recipe, table, temperature, provenance)
    write_manifest(folder, temperature=temperature, created=created, provenance=provenance)
    if os.environ.get(EXTERNAL_SETTING, "").strip():
        measured = validate_externally(Predictor(read_bundle(folder)), external_folder())
        provenance = {**provenance, "elsewhere": summary(measured)}
        write_card(folder, name, recipe, table, temperature, provenance)
        write_manifest(folder, temperature=temperature, created=created, provenance=provenance)
