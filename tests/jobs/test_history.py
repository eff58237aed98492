"""The runs so far, which bundle is in use, whether two may be compared, and what a run will take."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import current_bundle, list_bundles, load_bundle
from fracture_core.bundle.validation import BundleError
from fracture_core.data.split import Split
from fracture_core.evaluation.bundle_comparison import compare_bundles, matched_table, scores_file
from fracture_core.evaluation.leakage import check_leakage
from fracture_core.jobs.comparison import compare_run
from fracture_core.jobs.history import (
    best_epoch,
    bundle_of,
    delete_run,
    history_rows,
    note,
    recipe_differences,
    write_note,
)
from fracture_core.jobs.promotion import promote
from fracture_core.jobs.status import list_runs
from fracture_core.metrics.curves import roc_auc
from fracture_core.metrics.paired_tests import ComparisonError
from fracture_core.recipe import Recipe, RecipeError
from fracture_core.reporting.training_charts import auc_chart, loss_chart, overlaid
from fracture_core.reporting.training_text import duration, estimate_in_words, size
from fracture_core.training import estimate as estimating
from fracture_core.training.estimate import (
    EstimateError,
    StepTiming,
    check_disk_space,
    estimate,
    learn_from_run,
    save_timing,
)
from fracture_core.training.pipeline import epoch_order
from fracture_core.training.recipe_fields import FRONT, choices, with_values
from fracture_core.training.run_folder import RunError, RunFolder

HISTORY = [
    {"epoch": 1.0, "loss": 0.9, "val_loss": 0.8, "val_auc": 0.6, "seconds": 10.0},
    {"epoch": 2.0, "loss": 0.7, "val_loss": 0.6, "val_auc": 0.9, "seconds": 11.0},
    {"epoch": 3.0, "loss": 0.5, "val_loss": 0.7, "val_auc": 0.8, "seconds": 12.0},
]


@pytest.fixture
def models(small_models, tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(small_models, folder)
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_RUNS_DIR", str(tmp_path / "runs"))
    folder = RunFolder(tmp_path / "runs" / "20260102-030405-one")
    folder.path.mkdir(parents=True)
    folder.write_recipe(Recipe(name="one", monitor="auc", epochs=9))
    folder.write_history(HISTORY)
    return folder.path


def test_a_pre_training_run_counts_its_looks_at_val_and_keeps_the_last(run, models):
    folder = RunFolder(run)
    folder.update_record(name="one", finished=True)
    assert [history_rows(root=models)[0][key] for key in ("epoch", "epochs", "val_auc")] == [3, 9, 0.9]
    folder.update_record(stages=[{"name": "all", "image_size": 64}])
    assert [history_rows(root=models)[0][key] for key in ("epoch", "epochs", "val_auc")] == [3, 3, 0.8]


def test_promotion_is_a_name_and_moves_no_bundle(models):
    shutil.copytree(models / "small", models / "new")
    before = {p: p.read_bytes() for p in models.glob("*/*")}
    assert list_bundles(models) == ["new", "small"]
    promoted = promote("small", models)
    assert (promoted.name, promoted.before) == ("small", None)
    assert list_bundles(models) == ["small", "new"] and load_bundle(root=models).name == "small"
    assert promote("new", models).before == "small"
    assert load_bundle(root=models).name == "new"
    promote("small", models)  # put back
    assert current_bundle(models) == "small"
    assert {p: p.read_bytes() for p in models.glob("*/*")} == before


def test_a_damaged_bundle_is_not_put_in_use(models):
    shutil.copytree(models / "small", models / "new")
    promote("small", models)
    (models / "new" / "card.md").write_text("altered")
    with pytest.raises(BundleError):
        promote("new", models)
    assert current_bundle(models) == "small"
    shutil.rmtree(models / "small")
    assert current_bundle(models) == "densenet121-fracatlas"  # the one in use has gone


@pytest.mark.parametrize("text", ["{", "[]", '{"bundle": 3}', '{"bundle": "../small"}', '{"bundle": "nothing"}'])
def test_an_odd_note_of_the_bundle_in_use_is_passed_over(models, text):
    (models / "current.json").write_text(text)
    assert current_bundle(models) == "densenet121-fracatlas"


def test_a_run_knows_its_bundle_by_the_weights(models, run):
    manifest = json.loads((models / "small" / "bundle.json").read_text())
    manifest["provenance"]["weights_sha256"] = "abc"
    (models / "small" / "bundle.json").write_text(json.dumps(manifest))
    assert bundle_of(run, models) is None
    RunFolder(run).update_record(finished=True, weights_sha256="abc")
    assert bundle_of(run, models) == "small"
    (models / "small").rename(models / ".making-a1")  # as a kill leaves it
    assert bundle_of(run, models) is None
    (models / ".making-a1").rename(models / "small")
    table = load_bundle("small", models).predictions()
    test = table[table["split"] == "test"]
    row = history_rows(root=models)[0]
    assert row["test_auc"] == pytest.approx(roc_auc(test["label"], test["logit"]))
    assert (row["run"], row["state"], row["bundle"], row["epoch"], row["epochs"]) == (
        run.name,
        "finished",
        "small",
        3,
        9,
    )
    assert (row["val_auc"], row["val_loss"], row["seconds"]) == (0.9, 0.6, 33)


def test_a_damaged_run_is_listed_and_can_be_deleted(run, models):
    shutil.copytree(run, run.parent / ".deleted-a1")  # a deletion that was truncated
    (run / "run.json").write_text('{"finished": tr')
    (one,) = list_runs()
    assert one.run == run and one.state == "failed"
    (row,) = history_rows(root=models)
    assert "run.json" in row["error"] or "cannot be read" in row["error"], row
    delete_run(run)
    assert list_runs() == []


def test_the_best_epoch_is_by_the_recipes_monitor():
    assert best_epoch(HISTORY, Recipe(name="x", monitor="auc"))["epoch"] == 2
    assert best_epoch(HISTORY, Recipe(name="x", monitor="loss"))["epoch"] == 2
    assert best_epoch(HISTORY[:1], Recipe(name="x"))["epoch"] == 1


def test_notes_and_deletion_stay_among_the_runs(run, tmp_path):
    write_note(run, " as before, with a smaller rate \n")
    assert note(run) == "as before, with a smaller rate"
    with pytest.raises(RunError, match=r"at most 4,000"):
        write_note(run, "x" * 5000)
    stranger = tmp_path / "elsewhere"
    shutil.copytree(run, stranger)
    for outside in (stranger, run / ".." / ".." / "elsewhere"):
        with pytest.raises(RunError, match="not a run under"):
            delete_run(outside)
        with pytest.raises(RunError, match="not a run under"):
            write_note(outside, "x")
    delete_run(run)
    assert not run.exists() and stranger.is_dir() and history_rows() == []


def test_recipes_are_told_apart_by_their_choices():
    one = Recipe(name="one")
    other = one.replace(name="two", epochs=3, augmentation=replace(one.augmentation, zoom=0.2))
    assert recipe_differences({"a": one, "b": other}) == [
        {"choice": "epochs", "a": "25", "b": "3"},
        {"choice": "augmentation.zoom", "a": "0.0", "b": "0.2"},
    ]
    assert recipe_differences({"a": one, "b": one.replace(name="two")}) == []


@pytest.mark.parametrize("name", ["default", "reference", "densenet121-fracatlas"])
def test_a_form_holds_every_choice_of_a_recipe(name):
    recipe = Recipe.load(name)
    offered = choices(recipe)
    assert with_values(recipe, {one.key: one.value for one in offered}) == recipe
    assert tuple(one.key for one in offered[: len(FRONT)]) == FRONT
    numbers = [one for one in offered if one.kind in ("whole", "number")]
    assert all(one.low <= one.value <= one.high for one in numbers if one.value is not None)
    kinds = {"whole": int, "number": float}
    assert all({type(n) for n in (one.low, one.value, one.high)} <= {kinds[one.kind], type(None)} for one in numbers)
    with pytest.raises(RecipeError, match="must be a multiple of 32"):
        with_values(recipe, {"image_size": 100})


# Comparisons.


def altered(bundle: Bundle, **changes) -> Bundle:
    """The same bundle with another provenance."""
    provenance = {**bundle.manifest.get("provenance", {}), **changes}
    return replace(bundle, manifest={**bundle.manifest, "provenance": provenance})


def test_a_bundle_against_itself_differs_in_nothing(models):
    shutil.copytree(models / "small", models / "new")
    found = compare_bundles(load_bundle("new", models), load_bundle("small", models))
    assert found.auc.difference.value == 0 and not found.differ.rows
    assert found.verdict.startswith("Neither is shown to be better") and not found.fairness.unfair
    table = matched_table(found)
    assert table["Model"].tolist() == ["new", "small"]
    counts = table[["True positives", "False negatives", "False positives", "True negatives"]]
    assert (counts.iloc[0] == counts.iloc[1]).all() and counts.iloc[0].sum() == len(found.test.labels)
    wrong = counts.iloc[0]["False negatives"] + counts.iloc[0]["False positives"]
    assert len(found.worst) == min(wrong, 12)
    threshold = found.matched.thresholds[0]
    odds = [p / (1 - p) for p in (threshold, *found.worst["new"])]
    ratios = [max(one / odds[0], odds[0] / one) for one in odds[1:]]
    assert ratios == sorted(ratios, reverse=True)
    alarms = found.worst["error"] == "false positive"
    assert ((found.worst["new"] >= threshold) == alarms).all()


def test_without_common_images_what_the_run_scored_is_taken(models, run):
    one, other = load_bundle("small", models), load_bundle("small", models)
    table = one.predictions()
    renamed = table.assign(image_id="mine-" + table["image_id"])
    new = replace(one)
    new.__dict__["predictions"] = lambda: renamed
    with pytest.raises(ComparisonError, match="same radiographs"):
        compare_bundles(new, other)
    RunFolder(run).write_setup(
        Recipe(name="one"),
        Split(("mine-x",), *(tuple(renamed.loc[renamed["split"] == p, "image_id"]) for p in ("val", "test")), {}),
    )
    scored = renamed[["image_id", "split", "label", "logit"]].assign(logit=-renamed["logit"])
    scored.to_csv(scores_file(run, other), index=False)
    found = compare_run(new, other, run)
    test = renamed[renamed["split"] == "test"]
    assert found.auc.second == pytest.approx(1 - roc_auc(test["label"], test["logit"]))


def test_equal_file_names_in_two_datasets_are_not_the_same_images(models, run):
    current = load_bundle("small", models)
    new = altered(current, dataset="another hospital's")
    with pytest.raises(ComparisonError, match="not read the same radiographs"):
        compare_bundles(new, current)
    table = current.predictions()
    parts = (tuple(table.loc[table["split"] == part, "image_id"]) for part in ("test", "val", "test"))
    RunFolder(run).write_setup(Recipe(name="one"), Split(*parts, {}))
    scored = table[["image_id", "split", "label", "logit"]].assign(logit=-table["logit"])
    scored.to_csv(scores_file(run, current), index=False)
    found = compare_run(new, current, run)
    assert found.auc.first == pytest.approx(1 - found.auc.second) and not found.fairness.unfair


def test_test_images_that_were_trained_on_are_said_in_red(models):
    bundle = load_bundle("small", models)
    table = bundle.predictions()
    tested = table.loc[table["split"] == "test", "image_id"].tolist()
    said = check_leakage(bundle, bundle, tested, [*tested[:3], "another"]).unfair
    assert len(said) == 1 and f"trained on 3 of the {len(tested)} test images" in said[0]
    assert check_leakage(bundle, bundle, tested, ["another"]).unfair == ()


@pytest.mark.parametrize(
    ("start", "split", "said"),
    [
        ({"source": "imagenet"}, "a", None),
        ({"source": "bundle:small", "split": "a"}, "a", None),
        ({"source": "bundle:gone", "split": "a"}, "a", None),
        ({"source": "bundle:gone", "split": "b"}, "a", "which is not here and was trained on another split"),
        ({"source": "/x/mine.safetensors"}, "a", "the file mine.safetensors; whether that saw test images"),
    ],
)
def test_starting_weights_that_may_have_seen_the_test_images(models, start, split, said):
    bundle = load_bundle("small", models)
    table = bundle.predictions()
    tested = table.loc[table["split"] == "test", "image_id"].tolist()
    found = check_leakage(altered(bundle, start=start, split=split), bundle, tested).unfair
    assert [said in one for one in found] == ([True] if said else [])


def test_a_start_whose_name_is_another_bundles_by_now_is_judged_by_what_was_noted_of_it(models):
    bundle = load_bundle("small", models)
    table = bundle.predictions()
    tested = table.loc[table["split"] == "test", "image_id"].tolist()
    start = {"source": "bundle:small", "sha256": "0" * 64, "split": "old"}
    (said,) = check_leakage(altered(bundle, start=start, split="new"), bundle, tested).unfair
    assert "which is not here and was trained on another split" in said
    tested_alike = {**start, "test": bundle.test_digest}
    assert check_leakage(altered(bundle, start=tested_alike, split="new"), bundle, tested).unfair == ()
    assert check_leakage(altered(bundle, start=start, split="old"), bundle, tested).unfair == ()


@pytest.mark.parametrize("new", list_bundles())
@pytest.mark.parametrize("current", list_bundles())
def test_nothing_speaks_against_comparing_the_shipped_bundles(new, current):
    new, current = load_bundle(new), load_bundle(current)
    table = new.predictions()
    assert check_leakage(new, current, table.loc[table["split"] == "test", "image_id"].tolist()).unfair == ()


def test_a_starting_bundle_of_another_split_is_counted_against_the_images_it_may_have_seen(models):
    bundle = load_bundle("small", models)
    table = bundle.predictions()
    validated = table.loc[table["split"] == "val", "image_id"].tolist()
    tested = table.loc[table["split"] == "test", "image_id"].tolist()
    new = altered(bundle, start={"source": "bundle:small", "split": "old"}, split="new")
    assert check_leakage(new, bundle, tested).unfair == ()  # it was tested on these itself
    (said,) = check_leakage(new, bundle, tested + validated).unfair
    assert f"may have seen {len(validated)} of these {len(tested) + len(validated)}" in said


def test_a_bundle_that_kept_the_copies_of_test_images_says_so(models):
    bundle = load_bundle("small", models)
    leaky = replace(bundle, recipe=bundle.recipe.replace(leak_free=False))
    (said,) = check_leakage(leaky, bundle, ["x"]).unfair
    assert said.startswith("small was trained without leaving out the copies of test images")


def test_remarks_of_a_pre_training_are_passed_on(models):
    bundle = load_bundle("small", models)
    before = {"split": "other", "remarks": ["it saw one image"]}
    start = {"source": "runs/pretrain/weights.safetensors"}
    found = check_leakage(altered(bundle, start=start, split="own", pretraining=before), bundle, ["x"])
    assert found.unfair == () and found.remarks == ("small: it saw one image.",)
    del before["remarks"]
    found = check_leakage(altered(bundle, start=start, split="own", pretraining=before), bundle, ["x"])
    assert "pre-trained on another split" in found.unfair[0]


# What a run will take.


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

    # A run's own epochs replace the measured step, and the words say so.
    learn_from_run(recipe, "20260101-000000-x", 10 * (4 + 1 / 3) * 3.0, 10, labelled, split)
    learned = estimate(recipe, labelled, split)
    assert "From the run 20260101-000000-x" in learned.basis and "3.00 s per batch" in learned.basis


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


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.4, "0 s"),
        (89, "89 s"),
        (91, "2 min"),
        (5000, "83 min"),
        (5401, "1 h 30 min"),
    ],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_sizes():
    assert (size(1), size(2.5e6), size(2.5e9)) == ("1 MB", "3 MB", "2.5 GB")


def test_learning_curves_draw_every_epoch_and_no_broken_figure():
    chart = loss_chart([*HISTORY, {"epoch": 4.0, "loss": float("nan"), "val_loss": 0.1}], [(0.1, 2.0), (0.2, 1.5)])
    lines = {one.name: list(zip(one.x, one.y, strict=True)) for one in chart.data}
    assert lines["batches"] == [(0.1, 2.0), (0.2, 1.5)]
    assert lines["training objective"][-1] == (4.0, None) and lines["validation cross-entropy"][1] == (2.0, 0.6)
    assert "NaN" not in chart.to_json()
    (batches,) = loss_chart([], [(k / 100, 1.0) for k in range(5000)]).data
    assert batches.name == "batches" and len(batches.x) <= 400
    auc = auc_chart(HISTORY)
    assert list(auc.data[0].y) == [0.6, 0.9, 0.8] and auc.layout.yaxis.range == (0, 1)
    both = overlaid({"a": HISTORY, "b": HISTORY[:1]}, "val_auc", "AUC")
    assert [len(one.x) for one in both.data] == [3, 1] and both.layout.yaxis.range == (0, 1)
    assert len({(one.line.color, one.line.dash) for one in both.data}) == 2


def test_tables_for_people_hold_what_is_known(run, models):
    from fracture_core.reporting.training_text import history_table

    table = history_table(history_rows(root=models), "small")
    assert table["Run"].tolist() == [run.name] and table["State"].tolist() == ["interrupted"]
    assert table["Val AUC"].tolist() == [0.9] and np.isnan(table["Test AUC"][0])
    assert isinstance(table, pd.DataFrame) and table["Time"].tolist() == ["33 s"]
