"""Calibration against scikit-learn and against models whose calibration is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from fracture_core.metrics.calibration import (
    TEMPERATURE_BOUNDS,
    brier_score,
    calibration_summary,
    expected_calibration_error,
    fit_temperature,
    local_rate,
    negative_log_likelihood,
    reliability,
)
from fracture_core.metrics.confusion import MetricsError, sigmoid
from tests.support.predictions import model_like, predictions


def _calibrated(n=20_000, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 2, n)
    return (rng.random(n) < sigmoid(logits)).astype(int), logits


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 9.0])
def test_a_known_temperature_is_found_again(temperature):
    labels, logits = _calibrated()
    assert fit_temperature(labels, logits * temperature) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_is_the_one_logistic_regression_finds():
    labels, logits = model_like(408, seed=4)
    slope = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(logits[:, None], labels).coef_[0, 0]
    assert fit_temperature(labels, logits) == pytest.approx(1 / slope, rel=1e-4)


@given(predictions(both=True), st.floats(-2, 2))
def test_no_temperature_within_the_bounds_does_better(rows, log_other):
    labels, logits = rows[0], 8 * rows[1] - 4
    best = fit_temperature(labels, logits)
    assert TEMPERATURE_BOUNDS[0] * 0.999 <= best <= TEMPERATURE_BOUNDS[1] * 1.001
    other = np.exp(log_other)
    assert negative_log_likelihood(labels, logits, best) <= negative_log_likelihood(labels, logits, other) + 1e-9


def test_hopeless_and_perfect_models_end_at_the_bounds_and_a_flat_loss_leaves_the_logits_alone():
    assert fit_temperature([0, 1], [-5.0, 5.0]) == pytest.approx(TEMPERATURE_BOUNDS[0])
    assert fit_temperature([0, 1], [5.0, -5.0]) == pytest.approx(TEMPERATURE_BOUNDS[1])
    assert fit_temperature([0, 1], [0.0, 0.0]) == 1.0
    with pytest.raises(MetricsError):
        fit_temperature([1, 1], [0.0, 1.0])


def test_log_loss_and_brier_equal_scikit_learns():
    labels, logits = model_like()
    assert negative_log_likelihood(labels, logits, 1.7) == pytest.approx(sk.log_loss(labels, sigmoid(logits / 1.7)))
    assert brier_score(labels, sigmoid(logits)) == pytest.approx(sk.brier_score_loss(labels, sigmoid(logits)))
    assert np.isfinite(negative_log_likelihood([0, 1], [1e6, -1e6]))


def test_bins_are_of_equal_mass():
    labels, logits = model_like(817)
    assert sorted({row.n for row in reliability(labels, sigmoid(logits))}) == [81, 82]


@given(predictions(), st.integers(1, 12))
def test_the_diagram_keeps_everyone_and_parts_no_equals(rows, bins):
    labels, probabilities = rows
    diagram = reliability(labels, probabilities, bins)
    assert len(diagram) <= bins
    assert sum(row.n for row in diagram) == labels.size
    assert sum(row.fractured for row in diagram) == labels.sum()
    for before, after in pairwise(diagram):
        assert before.highest < after.lowest
    for row in diagram:
        inside = (probabilities >= row.lowest) & (probabilities <= row.highest)
        assert (row.n, row.fractured) == (inside.sum(), labels[inside].sum())
        assert row.mean_probability == pytest.approx(probabilities[inside].mean())


@given(predictions(), st.integers(1, 12), st.randoms())
def test_ece_does_not_hang_on_the_order_of_the_rows(rows, bins, random):
    order = list(range(rows[0].size))
    random.shuffle(order)
    shuffled = expected_calibration_error(rows[0][order], rows[1][order], bins)
    assert shuffled == pytest.approx(expected_calibration_error(*rows, bins))


def test_ece_by_hand_and_by_slices_of_the_sorted_table():
    assert expected_calibration_error([0, 1], [0.2, 0.6], bins=2) == pytest.approx((0.2 + 0.4) / 2)
    labels, logits = model_like(800, seed=6)
    probabilities = sigmoid(logits)
    order = np.argsort(probabilities)
    slices = zip(np.split(labels[order], 10), np.split(probabilities[order], 10), strict=True)
    by_hand = np.mean([abs(y.mean() - p.mean()) for y, p in slices])
    assert expected_calibration_error(labels, probabilities, 10) == pytest.approx(by_hand)
    assert np.isnan(expected_calibration_error([], []))


def test_temperature_scaling_mends_an_overconfident_model():
    labels, logits = _calibrated(5000, seed=1)
    before = calibration_summary(labels, 4 * logits)
    after = calibration_summary(labels, 4 * logits, fit_temperature(labels, 4 * logits))
    assert after.ece < before.ece / 3
    assert after.brier < before.brier
    assert after.log_loss < before.log_loss
    assert before.ece == pytest.approx(expected_calibration_error(labels, sigmoid(4 * logits)))


@given(predictions(), st.floats(0, 1), st.integers(1, 50))
def test_the_local_rate_counts_the_nearest(rows, probability, neighbours):
    labels, probabilities = rows
    local = local_rate(labels, probabilities, probability, neighbours)
    distance = np.abs(probabilities - probability)
    nearest = sorted(distance)[: min(neighbours, labels.size)]
    inside = distance <= nearest[-1]
    assert (local.n, local.fractured) == (inside.sum(), labels[inside].sum())
    assert local.n >= min(neighbours, labels.size)
    assert local.lowest == probabilities[inside].min()
    assert local.rate.value == pytest.approx(labels[inside].mean())


@given(predictions(), st.floats(0, 1), st.floats(0, 1), st.integers(1, 20))
def test_the_local_rate_reaches_only_so_far_unless_too_few_lie_within(rows, probability, reach, fewest):
    labels, probabilities = rows
    local = local_rate(labels, probabilities, probability, reach=reach, fewest=fewest)
    distance = np.abs(probabilities - probability)
    within = distance <= reach
    if within.sum() >= fewest:
        assert (local.n, local.fractured) == (within.sum(), labels[within].sum())
    else:
        assert local.n >= min(fewest, labels.size)
        assert local.n == (distance <= np.sort(distance)[min(fewest, labels.size) - 1]).sum()


def test_the_local_rate_of_a_calibrated_model_is_its_probability():
    labels, logits = _calibrated()
    for probability in (0.1, 0.5, 0.9):
        local = local_rate(labels, sigmoid(logits), probability, neighbours=1000)
        assert local.rate.low <= probability <= local.rate.high
        assert local.lowest <= probability <= local.highest
    assert not local_rate([], [], 0.5).rate.defined
