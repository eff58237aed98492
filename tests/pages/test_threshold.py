"""The threshold page without a browser: each control, and every value against scikit-learn on the same predictions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import streamlit as st
from sklearn import metrics as sk
from streamlit.testing.v1 import AppTest

from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.saved_points import RULE_IN, RULE_OUT, delete_saved, save_single
from fracture_core.evaluation.predictions import Predictions, split_predictions
from fracture_core.reporting.finding_text import DISCLAIMER
from fracture_core.reporting.threshold_live import open_films_text
from fracture_core.reporting.worklist import Entry
from pages.parts.shared.sidebar import ONE_THRESHOLD, THREE_ANSWERS
from pages.parts.threshold.confusion_cell import films
from pages.parts.threshold.state import EXACT
from tests.support.predictions import like_the_test_set
from tests.support.sklearn_figures import as_shown, of_sklearn

ROOT = Path(__file__).parents[2]
#: The page, which first does what a callback of its live part would do.
PAGE = """
import streamlit as st
from fracture_core.bundle.loading import load_bundle
from fracture_core.paths import models_folder
from pages.parts.threshold.state import browser_event
if said := st.session_state.pop("test_says", None):
    browser_event(*said, load_bundle("small", models_folder()))
""" + (ROOT / "pages" / "threshold.py").read_text("utf-8").partition('"""\n')[2]
THRESHOLDS = (0.05, 0.2, 0.5, 0.8)


@pytest.fixture
def app(own_models, monkeypatch) -> AppTest:
    """The threshold page on the small bundle, FracAtlas nowhere."""
    st.cache_resource.clear()  # copies of one bundle look alike to the page's caches
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(own_models))
    monkeypatch.setenv("FRACATLAS_DIR", str(own_models / "nowhere"))
    opened = AppTest.from_string(PAGE, default_timeout=120).run()
    opened.selectbox(key="bundle").set_value("small").run()
    assert not opened.exception
    return opened


@pytest.fixture
def small(own_models) -> dict[str, Predictions]:
    return split_predictions(load_bundle("small", own_models))


def state(app: AppTest) -> dict:
    """What the server last told the live part of the page."""
    live = [one.proto for one in app.get("bidi_component") if one.proto.component_name == "threshold_live"]
    return json.loads(live[0].json)


def table_of(app: AppTest) -> dict[str, str]:
    return {row["name"]: row["value"] for row in state(app)["table"]["rows"]}


def tell(app: AppTest, event: str, value) -> AppTest:
    """Do what the page does when the browser says this, then draw it again."""
    app.session_state["test_says"] = (event, value)
    return app.run()


def move(app: AppTest, threshold: float) -> AppTest:
    return app.number_input(key=EXACT).set_value(threshold).run()


def text(app: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "error", "success", "subheader")
    return "\n".join(str(one.value) for kind in kinds for one in app.get(kind))


def go(app: AppTest, key: str, value) -> AppTest:
    app.session_state[key] = value
    return app.run()


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_metrics_and_rows_are_scikit_learns(app, small, threshold):
    move(app, threshold)
    val = small["val"]
    assert table_of(app) == as_shown(of_sklearn(val.labels, val.probabilities, threshold))
    expected = sk.confusion_matrix(val.labels, val.probabilities >= threshold, labels=[0, 1]).ravel()
    for cell, n in zip(("TN", "FP", "FN", "TP"), expected, strict=True):
        tell(app, "cell", cell)
        assert not app.exception
        assert state(app)["films"]["title"].endswith(f": {n}")
        assert len(state(app)["films"]["tiles"]) == min(n, 12)
        shown = app.dataframe[0].value
        assert len(shown) == n
        if n:
            assert (shown["Probability"].to_numpy() >= threshold).all() == (cell in ("TP", "FP"))
        else:
            assert "No radiographs in this cell" in state(app)["films"]["note"]


def test_the_page_needs_no_dataset_and_says_so(app):
    assert DISCLAIMER in text(app)
    assert not app.dataframe
    move(app, 1.0)  # nothing is flagged
    tell(app, "cell", "TN")
    assert "FracAtlas is not installed" in state(app)["films"]["note"]
    assert all(tile["src"] == "" for tile in state(app)["films"]["tiles"])
    tell(app, "cell", "TN")  # sent twice it is open all the same
    assert app.session_state["threshold_cell"] == "TN"
    tell(app, "cell", "none")
    assert not app.dataframe


