"""The training page without a browser: what the form refuses, a running run, a result, a promotion, the history."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fracture_core.bundle.loading import current_bundle, load_bundle
from fracture_core.data.split import Split
from fracture_core.jobs import promotion
from fracture_core.jobs.control import Job, StatusWriter, get_request, set_request
from fracture_core.jobs.lock import training_lock
from fracture_core.metrics.curves import roc_auc
from fracture_core.metrics.formatting import figure
from fracture_core.recipe import Recipe
from fracture_core.training.presets import PRESETS
from fracture_core.training.run_folder import RunFolder
from pages.parts.training import run_table as history

ROOT = Path(__file__).parents[2]
EPOCHS = [{"epoch": 1.0, "loss": 0.9, "val_loss": 0.8, "val_auc": 0.6, "val_ap": 0.5, "seconds": 10.0}]


@pytest.fixture
def root(own_models, small_models, tmp_path, monkeypatch) -> Path:
    """Models, runs and caches of the test's own; FracAtlas is the small dataset."""
    st.cache_resource.clear()
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(own_models))
    monkeypatch.setenv("FRACATLAS_DIR", str(small_models.parent / "data"))
    for name in ("RUNS", "CACHE"):
        monkeypatch.setenv(f"FRACTURE_{name}_DIR", str(tmp_path / name.lower()))
    return tmp_path


def page(**state) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "training.py"), default_timeout=240)
    for key, value in state.items():
        app.session_state[key] = value
    app.run()
    for _ in range(240):  # a machine with much to do still reads the dataset
        if "Reading the dataset" not in str([bar.proto.text for bar in app.get("progress")]):
            break
        time.sleep(0.5)
        app.run()
    assert not app.exception
    return app


def text(app: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "error", "success", "subheader")
    return "\n".join(str(one.value) for kind in kinds for one in app.get(kind)).replace("\\", "")


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button}


def make_run(root: Path, name: str, **choices) -> Path:
    """A run that was begun, trained an epoch, and is not running."""
    folder = RunFolder(root / "runs" / name)
    folder.path.mkdir(parents=True)
    folder.write_recipe(Recipe(**{"name": "x", "epochs": 8, **choices}))
    folder.write_history(EPOCHS)
    Job(None, "x").write(folder.path)
    return folder.path


def test_the_form_says_what_it_found_and_refuses_what_makes_no_sense(root):
    app = page()
    assert "60 radiographs, 20 with a fracture" in text(app)
    assert "Not measured on this machine yet." in text(app) and "start_run" in keys(app)
    assert [one.value for one in app.get("markdown") if "typically" in one.value] == [
        f"**typically {preset.typical}**" for preset in PRESETS.values()
    ]
    assert app.number_input(key="choice_try_epochs").value == 3
    app.number_input(key="choice_try_image_size").set_value(100).run()
    assert "must be a multiple of 32" in app.error[0].value.replace("\\", "")
    assert app.button(key="start_run").disabled
    app.number_input(key="choice_try_image_size").set_value(224).run()
    app.text_input(key="train_name").set_value("of/mine").run()
    assert "cannot be used as a name" in app.error[0].value and app.button(key="start_run").disabled
    app.text_input(key="train_name").set_value("mine").run()
    assert not app.error and not app.button(key="start_run").disabled
    app.segmented_control(key="train_preset").set_value("reference").run()
    assert not app.error and app.toggle(key="choice_reference_fast_path").value is False

    (root / "letters").mkdir()
    app.segmented_control(key="train_on").set_value("My own folder").run()
    assert "start_run" not in keys(app)
    app.text_input(key="train_folder").set_value(str(root / "letters")).run()
    assert len(app.error) == 1 and app.error[0].value.endswith(".") and "start_run" not in keys(app)


def test_a_start_that_is_refused_is_a_sentence(root):
    app = page()
    app.text_input(key="train_name").set_value("small")
    app.selectbox(key="train_start_try_densenet121").set_value("none")
    app.button(key="start_run").click().run()
    assert "already a bundle named 'small'" in text(app) and not app.exception
    assert not list((root / "runs").glob("*-*"))


