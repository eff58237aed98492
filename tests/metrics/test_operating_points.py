"""Thresholds against brute force over every threshold there is, and the three answers at their edges."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fracture_core.metrics.confusion import MetricsError, confusion, sigmoid
from fracture_core.metrics.operating_points import (
    FINDINGS,
    OperatingPoint,
    best_f1,
    default_operating_points,
    expected_cost,
    lowest_cost,
    midway_thresholds,
    operating_point,
    threshold_for_sensitivity,
    threshold_for_specificity,
    triage,
    triage_groups,
    youden,
)
from tests.support.predictions import model_like, predictions


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


@given(predictions(both=True), st.floats(0.1, 50), st.floats(0.01, 0.99))
def test_youden_f1_and_cost_are_the_best_there_is(rows, miss_cost, prevalence):
    every = _every_matrix(*rows)
    got = confusion(*rows, youden(*rows))
    assert got.balanced_accuracy == pytest.approx(max(m.balanced_accuracy for m in every))
    assert confusion(*rows, best_f1(*rows)).f1 == pytest.approx(max(m.f1 for m in every))
    for share in (None, prevalence):
        got = confusion(*rows, lowest_cost(*rows, miss_cost, prevalence=share))
        least = min(expected_cost(m, miss_cost, prevalence=share) for m in every)
        assert expected_cost(got, miss_cost, prevalence=share) == pytest.approx(least)


def test_the_cost_is_counted_in_radiographs():
    matrix = confusion([1, 1, 0, 0, 0], [0.1, 0.9, 0.8, 0.1, 0.2], 0.5)
    assert expected_cost(matrix, miss_cost=10, second_look_cost=2) == pytest.approx((10 * 1 + 2 * 1) / 5)


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


@pytest.mark.parametrize("choose", [threshold_for_sensitivity, threshold_for_specificity])
def test_unfit_questions_are_refused_with_a_sentence(choose):
    for labels, scores, target in (
        ([1, 1], [0.1, 0.2], 0.9),
        ([], [], 0.9),
        ([0, 1], [-3.0, 4.0], 0.9),
        ([0, 1], [0.1, 0.2], 1.1),
        ([0, 1], [0.1, 0.2], math.nan),
    ):
        with pytest.raises(MetricsError, match=r"^[A-Z].*\.$"):
            choose(labels, scores, target)


@given(predictions(both=True))
def test_default_points_keep_their_promises(rows):
    points = default_operating_points(*rows, created="2026-01-01T00:00:00Z")
    assert list(points) == ["rule_out", "single", "rule_in"]
    assert points["rule_out"].sensitivity >= 0.95
    assert points["single"].sensitivity >= 0.90
    assert points["rule_in"].specificity >= 0.95
    assert points["rule_out"].threshold <= points["single"].threshold
    for name, point in points.items():
        matrix = confusion(*rows, point.threshold)
        assert (point.name, point.split) == (name, "val")
        assert (point.sensitivity, point.specificity) == (matrix.sensitivity, matrix.specificity)
        assert OperatingPoint.from_dict(json.loads(json.dumps(point.to_dict()))) == point


def test_a_damaged_point_is_refused_and_an_unknown_entry_passed_over():
    labels, logits = model_like(100)
    data = operating_point("mine", 0.3, "by eye", labels, sigmoid(logits), note="night shift").to_dict()
    assert OperatingPoint.from_dict(data | {"colour": "red"}).note == "night shift"
    for damaged in (
        {k: v for k, v in data.items() if k != "threshold"},
        {k: v for k, v in data.items() if k != "name"},
        data | {"threshold": "low"},
        data | {"threshold": math.nan},
        data | {"threshold": None},
    ):
        with pytest.raises(MetricsError):
            OperatingPoint.from_dict(damaged)


@pytest.mark.parametrize(
    ("probability", "rule_out", "rule_in", "finding"),
    [
        (0.09, 0.1, 0.6, "fracture unlikely"),
        (0.10, 0.1, 0.6, "indeterminate"),
        (0.59, 0.1, 0.6, "indeterminate"),
        (0.60, 0.1, 0.6, "fracture likely"),
        # Crossed: rule_in alone decides, and nobody is left in the middle.
        (0.29, 0.7, 0.3, "fracture unlikely"),
        (0.30, 0.7, 0.3, "fracture likely"),
        (0.50, 0.7, 0.3, "fracture likely"),
        (math.nan, 0.1, 0.6, "indeterminate"),
    ],
)
def test_triage_at_its_edges(probability, rule_out, rule_in, finding):
    assert triage(probability, rule_out, rule_in) == finding


def test_crossed_thresholds_keep_both_promises():
    labels = np.repeat([0, 1], 100)
    probabilities = np.concatenate([np.linspace(0, 0.3, 100), np.linspace(0.28, 1, 100)])
    points = default_operating_points(labels, probabilities)
    rule_out, rule_in = points["rule_out"].threshold, points["rule_in"].threshold
    assert rule_out > rule_in
    likely = np.array([triage(p, rule_out, rule_in) == "fracture likely" for p in probabilities])
    assert likely[labels == 1].mean() >= 0.95
    assert (~likely)[labels == 0].mean() >= 0.95


@given(predictions(min_size=0), st.floats(0, 1), st.floats(0, 1))
def test_zones_count_what_triage_says(rows, rule_out, rule_in):
    labels, probabilities = rows
    said = [triage(p, rule_out, rule_in) for p in probabilities]
    zones = triage_groups(labels, probabilities, rule_out, rule_in)
    assert [zone.triage for zone in zones] == list(FINDINGS)
    for zone in zones:
        inside = [label for label, finding in zip(labels, said, strict=True) if finding == zone.triage]
        assert (zone.n, zone.fractured) == (len(inside), sum(inside))
        assert zone.fracture_rate.defined == bool(inside)
