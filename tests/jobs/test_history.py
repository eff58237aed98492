"""The runs so far: their rows, notes, differences and deletion."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.jobs.control import StatusWriter
from fracture_core.jobs.history import (
    best_epoch,
    bundle_of,
    delete_run,
    history_rows,
    note,
    recipe_differences,
    rename_run,
    write_note,
)
from fracture_core.jobs.status import list_runs
from fracture_core.metrics.curves import roc_auc
from fracture_core.recipe import Recipe
from fracture_core.training.run_folder import RunError, RunFolder
from tests.support.runs import HISTORY


def test_a_pre_training_run_counts_its_looks_at_val_and_keeps_the_last(interrupted_run, models):
    folder = RunFolder(interrupted_run)
    folder.update_record(name="one", finished=True)
    assert [history_rows(root=models)[0][key] for key in ("epoch", "epochs", "val_auc")] == [3, 9, 0.9]
    folder.update_record(stages=[{"name": "all", "image_size": 64}])
    assert [history_rows(root=models)[0][key] for key in ("epoch", "epochs", "val_auc")] == [3, 3, 0.8]


def test_a_run_knows_its_bundle_by_the_weights(models, interrupted_run):
    manifest = json.loads((models / "small" / "bundle.json").read_text())
    manifest["provenance"]["weights_sha256"] = "abc"
    (models / "small" / "bundle.json").write_text(json.dumps(manifest))
    assert bundle_of(interrupted_run, models) is None
    RunFolder(interrupted_run).update_record(finished=True, weights_sha256="abc")
    assert bundle_of(interrupted_run, models) == "small"
    (models / "small").rename(models / ".making-a1")  # as a kill leaves it
    assert bundle_of(interrupted_run, models) is None
    (models / ".making-a1").rename(models / "small")
    table = load_bundle("small", models).predictions()
    test = table[table["split"] == "test"]
    row = history_rows(root=models)[0]
    assert row["test_auc"] == pytest.approx(roc_auc(test["label"], test["logit"]))
    assert (row["run"], row["state"], row["bundle"], row["epoch"], row["epochs"]) == (
        interrupted_run.name,
        "finished",
        "small",
        3,
        9,
    )
    assert (row["val_auc"], row["val_loss"], row["seconds"]) == (0.9, 0.6, 33)


def test_of_equal_bundles_a_run_knows_the_one_that_it_recorded(models, interrupted_run):
    manifest = json.loads((models / "small" / "bundle.json").read_text())
    manifest["provenance"]["weights_sha256"] = "abc"
    for name in ("first", "second"):
        (models / name).mkdir()
        (models / name / "bundle.json").write_text(json.dumps(manifest))
    RunFolder(interrupted_run).update_record(finished=True, weights_sha256="abc")
    assert bundle_of(interrupted_run, models) == "first"
    for recorded, found in (("second", "second"), ("small", "first"), ("gone", "first")):
        StatusWriter(interrupted_run).end("finished", bundle=recorded)
        assert bundle_of(interrupted_run, models) == found


@pytest.mark.parametrize("manifest", ['{"provenance": null}', '{"provenance": ["x"]}', "[]", "[" * 200_000])
def test_a_bundle_with_a_damaged_manifest_costs_no_run_its_row(models, interrupted_run, manifest):
    (models / "broken").mkdir()
    (models / "broken" / "bundle.json").write_text(manifest)
    RunFolder(interrupted_run).update_record(finished=True, weights_sha256="abc")
    (row,) = history_rows(root=models)
    assert row["bundle"] is None and row["val_auc"] == 0.9


def test_a_note_in_another_encoding_is_shown_as_far_as_it_can_be(models, interrupted_run):
    (interrupted_run / "note.txt").write_bytes("gut für".encode("latin-1"))
    assert history_rows(root=models)[0]["note"] == "gut f\ufffdr"


@pytest.mark.parametrize("recipe", ['{"name": "one", "warp": 1}', "[" * 200_000])
def test_a_run_whose_recipe_cannot_be_read_says_so_in_its_row(models, interrupted_run, recipe):
    other = shutil.copytree(interrupted_run, interrupted_run.with_name("20250102-030405-other"))
    (other / "recipe.json").write_text(recipe)
    first, second = history_rows(root=models)
    assert first["val_auc"] == 0.9 and not first["bundle"]
    assert "recipe" in second["error"] and second["val_auc"] is None


def test_a_damaged_run_is_listed_and_can_be_deleted(interrupted_run, models):
    shutil.copytree(interrupted_run, interrupted_run.parent / ".deleted-a1")  # a deletion that was truncated
    (interrupted_run / "run.json").write_text('{"finished": tr')
    (one,) = list_runs()
    assert one.run == interrupted_run and one.state == "failed"
    (row,) = history_rows(root=models)
    assert "run.json" in row["error"] or "cannot be read" in row["error"], row
    delete_run(interrupted_run)
    assert list_runs() == []


def test_a_run_deleted_while_it_is_read_costs_no_other(interrupted_run, monkeypatch):
    other = shutil.copytree(interrupted_run, interrupted_run.with_name("other"))

    def disk_usage(folder):
        if folder == other:
            raise FileNotFoundError(folder)
        return SimpleNamespace(free=1 << 40)

    monkeypatch.setattr("fracture_core.jobs.status.shutil.disk_usage", disk_usage)
    assert [one.run for one in list_runs()] == [interrupted_run]


def test_the_best_epoch_is_by_the_recipes_monitor():
    assert best_epoch(HISTORY, Recipe(name="x", monitor="auc"))["epoch"] == 2
    assert best_epoch(HISTORY, Recipe(name="x", monitor="loss"))["epoch"] == 2
    assert best_epoch(HISTORY[:1], Recipe(name="x"))["epoch"] == 1


def test_notes_and_deletion_stay_among_the_runs(interrupted_run, tmp_path):
    write_note(interrupted_run, " as before, with a smaller rate \n")
    assert note(interrupted_run) == "as before, with a smaller rate"
    with pytest.raises(RunError, match=r"at most 4,000"):
        write_note(interrupted_run, "x" * 5000)
    stranger = tmp_path / "elsewhere"
    shutil.copytree(interrupted_run, stranger)
    for outside in (stranger, interrupted_run / ".." / ".." / "elsewhere"):
        with pytest.raises(RunError, match="not a run under"):
            delete_run(outside)
        with pytest.raises(RunError, match="not a run under"):
            write_note(outside, "x")
    delete_run(interrupted_run)
    for again in (lambda: delete_run(interrupted_run), lambda: rename_run(interrupted_run, "other")):
        with pytest.raises(RunError, match="no longer there: it was deleted or renamed"):
            again()
    assert not interrupted_run.exists() and stranger.is_dir() and history_rows() == []


def test_recipes_are_told_apart_by_their_choices():
    one = Recipe(name="one")
    other = one.replace(name="two", epochs=3, augmentation=replace(one.augmentation, zoom=0.2))
    assert recipe_differences({"a": one, "b": other}) == [
        {"Setting": "Epochs", "a": "25", "b": "3"},
        {"Setting": "Augmentation: zoom", "a": "0", "b": "0.2"},
    ]
    assert recipe_differences({"a": one, "b": one.replace(name="two")}) == []
