"""Counts, rates and curves against scikit-learn and against counting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.metrics.confusion import (
    CELLS,
    Confusion,
    MetricsError,
    cells,
    classification_table,
    confusion,
    ppv_npv_at_prevalence,
    score_histogram,
    sigmoid,
)
from fracture_core.metrics.curves import average_precision, roc_auc
from fracture_core.metrics.reference_study import REFERENCE_STUDY
from tests.support.predictions import model_like, predictions

RATES = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "balanced_accuracy", "f1", "mcc", "prevalence")
counts = st.integers(0, 50)
matrices = st.builds(Confusion, counts, counts, counts, counts)


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.2, 0.5, 0.8, 0.95])
def test_every_figure_equals_scikit_learns(threshold):
    labels, logits = model_like()
    probabilities = sigmoid(logits)
    called = probabilities >= threshold
    ours = confusion(labels, probabilities, threshold)
    assert [[ours.tn, ours.fp], [ours.fn, ours.tp]] == sk.confusion_matrix(labels, called).tolist()
    theirs = {
        "sensitivity": sk.recall_score(labels, called),
        "specificity": sk.recall_score(labels, called, pos_label=0),
        "ppv": sk.precision_score(labels, called, zero_division=np.nan),
        "npv": sk.precision_score(labels, called, pos_label=0, zero_division=np.nan),
        "accuracy": sk.accuracy_score(labels, called),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, called),
        "f1": sk.f1_score(labels, called),
        # scikit-learn says 0 where all calls are alike; there is no such coefficient.
        "mcc": sk.matthews_corrcoef(labels, called) if 0 < called.sum() < called.size else np.nan,
        "prevalence": labels.mean(),
    }
    for name, value in theirs.items():
        assert getattr(ours, name) == pytest.approx(value, nan_ok=True), name


@given(matrices)
def test_rates_are_in_range_or_undefined_and_never_raise(matrix):
    for name in RATES:
        value = getattr(matrix, name)
        assert math.isnan(value) or (-1 if name == "mcc" else 0) - 1e-12 <= value <= 1 + 1e-12


def test_an_empty_matrix_has_no_rates():
    assert all(math.isnan(getattr(Confusion(0, 0, 0, 0), name)) for name in RATES)


@given(predictions(min_size=0), st.floats(0, 1))
def test_cells_add_up_to_the_confusion(rows, threshold):
    matrix = confusion(*rows, threshold)
    named = cells(*rows, threshold)
    assert [int((named == cell).sum()) for cell in CELLS] == [matrix.tn, matrix.fp, matrix.fn, matrix.tp]


def test_a_probability_on_the_threshold_is_called():
    assert confusion([1, 0], [0.5, np.nextafter(0.5, 0)], 0.5) == Confusion(tn=1, fp=0, fn=0, tp=1)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([0, 1], [0.5]), ([[0, 1]], [[0.1, 0.2]]), ([0, 2], [0.1, 0.2]), ([0, 1], [0.1, np.nan])],
)
def test_unfit_predictions_are_refused_with_a_sentence(labels, scores):
    for score in (roc_auc, average_precision, lambda a, b: confusion(a, b, 0.5)):
        with pytest.raises(MetricsError, match=r"^[A-Z].*\.$"):
            score(labels, scores)


def test_sigmoid_holds_at_the_ends():
    np.testing.assert_array_equal(sigmoid([-1e308, 0, 1e308]), [0, 0.5, 1])
    assert isinstance(sigmoid(0.3), float)
    x = np.linspace(-30, 30, 601)
    np.testing.assert_allclose(sigmoid(x), 1 / (1 + np.exp(-x)), rtol=1e-12)


def test_ppv_and_npv_at_their_own_prevalence_are_those_of_the_matrix():
    m = REFERENCE_STUDY.confusion
    ppv, npv = ppv_npv_at_prevalence(m.sensitivity, m.specificity, m.prevalence)
    assert (ppv, npv) == pytest.approx((m.ppv, m.npv))
    # Altman & Bland 1994 at prevalence 5 %: 0.8 * 0.05 / (0.8 * 0.05 + 0.1 * 0.95).
    assert ppv_npv_at_prevalence(0.8, 0.9, 0.05)[0] == pytest.approx(0.04 / 0.135)
    assert ppv_npv_at_prevalence(1, 1, 0) == pytest.approx((math.nan, 1), nan_ok=True)
    with pytest.raises(MetricsError):
        ppv_npv_at_prevalence(0.8, 0.9, 5)


def test_the_reference_row_is_the_published_one():
    m = REFERENCE_STUDY.confusion
    figures = (m.accuracy, m.sensitivity, m.specificity, m.f1)
    assert [round(figure, 2) for figure in figures] == [0.84, 0.15, 0.99, 0.25]
    assert (m.n, m.positives, m.negatives) == (817, 143, 674)
    assert round(m.negatives / m.n, 3) == 0.825


@given(predictions(both=True), st.floats(0.05, 0.95))
def test_classification_table_equals_scikit_learns_report(rows, threshold):
    labels, probabilities = rows
    called = (probabilities >= threshold).astype(int)
    report = sk.classification_report(labels, called, labels=[0, 1], output_dict=True, zero_division=np.nan)
    table = classification_table(confusion(labels, probabilities, threshold))
    for row, key in zip(table[:2], ("0", "1"), strict=True):
        theirs = report[key]
        assert (row.precision, row.recall) == pytest.approx((theirs["precision"], theirs["recall"]), nan_ok=True)
        assert row.f1 == pytest.approx(theirs["f1-score"])
        assert row.support == theirs["support"]
    for row, key in zip(table[2:], ("macro avg", "weighted avg"), strict=True):
        assert row.recall == pytest.approx(report[key]["recall"])
        assert row.f1 == pytest.approx(report[key]["f1-score"])
        assert row.support == labels.size


@given(predictions(min_size=0), st.integers(1, 30))
def test_the_histogram_loses_no_one(rows, bins):
    labels, probabilities = rows
    histogram = score_histogram(labels, probabilities, bins)
    assert histogram.fractured.sum() == labels.sum()
    assert histogram.not_fractured.sum() == (labels == 0).sum()
    assert histogram.edges.size == bins + 1
