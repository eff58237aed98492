"""The pages without a browser: each control, run by Streamlit's own test harness on the small bundle."""

from __future__ import annotations

import io
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.testing.v1 import AppTest

from fracture_core.bundle.loading import load_bundle
from fracture_core.concurrency import RequestQueue
from fracture_core.imaging.adjustment import Adjustment
from fracture_core.inference.predictor import Predictor
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.reporting.film_session import FilmSession
from fracture_core.reporting.finding_text import DISCLAIMER, NEEDS_YOU
from pages.parts.diagnose import uploads
from pages.parts.shared import engine_queue as turns
from pages.parts.shared.sidebar import ONE_THRESHOLD, THREE_ANSWERS, escape_markdown
from tests.support import dicom_files as dicom
from tests.support.miniature import picture

ROOT = Path(__file__).parents[2]


@pytest.fixture
def app(small_models, monkeypatch) -> AppTest:
    """The diagnose page on the small bundle and its dataset."""
    st.cache_resource.clear()
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(small_models))
    monkeypatch.setenv("FRACATLAS_DIR", str(small_models.parent / "data"))
    return AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120)


def text(app: AppTest) -> str:
    kinds = ("markdown", "caption", "error", "warning", "info", "html", "title")
    return "\n".join(str(getattr(one, "value", one)) for kind in kinds for one in app.get(kind)) + "\n".join(
        str(one.proto.body) for one in app.get("html")
    )


def files(small_models, n: int) -> list[tuple[str, bytes, str]]:
    paths = sorted((small_models.parent / "data" / "images").glob("*/*.jpg"))[:n]
    return [(path.name, path.read_bytes(), "image/jpeg") for path in paths]


def shown(app: AppTest, component: str) -> dict:
    """What the page hands to one of its own components."""
    (proto,) = [one.proto for one in app.get("bidi_component") if one.proto.component_name == component]
    return json.loads(proto.mixed.json if proto.WhichOneof("data") == "mixed" else proto.json)


def button(app: AppTest, label: str):
    return next(b for b in app.button if b.label == label)


def test_an_empty_page_offers_examples_and_says_what_it_is_not(app):
    app.run()
    assert not app.exception
    assert DISCLAIMER in text(app)
    first = [tile["id"] for tile in shown(app, "radiograph_gallery")["tiles"]]
    assert first == [entry["image_id"] for entry in json.loads((ROOT / "pages/examples/examples.json").read_text())]
    assert all(tile["src"] for tile in shown(app, "radiograph_gallery")["tiles"])
    button(app, "More examples").click().run()
    others = [tile["id"] for tile in shown(app, "radiograph_gallery")["tiles"]]
    assert len(others) == 8 and not set(others) & set(first)


def test_one_file_gets_an_answer(app, small_models):
    app.run()
    # Another upload has just been taken in, which the browser does not know yet: this one must not be lost.
    app.session_state["uploads_taken"] = 1
    app.file_uploader[0].set_value(files(small_models, 1)).run()
    assert not app.exception
    assert 'class="answer"' in text(app)


def test_a_file_whose_uploader_was_replaced_meanwhile_is_taken_in(monkeypatch):
    manager = MemoryUploadedFileManager("/upload")
    context = SimpleNamespace(session_id="one", uploaded_file_mgr=manager)
    monkeypatch.setattr(uploads, "get_script_run_ctx", lambda: context)
    films = FilmSession()
    monkeypatch.setattr(uploads, "film_session", lambda: films)
    assert not uploads.take_stray()
    manager.add_file("one", UploadedFileRec("1", "late.png", "image/png", b"late"))
    manager.add_file("another session", UploadedFileRec("2", "theirs.png", "image/png", b"theirs"))
    assert uploads.take_stray() and [(film.name, film.data) for film in films.films] == [("late.png", b"late")]
    assert not manager.get_files("one", ["1"]) and manager.get_files("another session", ["2"])


