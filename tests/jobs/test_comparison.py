"""A run's bundle beside another that scored none of its radiographs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.manifest import write_manifest
from fracture_core.data.split import Split
from fracture_core.evaluation.bundle_comparison import compare_bundles, scores_file, share_images
from fracture_core.jobs.comparison import compare_run
from fracture_core.metrics.curves import roc_auc
from fracture_core.metrics.paired_tests import ComparisonError
from fracture_core.recipe import Recipe
from fracture_core.training.run_folder import RunFolder
from tests.support.runs import altered


def with_predictions(name: str, table: pd.DataFrame, models: Path) -> Bundle:
    """The small bundle under another name, with other predictions."""
    folder = models / name
    shutil.copytree(models / "small", folder)
    table.to_csv(folder / "predictions.csv", index=False)
    small = load_bundle("small", models)
    write_manifest(
        folder, temperature=small.temperature, created=small.created, provenance=small.manifest["provenance"]
    )
    return load_bundle(name, models)


def test_without_common_images_what_the_run_scored_is_taken(models, interrupted_run):
    other = load_bundle("small", models)
    renamed = other.predictions().drop(columns="probability")
    renamed["image_id"] = "mine-" + renamed["image_id"]
    new = with_predictions("new", renamed, models)
    with pytest.raises(ComparisonError, match="same radiographs"):
        compare_bundles(new, other)
    RunFolder(interrupted_run).write_setup(
        Recipe(name="one"),
        Split(("mine-x",), *(tuple(renamed.loc[renamed["split"] == p, "image_id"]) for p in ("val", "test")), {}),
    )
    scored = renamed[["image_id", "split", "label", "logit"]].assign(logit=-renamed["logit"])
    scored.to_csv(scores_file(interrupted_run, other), index=False)
    (part,) = compare_run(new, other, interrupted_run)
    test = renamed[renamed["split"] == "test"]
    assert part.comparison.auc.second == pytest.approx(1 - roc_auc(test["label"], test["logit"]))


def test_equal_file_names_in_two_datasets_are_not_the_same_images(models, interrupted_run):
    current = load_bundle("small", models)
    new = altered(current, dataset="another hospital's")
    with pytest.raises(ComparisonError, match="not scored on the same radiographs"):
        compare_bundles(new, current)
    table = current.predictions()
    parts = (tuple(table.loc[table["split"] == part, "image_id"]) for part in ("test", "val", "test"))
    RunFolder(interrupted_run).write_setup(Recipe(name="one"), Split(*parts, {}))
    scored = table[["image_id", "split", "label", "logit"]].assign(logit=-table["logit"])
    scored.to_csv(scores_file(interrupted_run, current), index=False)
    (part,) = compare_run(new, current, interrupted_run)
    auc = part.comparison.auc
    assert auc.first == pytest.approx(1 - auc.second) and not part.comparison.leakage.unfair


def test_films_of_ones_own_are_the_same_by_their_pixels_not_by_their_names(models):
    """Two hospitals' folders have one name, and so have their files."""
    table = load_bundle("small", models).predictions().drop(columns="probability")
    digests = [f"{number:012d}" for number in range(len(table))]
    first = with_predictions("first", table.assign(film=digests), models)
    elsewhere = with_predictions("elsewhere", table.assign(film=[d[::-1] + "f" for d in digests]), models)
    renamed = with_predictions("renamed", table.assign(image_id="x" + table["image_id"], film=digests), models)
    fewer = with_predictions("fewer", table.assign(film=digests).iloc[1:], models)
    assert not share_images(first, elsewhere) and not share_images(first, load_bundle("small", models))
    assert share_images(first, renamed) and share_images(fewer, first)
    assert not share_images(first, fewer)  # one film of the first would not be compared