def test_a_run_at_work_is_watched_from_its_folder_alone(root):
    run = make_run(root, "20260101-000000-x")
    with training_lock(run):
        writer = StatusWriter(run)
        writer.write("training", done=30, total=80, epoch=3, epochs=8, images_per_second=41.5, seconds_left=120.0)
        (run / "log.txt").write_text("something was done\n")
        app = page()
        assert "20260101-000000-x: running" in text(app)
        assert [one.value for one in app.metric] == ["3 of 8", "41.5", "2 min"]
        assert app.code[0].value == "something was done"
        app.button(key="start_run").click().run()
        assert "is training on this machine" in text(app)
        app.button(key="pause").click().run()
        assert get_request(run) == "pause"
        assert "pausing after the current step" in text(app) and "pause" not in keys(app)
        writer.set_paused(True)
        app.run()
        assert "20260101-000000-x: paused" in text(app)
        app.button(key="go_on").click().run()
        assert get_request(run) is None
        app.button(key="cancel").click().run()
        assert get_request(run) == "stop" and "stop_at_once" in keys(app) and app.button(key="cancel").disabled
    app.run()  # the process is gone, as after "Stop now": its user did that, and the page says so
    assert "stopped by a user" in text(app) and "resume" in keys(app)
    set_request(run, None)
    app.run()
    assert "interrupted" in text(app) and "resume" in keys(app)
    writer.end("stopped", error="The system told it to stop.")
    app.run()
    assert "The system told it to stop." in text(app) and "by a user" not in text(app)
    writer.end("failed", error="The disk is full.")
    app.run()
    assert "The disk is full." in text(app)


@pytest.fixture
def finished(root, own_models) -> Path:
    """A run that ended in the bundle `other`, which was trained on three of the test images of `small`."""
    run = make_run(root, "20260102-000000-other")
    manifest = own_models / "other" / "bundle.json"
    data = json.loads(manifest.read_text())
    data["provenance"]["weights_sha256"] = "abc"
    manifest.write_text(json.dumps(data))
    table = load_bundle("other", own_models).predictions()
    tested = tuple(table.loc[table["split"] == "test", "image_id"])
    RunFolder(run).write_setup(Recipe(name="other", epochs=8), Split(tested[:3], (), tested, {}))
    RunFolder(run).update_record(finished=True, weights_sha256="abc")
    StatusWriter(run).end("finished", bundle="other")
    return run


def fair(monkeypatch, run: Path) -> None:
    """Let the run have trained on none of the test images, and let a few test images do."""
    monkeypatch.setattr(promotion, "FEWEST_TEST_IMAGES", 5)
    split = RunFolder(run).split()
    RunFolder(run).write_setup(Recipe(name="other", epochs=8), Split((), (), split.test, {}))
    RunFolder(run).update_record(finished=True, weights_sha256="abc")


def test_a_biased_or_small_comparison_offers_no_promotion(finished, own_models, monkeypatch):
    (own_models / "current.json").write_text('{"bundle": "small"}')
    app = page(training_section="result")
    assert any("trained on 3 of the" in one.value.replace("\\", "") for one in app.error)
    assert "The comparison is biased" in text(app) and "it takes at least 50" in text(app)
    assert "use_this other" not in keys(app)
    fair(monkeypatch, finished)
    st.cache_resource.clear()
    app = page(training_section="result")
    assert not app.error and "use_this other" in keys(app)
    monkeypatch.setattr(promotion, "FEWEST_TEST_IMAGES", 50)
    app.run()
    assert "it takes at least 50" in text(app) and "use_this other" not in keys(app)


def test_a_result_is_compared_promoted_and_put_back(finished, own_models, monkeypatch):
    fair(monkeypatch, finished)
    (own_models / "current.json").write_text('{"bundle": "small"}')
    app = page(training_section="result")
    table = load_bundle("other", own_models).predictions()
    test = table[table["split"] == "test"]
    auc = figure(roc_auc(test["label"], test["logit"]))
    assert [one.value for one in app.metric] == [auc, auc]
    assert "Neither is shown to be better" in text(app)
    assert "the default model for all users of this app" in text(app)
    before = {p: p.read_bytes() for p in own_models.glob("*/*")}
    app.button(key="use_this other").click().run()
    assert current_bundle(own_models) == "other" and "other is now in use on every page." in text(app)
    assert app.session_state["bundle"] == "other" and "use_this other" not in keys(app)
    app.selectbox(key="training_other").set_value("small").run()
    app.button(key="use_other small").click().run()
    assert current_bundle(own_models) == "small" and "In use: small" in text(app)
    assert {p: p.read_bytes() for p in own_models.glob("*/*")} == before
    assert not app.exception


