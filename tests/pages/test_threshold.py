"""The threshold page without a browser: each control, and every figure against scikit-learn on the same predictions."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from sklearn import metrics as sk
from streamlit.testing.v1 import AppTest

from fracture_core.bundle.bundle import load_bundle
from fracture_core.bundle.saved_points import RULE_IN, RULE_OUT
from fracture_core.evaluation.predictions import Predictions, split_predictions
from fracture_core.reporting.finding_text import DISCLAIMER
from tests.support.sklearn_figures import as_shown, of_sklearn

ROOT = Path(__file__).parents[2]
THRESHOLDS = (0.05, 0.2, 0.5, 0.8)


@pytest.fixture
def app(own_models, monkeypatch) -> AppTest:
    """The threshold page on the small bundle, FracAtlas nowhere."""
    st.cache_resource.clear()  # copies of one bundle look alike to the page's caches
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(own_models))
    monkeypatch.setenv("FRACATLAS_DIR", str(own_models / "nowhere"))
    opened = AppTest.from_file(str(ROOT / "pages" / "threshold.py"), default_timeout=120).run()
    opened.selectbox(key="bundle").set_value("small").run()
    assert not opened.exception
    return opened


@pytest.fixture
def small(own_models) -> dict[str, Predictions]:
    return split_predictions(load_bundle("small", own_models))


def table_of(app: AppTest) -> dict[str, str]:
    table = app.table[0].value
    return dict(zip(table["Metric"], table["Value"], strict=True))


def counts(app: AppTest) -> dict[str, int]:
    labels = {cell: app.button(key=f"cell_{cell}").label for cell in ("TN", "FP", "FN", "TP")}
    return {cell: int(label.split("**")[1]) for cell, label in labels.items()}


def text(app: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "error", "success", "subheader")
    return "\n".join(str(one.value) for kind in kinds for one in app.get(kind))


def go(app: AppTest, key: str, value) -> AppTest:
    app.session_state[key] = value
    return app.run()


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_figures_matrix_and_rows_are_scikit_learns(app, small, threshold):
    app.slider(key="threshold_slider").set_value(threshold).run()
    val = small["val"]
    assert table_of(app) == as_shown(of_sklearn(val.labels, val.probabilities, threshold))
    expected = sk.confusion_matrix(val.labels, val.probabilities >= threshold, labels=[0, 1]).ravel()
    assert list(counts(app).values()) == expected.tolist()
    for cell, n in counts(app).items():
        app.button(key=f"cell_{cell}").click().run()
        assert not app.exception
        if n:
            shown = app.dataframe[0].value
            assert len(shown) == n
            assert (shown["Probability"].to_numpy() >= threshold).all() == (cell in ("TP", "FP"))
        else:
            assert "There are none at this threshold." in text(app)


def test_the_page_needs_no_dataset_and_says_so(app):
    assert DISCLAIMER in text(app)
    cell = max(counts(app), key=counts(app).get)
    app.button(key=f"cell_{cell}").click().run()
    assert "python -m fracture_core download" in text(app)
    assert len(app.dataframe[0].value) == counts(app)[cell]
    app.button(key=f"cell_{cell}").click().run()
    assert not app.dataframe


def test_with_the_dataset_a_cell_shows_pictures(app, small_models, monkeypatch):
    monkeypatch.setenv("FRACATLAS_DIR", str(small_models.parent / "data"))
    cell = max(counts(app), key=counts(app).get)
    app.button(key=f"cell_{cell}").click().run()
    assert not app.exception
    assert len(app.get("image") or app.get("imgs")) == min(counts(app)[cell], 10)


def test_slider_field_and_points_are_one_threshold(app, own_models):
    app.number_input(key="threshold_exact").set_value(0.4321).run()
    assert app.slider(key="threshold_slider").value == 0.4321
    rule_in = load_bundle("small", own_models).points["rule_in"]
    app.button(key="go_rule_in").click().run()
    assert app.slider(key="threshold_slider").value == min(rule_in.threshold, 1.0)
    assert app.session_state["threshold_setting"].criterion == rule_in.criterion


def test_nobody_chooses_on_test_unknowingly(app, small):
    go(app, "threshold_split", "test")
    assert app.slider(key="threshold_slider").disabled
    assert app.number_input(key="threshold_exact").disabled
    assert "test radiographs" in text(app)
    test = small["test"]
    threshold = app.session_state["threshold_setting"].threshold
    assert table_of(app) == as_shown(of_sklearn(test.labels, test.probabilities, threshold))
    app.toggle(key="threshold_unlock").set_value(True).run()
    app.slider(key="threshold_slider").set_value(0.6).run()
    assert "set while looking at test" in text(app)
    go(app, "threshold_split", "val")
    assert "set while looking at test" in text(app)  # it does not wash off
    go(app, "threshold_tab", "Save")
    assert "saved as chosen on test" in text(app)


def test_suggestions_come_from_validation_and_can_be_used(app, small):
    app.number_input(key="target_sensitivity").set_value(0.8).run()
    app.number_input(key="miss_cost").set_value(30.0).run()
    app.button(key="use_target sensitivity").click().run()
    setting = app.session_state["threshold_setting"]
    assert setting.split == "val"
    assert "0.8" in setting.criterion
    val = small["val"]
    assert sk.recall_score(val.labels, val.probabilities >= setting.threshold) >= 0.8
    table = app.table[1].value
    test = small["test"]
    shown = sk.recall_score(test.labels, test.probabilities >= setting.threshold)
    assert table["Sens. test"][0] == f"{shown:.3f}"


def test_triage_counts_its_zones(app, small):
    go(app, "threshold_tab", "Triage")
    app.slider(key="triage_slider").set_value((0.3, 0.6)).run()
    probabilities, labels = small["val"].probabilities, small["val"].labels
    below, above = probabilities < 0.3, probabilities >= 0.6
    zones = app.table[1].value
    assert zones["Radiographs"].tolist() == [below.sum(), (~below & ~above).sum(), above.sum()]
    assert zones["Fractured"].tolist() == [labels[z].sum() for z in (below, ~below & ~above, above)]


def test_prevalence_changes_ppv_as_bayes_says(app, small):
    app.slider(key="threshold_slider").set_value(0.5).run()
    go(app, "threshold_tab", "Prevalence")
    app.slider(key="prevalence").set_value(40.0).run()
    assert not app.exception
    val = small["val"]
    s = of_sklearn(val.labels, val.probabilities, 0.5)
    called = 0.4 * s["Sensitivity"] + 0.6 * (1 - s["Specificity"])
    shown = app.metric[0].value
    assert shown.startswith(f"{0.4 * s['Sensitivity'] / called:.3f}" if called else "undefined")


@pytest.mark.parametrize("tab", ["Calibration", "Subgroups", "Compare"])
def test_every_tab_draws(app, tab):
    go(app, "threshold_tab", tab)
    assert not app.exception
    assert not app.error
    if tab == "Subgroups":
        assert "too few" in app.table[1].value.to_string()  # the miniature has hardly ten fractures
    if tab == "Compare":
        assert "0.000 (0.000 to 0.000)" in text(app).replace("\u00a0", " ")  # a bundle and its copy


def test_points_are_saved_and_offered_at_once(app, own_models):
    go(app, "threshold_tab", "Save")
    app.text_input(key="save_name").set_value("night shift")
    app.text_area(key="save_note").set_value("fewer call-backs")
    app.button(key="save").click().run()
    assert not app.exception
    assert "Saved: night shift" in app.selectbox(key="operating_point").options
    app.radio(key="save_what").set_value("The triage pair").run()
    app.text_input(key="save_name").set_value("day shift")
    app.button(key="save").click().run()
    assert "Saved: day shift" in app.selectbox(key="operating_point").options
    app.button(key="save").click().run()
    assert "already" in app.error[0].value
    saved = load_bundle("small", own_models).chosen_points()
    assert [p.name for p in saved] == ["night shift", "day shift" + RULE_OUT, "day shift" + RULE_IN]
    assert saved[0].note == "fewer call-backs"
    assert saved[0].split == "val"
