"""The charts draw what scikit-learn computes, and each point stands where its threshold puts it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
from sklearn import metrics as sk

from fracture_core.evaluation.predictions import Predictions
from fracture_core.reporting.chart_theme import BLUE, VERMILION
from fracture_core.reporting.threshold_charts import (
    CHOSEN,
    CURVE,
    REFERENCE,
    curve_chart,
    histogram_chart,
    matrix_chart,
    place,
)
from tests.support.predictions import like_the_test_set


@pytest.fixture(scope="module")
def test_split() -> Predictions:
    return like_the_test_set()


def trace(figure: go.Figure, name: str) -> go.Scatter:
    return next(one for one in figure.data if one.name == name)


def points(figure: go.Figure, name: str) -> np.ndarray:
    one = trace(figure, name)
    return np.stack([np.array(one.x, float), np.array(one.y, float)], 1)


def test_curves_and_areas_are_scikit_learns(test_split):
    labels, scores = test_split.labels, test_split.probabilities
    assert test_split.auc.value == pytest.approx(sk.roc_auc_score(labels, scores))
    assert test_split.average_precision.value == pytest.approx(sk.average_precision_score(labels, scores))
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    assert points(curve_chart("roc", test_split, []), CURVE) == pytest.approx(np.stack([fpr, tpr], 1), abs=1e-5)
    precision, recall, _ = sk.precision_recall_curve(labels, scores)
    drawn = points(curve_chart("precision-recall", test_split, []), CURVE)
    for x, y in zip(recall[:-1][::50], precision[:-1][::50], strict=True):
        assert np.abs(drawn - [x, y]).max(axis=1).min() < 1e-5
    for one, temperature in zip(test_split.calibration, (1.0, 1.3), strict=True):
        probabilities = 1 / (1 + np.exp(-test_split.logits / temperature))
        assert one.brier == pytest.approx(sk.brier_score_loss(labels, probabilities))
        assert one.log_loss == pytest.approx(sk.log_loss(labels, probabilities))


@pytest.mark.parametrize("kind", ["roc", "precision-recall"])
def test_points_stand_where_their_thresholds_put_them(test_split, kind):
    chosen = curve_chart(kind, test_split, [test_split.point("single", 0.3, "by eye")])
    flagged = test_split.probabilities >= 0.3
    recall = sk.recall_score(test_split.labels, flagged)
    x = sk.recall_score(1 - test_split.labels, flagged) if kind == "roc" else recall
    y = recall if kind == "roc" else sk.precision_score(test_split.labels, flagged)
    assert points(chosen, CHOSEN)[0] == pytest.approx([x, y], abs=1e-5)
    assert points(chosen, REFERENCE)[0] == pytest.approx(
        [9 / 674, 22 / 143] if kind == "roc" else [22 / 143, 22 / 31], abs=1e-5
    )
    assert REFERENCE not in [one.name for one in curve_chart(kind, test_split, [], reference=False).data]
    for threshold, at in zip(trace(chosen, CURVE).customdata[1:-1:97], points(chosen, CURVE)[1:-1:97], strict=True):
        assert place(test_split.confusion(threshold), kind) == pytest.approx(at, abs=2e-3)


def test_the_matrix_is_scikit_learns_with_missed_fractures_in_vermilion(test_split):
    drawn = matrix_chart(test_split.confusion(0.3))
    (tn, fp), (fn, tp) = sk.confusion_matrix(test_split.labels, test_split.probabilities >= 0.3)
    first = [int(note.text.partition("</b>")[0].rpartition(">")[2]) for note in drawn.layout.annotations]
    assert first == [tp, fn, fp, tn, tp + fn, fp + tn, tp + fp, fn + tn]
    others, missed = drawn.data
    assert others.z[0][0] == pytest.approx(tp / (tp + fn)) and others.z[0][1] is None
    assert others.z[1] == pytest.approx((fp / (fp + tn), tn / (fp + tn)))
    assert missed.z[0][1] == pytest.approx(fn / (tp + fn))
    for heat, colour in ((others, BLUE), (missed, VERMILION)):
        rgb = ", ".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
        assert all(rgb in stop for _, stop in heat.colorscale)


def test_the_histogram_draws_each_class_whole_and_a_line_at_the_threshold(test_split):
    figure = histogram_chart(test_split, {"threshold": 0.3})
    for name, label in (("no fracture", 0), ("fracture", 1)):
        shares = points(figure, name)[:-1, 1]
        scores = test_split.probabilities[test_split.labels == label]
        counted = np.histogram(scores, bins=len(shares), range=(0, 1))[0]
        assert shares == pytest.approx(100 * counted / len(scores), abs=1e-4)
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[0].x1 == 0.3