def test_a_damaged_run_hides_no_result(finished, root, own_models):
    (own_models / "current.json").write_text('{"bundle": "small"}')
    damaged = make_run(root, "20260101-000000-damaged")
    (damaged / "run.json").write_text("")
    (own_models / "broken").mkdir()
    (own_models / "broken" / "bundle.json").write_text('{"provenance": null}')
    app = page(training_section="result")
    assert app.selectbox(key="training_result").options == [finished.name]
    (finished / "history.csv").write_text("epoch,loss\n1,x\n")
    app = page(training_section="result")
    assert any("history of the run" in one.value for one in app.error)
    (finished / "note.txt").write_bytes(b"f\xfcr")
    assert len(page(training_section="history").dataframe[0].value) == 2


def test_a_damaged_bundle_is_not_promoted(finished, own_models, monkeypatch):
    fair(monkeypatch, finished)
    (own_models / "current.json").write_text('{"bundle": "small"}')
    app = page(training_section="result")
    (own_models / "other" / "card.md").write_text("altered")
    app.button(key="use_this other").click().run()
    assert current_bundle(own_models) == "small" and app.error and not app.exception


def test_all_runs_with_notes_and_the_way_to_delete_one(finished, root, monkeypatch):
    make_run(root, "20260103-000000-later", epochs=5)
    app = page(training_section="history")
    table = app.dataframe[0].value
    assert table["Run"].tolist() == ["20260103-000000-later", "20260102-000000-other"]
    assert table["State"].tolist() == ["interrupted", "finished"]
    assert table["Bundle"].tolist()[0] == "–"
    both = {"selection": {"rows": [0, 1], "columns": [], "cells": []}}
    one = {"selection": {"rows": [0], "columns": [], "cells": []}}
    asked = []
    monkeypatch.setattr(history, "st", _Selecting(asked))
    asked.append(both)
    app.run()
    differences = app.dataframe[1].value
    assert {"Setting": "Epochs", "20260103-000000-later": "5", "20260102-000000-other": "8"} in differences.to_dict(
        "records"
    )
    asked[:] = [one]
    app.run()
    written = root / "runs" / "20260103-000000-later" / "note.txt"
    app.text_area[0].set_value("a longer schedule next").run()
    assert written.read_text() == "a longer schedule next\n"
    written.write_text("of another screen\n")
    app.text_area[0].set_value("typed meanwhile").run()
    assert written.read_text() == "of another screen\n" and "Not kept: typed meanwhile" in text(app)
    assert app.text_area[0].value == "of another screen"
    app.text_input(key="rename_20260103-000000-later").set_value("longer").run()
    app.button(key="rename_run 20260103-000000-later").click().run()
    assert (root / "runs" / "20260103-000000-longer" / "note.txt").exists()
    (root / "runs" / "20260103-000000-longer").rename(root / "runs" / "20260103-000000-later")
    app.run()
    resumed = []
    monkeypatch.setattr(history.job, "resume", resumed.append)
    app.button(key="resume_chosen").click().run()
    assert [run.name for run in resumed] == ["20260103-000000-later"]
    app.button(key="delete_run 20260103-000000-later").click()
    app.run()
    assert not (root / "runs" / "20260103-000000-later").exists() and finished.exists()
    assert not app.exception


class _Selecting:
    """Streamlit, with rows of the table chosen, which AppTest cannot do."""

    def __init__(self, asked: list[dict]):
        self.asked = asked

    def __getattr__(self, name: str):
        return getattr(st, name)

    def dataframe(self, data, **options):
        event = st.dataframe(data, **options)
        if options.get("on_select") and self.asked:
            return type(event)(self.asked[0])
        return event
