"""The pages without a browser: each control, run by Streamlit's own test harness on the small bundle."""

from __future__ import annotations

import ast
import io
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from fracture_core.bundle.bundle import load_bundle
from fracture_core.concurrency import RequestQueue
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.reporting.finding_text import DISCLAIMER
from pages.parts.shared import engine_queue as turns
from pages.parts.shared.sidebar import ONE_THRESHOLD, THREE_ANSWERS, escape_markdown

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


def test_an_empty_page_offers_examples_and_says_what_it_is_not(app):
    app.run()
    assert not app.exception
    assert DISCLAIMER in text(app)
    assert [b.label for b in app.button if b.label.startswith("Read ")] == [f"Read {n}" for n in range(1, 9)]
    first = [b.key for b in app.button if b.label.startswith("Read ")]
    next(b for b in app.button if b.label == "Other examples").click().run()
    assert [b.key for b in app.button if b.label.startswith("Read ")] != first


def test_one_file_gets_an_answer(app, small_models):
    app.run()
    app.file_uploader[0].set_value(files(small_models, 1)).run()
    assert not app.exception
    assert 'class="answer"' in text(app)


def test_many_files_get_a_table_with_the_bad_one_in_it(app, small_models):
    app.run()
    bad = ("=evil[x](http://x).txt", b"no picture", "text/plain")
    app.file_uploader[0].set_value([*files(small_models, 4), bad]).run()
    assert not app.exception
    table = app.dataframe[0].value
    assert len(table) == 5
    assert table["finding"].tolist()[0] == "not read"
    assert table["notes"].tolist()[0]
    assert "could not be read" in app.error[0].value
    assert "[x](http" not in app.error[0].value
    for place in range(2, 6):
        next(b for b in app.button if b.label == "Next").click().run()
        assert f"**{place}** of 5" in text(app)
    assert next(b for b in app.button if b.label == "Next").disabled
    assert not app.error


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


def test_without_the_dataset_the_page_says_how_to_get_it(app, monkeypatch, tmp_path):
    monkeypatch.setenv("FRACATLAS_DIR", str(tmp_path))
    app.run()
    assert not app.exception
    assert "python -m fracture_core download" in app.info[0].value


def test_a_cut_short_file_can_be_read_as_far_as_it_goes(app):
    buffer = io.BytesIO()
    rows = np.add.outer(np.arange(400), np.arange(300)) % 251
    Image.fromarray(rows.astype(np.uint8)).save(buffer, "JPEG", quality=95)
    whole = buffer.getvalue()
    app.run()
    app.file_uploader[0].set_value([("short.jpg", whole[: len(whole) // 2], "image/jpeg")]).run()
    assert "could not be read" in app.error[0].value
    app.checkbox(key="damaged").check().run()
    assert not app.exception
    assert not app.error
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
    assert told == ["Busy with other radiographs: position 1 in the line."]
    assert not app.exception and 'class="answer"' in text(app)
    assert "position 1" not in text(app)


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


def test_pages_import_no_training_library():
    for path in (ROOT / "pages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [n for n in names if n.split(".")[0] in {"tensorflow", "keras", "torch"}], path