def test_many_files_get_a_worklist_with_the_bad_one_on_top(app, small_models):
    app.run()
    bad = ("=evil[x](y).txt", b"no picture", "text/plain")
    app.file_uploader[0].set_value([*files(small_models, 4), bad]).run()
    assert not app.exception
    rows = shown(app, "radiograph_worklist")["rows"]
    assert len(rows) == 5
    unread = [row for row in rows if row["kind"] == "not-read"]
    assert rows[: len(unread)] == unread and rows[0]["open"]
    assert bad[0] in [row["name"] for row in unread] and {row["short"] for row in unread} == {NEEDS_YOU}
    assert "Not read: " in text(app)
    for place in range(2, 6):
        button(app, "Next").click().run()
        assert not app.exception
        assert f"**{place}** of 5" in text(app)
        assert [row["open"] for row in shown(app, "radiograph_worklist")["rows"]].index(True) == place - 1
    assert button(app, "Next").disabled
    films = app.session_state["films"]
    app.session_state["open"] = next(film.key for film in films.films if film.name == bad[0])
    app.run()
    assert "Not read: the file could not be opened" in text(app)


def test_each_upload_is_inferred_once_whatever_is_opened_or_chosen(app, small_models, monkeypatch):
    inferred = []
    predict = Predictor.predict
    monkeypatch.setattr(Predictor, "predict", lambda self, r, **how: inferred.append(r.name) or predict(self, r, **how))
    app.run()
    chosen = files(small_models, 3)
    app.file_uploader[0].set_value(chosen).run()
    for _ in range(2):
        button(app, "Next").click().run()
    app.selectbox(key="operating_point").set_value(ONE_THRESHOLD).run()
    assert sorted(inferred) == sorted(name for name, _, _ in chosen)
    assert ("Above threshold" in text(app)) or ("Below threshold" in text(app)) or ("Not read" in text(app))


def test_films_findings_and_readings_outlive_a_visit_to_another_page(app, small_models):
    app.run()
    app.file_uploader[0].set_value(files(small_models, 2)).run()
    button(app, "Next").click().run()
    name = next(row["name"] for row in shown(app, "radiograph_worklist")["rows"] if row["open"])
    key = app.session_state["open"]
    app.segmented_control(key=f"reading {key}").set_value("No fracture").run()
    app.switch_page("pages/model_card.py").run()
    app.switch_page("pages/diagnose.py").run()
    assert not app.exception
    rows = shown(app, "radiograph_worklist")["rows"]
    assert len(rows) == 2
    assert [(row["name"], row["reading"]) for row in rows if row["open"]] == [(name, "No fracture")]
    button(app, "Clear all").click().run()
    assert not app.session_state["films"].films
    assert not app.get("bidi_component") or "radiograph_viewer" not in [
        one.proto.component_name for one in app.get("bidi_component")
    ]


def test_a_film_lying_on_its_side_can_be_turned_and_read_again(app, small_models):
    app.run()
    app.file_uploader[0].set_value(files(small_models, 1)).run()
    films = app.session_state["films"]
    key = app.session_state["open"]
    before = shown(app, "radiograph_viewer")
    films.set_options(key, adjustments=(Adjustment(quarter_turns=1),))
    app.run()
    after = shown(app, "radiograph_viewer")
    assert (after["width"], after["height"]) == (before["height"], before["width"])
    assert "turned by 90° clockwise" in text(app) or "Not read" in text(app)
    button(app, "Back to the whole image").click().run()
    assert shown(app, "radiograph_viewer")["original"] == before["original"]


def test_the_frames_and_windows_of_a_dicom_file_can_be_chosen(app):
    film = dicom.dataset(picture(3))
    film.WindowCenter, film.WindowWidth = [100, 160], [200, 40]
    film.WindowCenterWidthExplanation = ["WHOLE", "BONE"]
    app.run()
    app.file_uploader[0].set_value([("two.dcm", dicom.file_bytes(film), "application/dicom")]).run()
    assert not app.exception
    (choice,) = [one for one in app.selectbox if one.label == "Window"]
    first = shown(app, "radiograph_viewer")["original"]
    choice.set_value(1).run()
    assert not app.exception
    assert shown(app, "radiograph_viewer")["original"] != first