def test_with_the_dataset_a_cell_shows_images(app, small, small_models, monkeypatch):
    monkeypatch.setenv("FRACATLAS_DIR", str(small_models.parent / "data"))
    move(app, 0.0)  # everything is flagged
    tell(app, "cell", "FP")
    expected = small["val"].in_cell("FP", 0.0)["image_id"].tolist()
    films = state(app)["films"]
    assert [tile["id"] for tile in films["tiles"]] == expected[:12]
    assert all(tile["src"].startswith("data:image/jpeg;base64,") for tile in films["tiles"])


def test_a_large_cell_is_shown_page_by_page(monkeypatch, tmp_path):
    monkeypatch.setenv("FRACATLAS_DIR", str(tmp_path))
    shown = like_the_test_set()
    expected = shown.in_cell("TN", 0.3)["image_id"].tolist()
    pages = -(-len(expected) // 12)
    found = [films(shown, 0.3, "TN", number) for number in range(1, pages + 1)]
    assert [tile["id"] for one in found for tile in one["tiles"]] == expected
    assert {one["pages"] for one in found} == {pages}
    assert films(shown, 0.3, "TN", pages + 5) == found[-1]


def test_browser_field_and_points_are_one_threshold(app, own_models):
    tell(app, "moved", {"threshold": 0.4321, "point": ""})
    assert app.number_input(key=EXACT).value == 0.4321
    assert state(app)["threshold"] == 0.4321
    rule_in = load_bundle("small", own_models).points["rule_in"]
    tell(app, "moved", {"threshold": 0.1, "point": "rule_in"})
    assert state(app)["threshold"] == min(rule_in.threshold, 1.0)
    assert app.session_state["threshold_setting"].criterion == rule_in.criterion


@pytest.mark.parametrize("unfit", [None, 7, {"threshold": "x"}, {"threshold": 2.0}, {"threshold": float("nan")}, {}])
def test_what_makes_no_sense_moves_nothing(app, own_models, unfit):
    before = state(app)["threshold"]
    for event in ("moved", "cell", "page", "film"):
        tell(app, event, unfit if event == "moved" else None)
    assert not app.exception
    assert state(app)["threshold"] == before


def test_the_address_keeps_the_threshold_and_who_may_rely_on_it(app, own_models):
    assert "t" not in app.query_params
    tell(app, "moved", {"threshold": 0.123456789012, "point": ""})
    assert app.query_params["t"] in ("0.123456789012", ["0.123456789012"])
    shared = AppTest.from_string(PAGE, default_timeout=120)
    shared.query_params.update({"t": "0.123456789012", "on": "test"})
    shared.session_state["bundle"] = "small"
    shared.run()
    assert state(shared)["threshold"] == 0.123456789012
    assert "set on the test set" in text(shared)


def test_the_scores_of_both_splits_go_to_the_browser_once(app, small):
    sent = [one.proto for one in app.get("bidi_component") if one.proto.component_name == "threshold_scores"]
    for split, one in zip(("val", "test"), sent, strict=True):
        scores = json.loads(one.json)
        assert f"-{split}-" in scores["key"]
        assert sorted(scores["fractured"] + scores["others"]) == sorted(small[split].probabilities.tolist())
    assert state(app)["scores"] == json.loads(sent[0].json)["key"]
    move(app, 0.3)
    again = [one.proto for one in app.get("bidi_component") if one.proto.component_name == "threshold_scores"]
    # So that Streamlit sends a reference alone where the whole page is drawn again.
    assert [one.SerializeToString() for one in again] == [one.SerializeToString() for one in sent]


def test_nobody_chooses_on_test_unknowingly(app, small, own_models):
    go(app, "threshold_split", "test")
    assert state(app)["locked"]
    assert app.number_input(key="threshold_exact").disabled
    assert "test radiographs" in text(app)
    test = small["test"]
    threshold = app.session_state["threshold_setting"].threshold
    assert table_of(app) == as_shown(of_sklearn(test.labels, test.probabilities, threshold))
    tell(app, "moved", {"threshold": 0.6, "point": ""})
    assert state(app)["threshold"] == threshold  # whatever a browser says
    app.toggle(key="threshold_unlock").set_value(True).run()
    move(app, 0.6)
    assert "set on the test set" in text(app)
    go(app, "threshold_split", "val")
    assert "set on the test set" in text(app)  # it stays marked
    go(app, "threshold_tab", "Save")
    assert "saved as chosen on test" in text(app)


def test_suggestions_come_from_validation_and_can_be_used(app, small):
    go(app, "threshold_tab", "Suggestions")
    app.number_input(key="target_sensitivity").set_value(0.8).run()
    app.number_input(key="miss_cost").set_value(30.0).run()
    app.button(key="use_target sensitivity").click().run()
    setting = app.session_state["threshold_setting"]
    assert setting.split == "val"
    assert "0.8" in setting.criterion
    val = small["val"]
    assert sk.recall_score(val.labels, val.probabilities >= setting.threshold) >= 0.8
    table = app.table[0].value
    test = small["test"]
    shown = sk.recall_score(test.labels, test.probabilities >= setting.threshold)
    chosen = sk.recall_score(val.labels, val.probabilities >= setting.threshold)
    assert table["Sensitivity"][0] == f"{chosen:.3f} (test {shown:.3f})"


def test_triage_counts_its_zones(app, small):
    go(app, "threshold_tab", "Triage")
    app.slider(key="triage_slider").set_value((0.3, 0.6)).run()
    probabilities, labels = small["val"].probabilities, small["val"].labels
    below, above = probabilities < 0.3, probabilities >= 0.6
    zones = app.table[0].value
    assert zones["Radiographs"].tolist() == [below.sum(), (~below & ~above).sum(), above.sum()]
    assert zones["Fractured"].tolist() == [labels[z].sum() for z in (below, ~below & ~above, above)]


def test_prevalence_changes_ppv_as_bayes_says(app, small):
    move(app, 0.5)
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
        assert "too few" in app.table[0].value.to_string()  # the miniature has hardly ten fractures
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
    app.button(key="save").click().run()  # what is pressed twice is saved once
    assert not app.error and "Saved as" in app.success[0].value
    app.radio(key="save_what").set_value("The threshold").run()
    app.button(key="save").click().run()
    assert "already" in app.error[0].value
    saved = load_bundle("small", own_models).chosen_points()
    assert [p.name for p in saved] == ["night shift", "day shift" + RULE_OUT, "day shift" + RULE_IN]
    assert saved[0].note == "fewer call-backs"
    assert saved[0].split == "val"


def test_saved_points_are_renamed_and_deleted(app, own_models):
    go(app, "threshold_tab", "Save")
    app.radio(key="save_what").set_value("The triage pair").run()
    app.text_input(key="save_name").set_value("day shift")
    app.button(key="save").click().run()
    app.text_input(key="saved_new_name").set_value("late shift")
    app.button(key="saved_rename day shift").click().run()  # the press brings the name along
    bundle = load_bundle("small", own_models)
    assert [p.name for p in bundle.chosen_points()] == ["late shift" + RULE_OUT, "late shift" + RULE_IN]
    assert "Saved: late shift" in app.selectbox(key="operating_point").options
    app.selectbox(key="operating_point").set_value("Saved: late shift").run()
    app.text_input(key="saved_new_name").set_value(" ").run()
    app.button(key="saved_rename late shift").click().run()
    assert "name" in app.error[0].value
    app.button(key="saved_delete late shift").click().run()
    assert bundle.chosen_points() == [] and not app.exception
    assert app.selectbox(key="operating_point").value == THREE_ANSWERS
    assert not [label for label in app.selectbox(key="operating_point").options if label.startswith("Saved")]


def test_a_point_that_is_deleted_on_another_screen_is_said(app, own_models):
    bundle = load_bundle("small", own_models)
    save_single(bundle, bundle.points["single"], "mine")
    app.run()
    app.selectbox(key="operating_point").set_value("Saved: mine").run()
    delete_saved(bundle, "mine")
    app.run()
    assert not app.exception and app.selectbox(key="operating_point").value == THREE_ANSWERS
    assert "Saved\\: mine” is not offered with this model" in app.sidebar.warning[0].value
    app.selectbox(key="operating_point").set_value(ONE_THRESHOLD).run()
    assert not app.sidebar.warning


def test_open_films_that_change_are_counted():
    entries = [Entry(name=str(p), probability=p) for p in (0.1, 0.3, 0.5, 0.9, None)]
    assert open_films_text(entries, 0.4, 0.2) == "Your open films: 1 of 4 change at this threshold."
    assert open_films_text(entries, 0.4, 0.95) == "Your open films: 2 of 4 change at this threshold."
    assert open_films_text([Entry(name="x")], 0.4, 0.2) == ""
