"""The threshold page without a browser: each control, and every figure against scikit-learn on the same predictions."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from sklearn import metrics as sk
from streamlit.testing.v1 import AppTest

from fracture_core.answer import DISCLAIMER
from fracture_core.bundle import BundleError, load_bundle
from fracture_core.charts import CHOSEN, CURRENT, CURVE, curve_chart
from fracture_core.metrics import MetricsError
from fracture_core.predictions import Predictions, split_predictions
from fracture_core.saved_points import RULE_IN, RULE_OUT, offered, save_pair, save_single
from fracture_core.threshold_tables import figures_csv, figures_table, in_1000, rows_table
from pages.parts import frame
from tests.predictions import model_like

ROOT = Path(__file__).parents[1]
THRESHOLDS = (0.05, 0.2, 0.5, 0.8)


@pytest.fixture(scope="module")
def test_split() -> Predictions:
    """Predictions such as a fair network gives on the test set."""
    labels, logits = model_like(seed=3)
    table = pd.DataFrame({"image_id": [f"IMG{n:07}" for n in range(len(labels))], "label": labels, "logit": logits})
    table["probability"] = 1 / (1 + np.exp(-logits / 1.3))
    table["hand"], table["leg"], table["frontal"], table["lateral"] = 1, 0, 1, 1
    return Predictions("test", table, 1.3)


@pytest.fixture
def models(small_models, tmp_path) -> Path:
    """A copy that may be written to, of two bundles."""
    shutil.copytree(small_models / "small", tmp_path / "models" / "small")
    shutil.copytree(small_models / "small", tmp_path / "models" / "other")
    return tmp_path / "models"


@pytest.fixture
def app(models, small_models, monkeypatch) -> AppTest:
    """The threshold page on the small bundle, FracAtlas nowhere."""
    st.cache_resource.clear()  # copies of one bundle look alike to the page's caches
    monkeypatch.setattr(frame, "MODELS", models)
    monkeypatch.setenv("FRACATLAS_DIR", str(models / "nowhere"))
    opened = AppTest.from_file(str(ROOT / "pages" / "threshold.py"), default_timeout=120).run()
    opened.selectbox(key="bundle").set_value("small").run()
    assert not opened.exception
    return opened


@pytest.fixture
def small(models) -> dict[str, Predictions]:
    return split_predictions(load_bundle("small", models))


def of_sklearn(labels, probabilities, threshold: float) -> dict[str, float]:
    """Every figure of the page's table, by scikit-learn; those it calls 0 for want of a case are undefined here."""
    calls = (probabilities >= threshold).astype(int)
    tn, fp, fn, tp = sk.confusion_matrix(labels, calls, labels=[0, 1]).ravel()
    nan = float("nan")
    return {
        "Sensitivity": sk.recall_score(labels, calls),
        "Specificity": sk.recall_score(labels, calls, pos_label=0),
        "PPV": sk.precision_score(labels, calls, zero_division=nan),
        "NPV": sk.precision_score(labels, calls, pos_label=0, zero_division=nan),
        "Accuracy": sk.accuracy_score(labels, calls),
        "Balanced accuracy": sk.balanced_accuracy_score(labels, calls),
        "F1": sk.f1_score(labels, calls),
        "MCC": sk.matthews_corrcoef(labels, calls) if tp + fp and tn + fn else nan,
    }


def as_shown(figures: dict[str, float]) -> dict[str, str]:
    return {name: "undefined" if np.isnan(value) else f"{value:.3f}" for name, value in figures.items()}


def table_of(app: AppTest) -> dict[str, str]:
    table = app.table[0].value
    return dict(zip(table["Figure"], table["Value"], strict=True))


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


@pytest.mark.parametrize("threshold", [*THRESHOLDS, 0.0, 1.0])
def test_the_table_is_scikit_learns_on_a_full_test_set(test_split, threshold):
    expected = of_sklearn(test_split.labels, test_split.probabilities, threshold)
    table = figures_table(test_split.confusion(threshold))
    assert dict(zip(table["Figure"], table["Value"], strict=True)) == as_shown(expected)
    exact = pd.read_csv(io.StringIO(figures_csv(test_split, threshold, "a bundle")))
    assert exact["value"].to_numpy() == pytest.approx(list(expected.values()), nan_ok=True)


