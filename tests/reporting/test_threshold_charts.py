"""The plots: what they draw is scikit-learn's, and a click on them lands where it was aimed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from fracture_core.evaluation.predictions import Predictions
from fracture_core.reporting.threshold_charts import CHOSEN, CURRENT, CURVE, PLACES, curve_chart, histogram_chart
from tests.support.predictions import like_the_test_set


@pytest.fixture(scope="module")
def test_split() -> Predictions:
    return like_the_test_set()


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


def test_the_histogram_draws_each_class_whole_and_can_be_clicked_anywhere(test_split):
    chart = histogram_chart(test_split, {"threshold": 0.3})
    *classes, places = chart.option["series"]
    for drawn, label in zip(classes, (0, 1), strict=True):
        shares = np.array(drawn["data"])[:-1, 1]
        scores = test_split.probabilities[test_split.labels == label]
        counted = np.histogram(scores, bins=len(shares), range=(0, 1))[0]
        assert shares == pytest.approx(100 * counted / len(scores), abs=1e-4)
        assert max(shares) <= chart.option["yAxis"]["max"]
    assert classes[-1]["markLine"]["data"][0]["xAxis"] == 0.3
    assert [chart.threshold_at(PLACES, i) for i in (0, 71, 200)] == pytest.approx([0, 0.355, 1])
    assert {height for _, height in places["data"]} == {chart.option["yAxis"]["max"]}
    assert [x for x, _ in places["data"]] == pytest.approx(chart.thresholds[PLACES])
