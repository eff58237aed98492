"""How long a run takes and how much disk it needs."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

from fracture_core.data.split import Split
from fracture_core.recipe import Recipe
from fracture_core.reporting.training_text import estimate_in_words
from fracture_core.training import estimate as estimating
from fracture_core.training.estimate import (
    EstimateError,
    StepClock,
    StepTiming,
    check_disk_space,
    estimate,
    learn_from_run,
    save_timing,
)
from fracture_core.training.pipeline import epoch_order


@pytest.fixture
def split():
    ids = [str(n) for n in range(100)]
    return Split(tuple(ids[:64]), tuple(ids[64:80]), tuple(ids[80:]), {})


@pytest.fixture
def labelled():
    """100 images, a quarter of them fractured."""
    return SimpleNamespace(table=pd.DataFrame({"label": [1, 0, 0, 0] * 25}, index=[str(n) for n in range(100)]))


def test_an_estimate_adds_up_what_was_measured(labelled, split, tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))
    recipe = Recipe(name="x", epochs=10, batch_size=16, image_size=64, trainable_blocks=1, fast_path=True)
    assert estimate(recipe, labelled, split) is None
    assert estimate_in_words(None) == "Not measured on this machine yet."
    save_timing(recipe, StepTiming(2.0, 30.0, 0.5, 1000, 5000, 0.0))
    found = estimate(recipe, labelled, split)
    # 4 steps an epoch and a third of a step for 16 images of val; 80 views; 100 images read once more.
    epochs = 10 * (4 + 1 / 3) * 2.0
    assert found.seconds == pytest.approx(30 + epochs + 80 * 0.5 + 100 * (0.5 + 2.0 / 16 / 3))
    assert found.bytes == 100 * 64 * 64 + 80 * 1000 + 2 * 5000
    assert "From a short measurement on this machine" in found.basis and "2.00 s per batch of 16" in found.basis
    assert estimate(recipe.replace(epochs=20), labelled, split).seconds == pytest.approx(found.seconds + epochs)
    assert estimate(recipe.replace(image_size=96), labelled, split) is None

    # A run's own steps replace the measured one, and the words say so.
    learn_from_run(recipe, "20260101-000000-x", 3.0)
    learned = estimate(recipe, labelled, split)
    assert "From the run 20260101-000000-x" in learned.basis and "3.00 s per batch" in learned.basis


def test_a_run_of_a_few_steps_teaches_nothing_of_how_long_tracing_takes(labelled, split, tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))
    recipe = Recipe(name="x", epochs=10, batch_size=16)
    save_timing(recipe, StepTiming(2.0, 30.0, 0.5, 1000, 5000, 0.0))
    clock = StepClock()
    # The first step comes after a minute of tracing, a pause takes an hour, and validation ten seconds.
    for stage, at in (("decoding", 0), ("training", 60), ("training", 60.5), ("training", 61), ("validating", 61)):
        clock.see(stage, at)
    assert clock.seconds is None
    learn_from_run(recipe, "few", clock.seconds)
    assert "2.00 s per batch" in estimate(recipe, labelled, split).basis
    for stage, at in (("epoch ended", 71), ("training", 71.5), ("training", 3600), ("training", 3600.5)):
        clock.see(stage, at)
    assert clock.seconds == pytest.approx(0.5)
    learn_from_run(recipe, "more", clock.seconds)
    assert "0.50 s per batch" in estimate(recipe, labelled, split).basis


def test_an_estimate_of_oversampling_counts_the_steps_that_a_run_takes(labelled, split):
    labels = labelled.table.loc[list(split.train), "label"].to_numpy()
    for balance in ("none", "weights", "oversample"):
        recipe = Recipe(name="x", batch_size=7, class_balance=balance)
        steps = len(epoch_order(labels, 7, balance, seed=0, epoch=0))
        assert estimating.steps_per_epoch(recipe, labelled, split) == pytest.approx(steps + len(split.val) / 7 / 3)


def test_what_features_take_counts_as_room(tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("FRACTURE_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=600_000_000))
    needed = estimating.RunEstimate(1.0, 101_000_000, "")
    with pytest.raises(EstimateError, match=r"0\.6 GB are free"):
        check_disk_space(needed)
    kept = tmp_path / "cache" / "features" / "earlier" / "0.npy"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(bytes(1_100_000))
    check_disk_space(needed)


def test_a_run_that_would_not_fit_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("FRACTURE_RUNS_DIR", str(tmp_path / "runs"))
    free = shutil.disk_usage(tmp_path).free
    check_disk_space(estimating.RunEstimate(1.0, 1000, ""))
    with pytest.raises(EstimateError, match="The disk is too full"):
        check_disk_space(estimating.RunEstimate(1.0, 2 * free, ""))