def test_curves_and_areas_are_scikit_learns(test_split):
    labels, scores = test_split.labels, test_split.probabilities
    assert test_split.auc.value == pytest.approx(sk.roc_auc_score(labels, scores))
    assert test_split.average_precision.value == pytest.approx(sk.average_precision_score(labels, scores))
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    drawn = curve_chart("roc", test_split, []).option["series"][0]["data"]
    assert np.array([p[:2] for p in drawn]) == pytest.approx(np.stack([fpr, tpr], 1), abs=1e-5)
    precision, recall, _ = sk.precision_recall_curve(labels, scores)
    drawn = np.array([p[:2] for p in curve_chart("precision-recall", test_split, []).option["series"][0]["data"]])
    for x, y in zip(recall[:-1][::50], precision[:-1][::50], strict=True):
        assert np.abs(drawn - [x, y]).max(axis=1).min() < 1e-5
    for one, temperature in zip(test_split.calibration, (1.0, 1.3), strict=True):
        probabilities = 1 / (1 + np.exp(-test_split.logits / temperature))
        assert one.brier == pytest.approx(sk.brier_score_loss(labels, probabilities))
        assert one.log_loss == pytest.approx(sk.log_loss(labels, probabilities))


@pytest.mark.parametrize("kind", ["roc", "precision-recall"])
def test_a_clicked_point_of_a_curve_is_where_the_threshold_lands(test_split, kind):
    point = test_split.point("single", 0.3, "by eye")
    chart = curve_chart(kind, test_split, [point])
    for index in range(1, len(test_split.roc.x) - 1, 97):
        matrix = test_split.confusion(chart.threshold_at(CURVE, index))
        place = chart.with_point(matrix, kind)["series"][-1]
        assert place["name"] == CURRENT
        assert place["data"][0]["value"] == pytest.approx(chart.option["series"][0]["data"][index][:2], abs=1e-5)
    assert chart.threshold_at(CHOSEN, 0) == 0.3
    assert chart.threshold_at("chance", 0) is None
    assert chart.threshold_at(CURVE, 10**6) is None
    assert CURRENT not in [one["name"] for one in chart.option["series"]]


def test_rows_of_a_cell_begin_with_the_surest(test_split):
    missed = test_split.in_cell("FN", 0.3)
    assert missed["probability"].is_monotonic_increasing
    assert test_split.in_cell("FP", 0.3)["probability"].is_monotonic_decreasing
    assert rows_table(missed)["View"].unique().tolist() == ["frontal, lateral"]
    with pytest.raises(MetricsError, match="no cell"):
        test_split.in_cell("XX", 0.3)


def test_in_1000_adds_up(test_split):
    matrix = test_split.confusion(0.3)
    for prevalence in (0, 0.013, 0.2, 1):
        cells = in_1000(matrix, prevalence)
        assert sum(cells.values()) == 1000
        assert cells["TP"] + cells["FN"] == round(1000 * prevalence)
        assert cells["TP"] == pytest.approx(1000 * prevalence * matrix.sensitivity, abs=1)


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


def test_slider_field_and_points_are_one_threshold(app, models):
    app.number_input(key="threshold_exact").set_value(0.4321).run()
    assert app.slider(key="threshold_slider").value == 0.4321
    rule_in = load_bundle("small", models).points["rule_in"]
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


def test_points_are_saved_and_offered_at_once(app, models):
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
    saved = load_bundle("small", models).chosen_points()
    assert [p.name for p in saved] == ["night shift", "day shift" + RULE_OUT, "day shift" + RULE_IN]
    assert saved[0].note == "fewer call-backs"
    assert saved[0].split == "val"


def test_a_pair_is_saved_whole_or_not_at_all(models):
    bundle = load_bundle("small", models)
    out, within = bundle.points["rule_out"], bundle.points["rule_in"]
    save_pair(bundle, out, within, " both ")
    save_single(bundle, out, "one")
    pairs = offered(bundle.chosen_points())
    assert [p.threshold for p in pairs["both"]] == [out.threshold, within.threshold]
    assert pairs["one"][0] == pairs["one"][1]
    for name in ("both", "one", "", "x" * 61, "a\nb", "x (rule-in)"):
        with pytest.raises(BundleError):
            save_pair(bundle, out, within, name)
    assert len(bundle.chosen_points()) == 3


def test_the_model_card_page_shows_card_figures_and_limits(models, monkeypatch):
    monkeypatch.setattr(frame, "MODELS", models)
    app = AppTest.from_file(str(ROOT / "pages" / "model_card.py"), default_timeout=120).run()
    assert not app.exception
    said = text(app)
    assert "Where it must not be trusted" in said
    assert "## Limits" in said
    assert DISCLAIMER in said
    assert app.table[0].value["Answer"].tolist() == ["Fracture unlikely", "Uncertain", "Fracture likely"]