def test_the_operating_points_are_the_bundles_and_the_saved_ones(app, small_models):
    app.run()
    assert app.selectbox(key="operating_point").options[:2] == [THREE_ANSWERS, ONE_THRESHOLD]
    load_bundle("small", small_models).save_point(OperatingPoint("night shift", 0.4, "by eye", "val", 0.8, 0.7))
    app.run()
    app.selectbox(key="operating_point").set_value("Saved: night shift").run()
    assert not app.exception
    assert any("Night shift" in caption.proto.help for caption in app.sidebar.caption)
    (small_models / "small" / "chosen_points.json").unlink()


def test_without_a_model_the_page_says_what_to_do(app, monkeypatch, tmp_path):
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(tmp_path))
    app.run()
    assert not app.exception
    assert "Train one" in app.error[0].value


def test_a_damaged_model_is_a_sentence(app, small_models, monkeypatch, tmp_path):
    shutil.copytree(small_models / "small", tmp_path / "small")
    (tmp_path / "small" / "weights.safetensors").write_bytes(b"other")
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(tmp_path))
    app.run()
    assert not app.exception
    assert "altered or damaged" in app.error[0].value


def test_without_the_dataset_there_are_radiographs_to_click_and_a_way_to_get_it(app, monkeypatch, tmp_path):
    monkeypatch.setenv("FRACATLAS_DIR", str(tmp_path))
    app.run()
    assert not app.exception
    assert len(shown(app, "radiograph_gallery")["tiles"]) == 8
    assert any("Get all of FracAtlas" in one.proto.label for one in app.get("page_link"))


def test_a_cut_short_file_can_be_read_as_far_as_it_goes(app):
    buffer = io.BytesIO()
    rows = np.add.outer(np.arange(400), np.arange(300)) % 251
    Image.fromarray(rows.astype(np.uint8)).save(buffer, "JPEG", quality=95)
    whole = buffer.getvalue()
    app.run()
    app.file_uploader[0].set_value([("short.jpg", whole[: len(whole) // 2], "image/jpeg")]).run()
    assert "Not read: part of the image is missing or wrong" in text(app)
    app.checkbox(key="damaged").check().run()
    assert not app.exception
    assert "part of the image is missing or wrong" not in text(app)
    assert 'class="answer"' in text(app)


def test_a_busy_engine_shows_the_place_in_the_line_until_its_turn_comes(app, small_models, monkeypatch):
    line, told = RequestQueue(at_once=1), []
    monkeypatch.setattr(turns, "_line", line)
    info = DeltaGenerator.info
    monkeypatch.setattr(DeltaGenerator, "info", lambda self, text, **how: told.append(text) or info(self, text, **how))
    app.run()
    app.file_uploader[0].set_value(files(small_models, 1))
    with ThreadPoolExecutor(1) as pool:
        with line.turn():
            run = pool.submit(app.run)
            end = time.monotonic() + 60
            while not told and time.monotonic() < end:
                time.sleep(0.05)
            assert not run.done()
        run.result(60)
    assert told == ["Busy with other radiographs. You are number 1 in the queue."]
    assert not app.exception and 'class="answer"' in text(app)
    assert "number 1" not in text(app)


def test_a_full_line_is_a_sentence_and_the_file_is_read_later(app, small_models, monkeypatch):
    line = RequestQueue(places=0, at_once=1)
    monkeypatch.setattr(turns, "_line", line)
    app.run()
    app.file_uploader[0].set_value(files(small_models, 1))
    with line.turn():
        app.run()
        assert not app.exception and not app.error
        assert "The server is busy" in app.warning[0].value
        assert 'class="answer"' not in text(app) and DISCLAIMER in text(app)
    next(b for b in app.button if b.label == "Try again").click().run()
    assert not app.exception and not any("busy" in one.value for one in app.warning)
    assert 'class="answer"' in text(app)


@pytest.mark.parametrize("words", ["a_b*c*", "[x](y)", "<b>", "`x`", "$a$", ":material/x:", "1. x", "a&amp;b"])
def test_text_from_files_is_shown_as_it_is(words):
    escaped = escape_markdown(words)
    assert escaped.replace("\\", "") == words
    assert all(escaped[i - 1] == "\\" for i, c in enumerate(escaped) if c in "*_[]()<>`$:&")
