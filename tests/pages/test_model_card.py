"""The model card page without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from sklearn import metrics as sk
from streamlit.testing.v1 import AppTest

from fracture_core.bundle.loading import load_bundle
from fracture_core.metrics.operating_points import FINDINGS
from fracture_core.reporting.finding_text import DISCLAIMER
from fracture_core.reporting.model_summary import INTENDED_USE, NOT_FOR

ROOT = Path(__file__).parents[2]


@pytest.fixture
def app(small_models, monkeypatch) -> AppTest:
    st.cache_resource.clear()
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(small_models))
    monkeypatch.setenv("FRACATLAS_DIR", str(small_models.parent / "data"))
    opened = AppTest.from_file(str(ROOT / "pages" / "model_card.py"), default_timeout=120).run()
    assert not opened.exception
    return opened


def text(app: AppTest) -> str:
    return "\n".join(str(one.value) for kind in ("markdown", "caption", "subheader") for one in app.get(kind))


def test_the_first_screen_says_what_it_is_for_and_three_figures_of_scikit_learn(app, small_models):
    said = text(app)
    assert all(sentence in said for sentence in (*INTENDED_USE, *NOT_FOR))
    assert DISCLAIMER in said
    bundle = load_bundle("small", small_models)
    test = bundle.predictions().query("split == 'test'")
    flagged = test["probability"] >= bundle.points["single"].threshold
    expected = [
        sk.roc_auc_score(test["label"], test["probability"]),
        sk.recall_score(test["label"], flagged),
        sk.recall_score(1 - test["label"], ~flagged),
    ]
    figures, answers = app.metric[:3], app.metric[3:]
    assert [one.value for one in figures] == [f"{value:.3f}" for value in expected]
    assert [one.label for one in answers] == [finding.capitalize() for finding in FINDINGS]
    assert sum(int(one.value) for one in answers) == len(test)


def test_the_rest_is_said_once(app):
    said = text(app)
    assert said.count("Limits") >= 1
    assert "## " not in said and "model-index" not in said
    headings = [one.value for one in app.subheader]
    assert len(headings) == len(set(headings))
    checklist = next(table.value for table in app.table if "Item" in table.value)
    assert checklist["No."].tolist() == [str(number) for number in range(1, 45)]
