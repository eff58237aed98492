"""Operating points, default points and the three triage categories at their edges."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.metrics.confusion import MetricsError, confusion, sigmoid
from fracture_core.metrics.operating_points import (
    FINDINGS,
    OperatingPoint,
    default_operating_points,
    operating_point,
    triage,
    triage_groups,
)
from fracture_core.metrics.thresholds import (
    threshold_for_sensitivity,
    threshold_for_specificity,
)
from tests.support.predictions import model_like, predictions


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
