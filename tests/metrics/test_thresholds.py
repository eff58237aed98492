"""Chosen thresholds against brute force over every possible threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fracture_core.metrics.confusion import MetricsError, confusion, sigmoid
from fracture_core.metrics.thresholds import (
    best_f1,
    lowest_cost,
    midway_thresholds,
    threshold_for_sensitivity,
    threshold_for_specificity,
    youden,
)
from tests.support.predictions import predictions


def _every_matrix(labels, probabilities):
    """One confusion matrix for each way a threshold can fall, thresholds falling."""
    at = [np.nextafter(probabilities.max(), 2), *sorted(set(probabilities.tolist()), reverse=True)]
    return [confusion(labels, probabilities, threshold) for threshold in at]


@given(predictions(both=True), st.floats(0, 1))
def test_the_sensitivity_threshold_calls_the_fewest_that_are_enough(rows, target):
    got = confusion(*rows, threshold_for_sensitivity(*rows, target))
    assert got.sensitivity >= target
    assert got == next(m for m in _every_matrix(*rows) if m.sensitivity >= target)


@given(predictions(both=True), st.floats(0, 1))
def test_the_specificity_threshold_calls_the_most_that_is_allowed(rows, target):
    got = confusion(*rows, threshold_for_specificity(*rows, target))
    assert got.specificity >= target
    assert got == [m for m in _every_matrix(*rows) if m.specificity >= target][-1]


def mean_cost(matrix, miss_cost, prevalence):
    """The mean cost per radiograph, by definition; a false positive costs 1."""
    share = matrix.prevalence if prevalence is None else prevalence
    return miss_cost * share * (1 - matrix.sensitivity) + (1 - share) * (1 - matrix.specificity)


@pytest.mark.slow
@given(predictions(both=True), st.floats(0.1, 50), st.floats(0.01, 0.99))
def test_youden_f1_and_cost_are_the_best_there_is(rows, miss_cost, prevalence):
    every = _every_matrix(*rows)
    got = confusion(*rows, youden(*rows))
    assert got.balanced_accuracy == pytest.approx(max(m.balanced_accuracy for m in every))
    assert confusion(*rows, best_f1(*rows)).f1 == pytest.approx(max(m.f1 for m in every))
    for share in (None, prevalence):
        got = confusion(*rows, lowest_cost(*rows, miss_cost, prevalence=share))
        least = min(mean_cost(m, miss_cost, share) for m in every)
        assert mean_cost(got, miss_cost, share) == pytest.approx(least)


def test_of_equal_thresholds_the_lowest_misses_the_fewest():
    labels, probabilities = [0, 1, 0, 1], [0.2, 0.4, 0.6, 0.8]
    assert youden(labels, probabilities) == pytest.approx(0.3)


def test_with_calibrated_probabilities_the_cost_ratio_is_the_threshold():
    rng = np.random.default_rng(0)
    probabilities = rng.random(200_000)
    labels = rng.random(probabilities.size) < probabilities
    assert lowest_cost(labels.astype(int), probabilities, miss_cost=9) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("costs", [(-1, 1), (0, 0), (math.inf, 1), (math.nan, 1)])
def test_senseless_costs_are_refused(costs):
    with pytest.raises(MetricsError):
        lowest_cost([0, 1], [0.2, 0.8], *costs)


@given(predictions(both=True))
@example((np.array([0, 1]), np.array([0.5, np.nextafter(0.5, 1)])))
@example((np.array([0, 1]), np.array([0.0, 1.0])))
@example((np.array([0, 1]), np.array([5e-324, 1 - 2**-53])))
def test_each_midway_threshold_calls_just_its_own(rows):
    distinct = np.unique(rows[1])[::-1]
    thresholds = midway_thresholds(distinct)
    assert [int((distinct >= t).sum()) for t in thresholds] == list(range(distinct.size + 1))
    assert thresholds[-1] >= 0
    assert thresholds[0] <= np.nextafter(1.0, 2.0)


def test_noise_between_engines_flips_nobody_who_set_the_threshold():
    labels = np.array([0, 0, 1, 0, 1, 1])
    logits = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0])
    threshold = threshold_for_sensitivity(labels, sigmoid(logits), 1.0)
    assert threshold == pytest.approx((sigmoid(-1.0) + sigmoid(-2.0)) / 2)
    rng = np.random.default_rng(0)
    for _ in range(100):
        noisy = sigmoid(logits + rng.normal(0, 1e-2, logits.size))
        assert confusion(labels, noisy, threshold) == confusion(labels, sigmoid(logits), threshold)
