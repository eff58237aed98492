"""Suggestions come from validation alone, and show what they cost on test."""

from __future__ import annotations

import numpy as np
import pytest

from fracture_core.metrics.confusion import MetricsError, confusion, sigmoid
from fracture_core.metrics.suggestions import suggest
from fracture_core.metrics.thresholds import best_f1, lowest_cost, threshold_for_sensitivity, youden
from tests.support.predictions import model_like


@pytest.fixture
def splits():
    (val_labels, val_logits), (labels, logits) = model_like(408, seed=1), model_like(817, seed=2)
    return (val_labels, sigmoid(val_logits)), (labels, sigmoid(logits))


def test_each_is_what_its_criterion_chooses_on_validation(splits):
    val, test = splits
    found = {s.point.name: s for s in suggest(val, test, sensitivity=0.93, miss_cost=20)}
    assert found["target sensitivity"].point.threshold == threshold_for_sensitivity(*val, 0.93)
    assert found["youden"].point.threshold == youden(*val)
    assert found["best F1"].point.threshold == best_f1(*val)
    assert found["best F1"].title == "Best F1"
    assert found["lowest cost"].point.threshold == lowest_cost(*val, 20)
    assert found["target specificity"].validation.specificity >= 0.95
    for one in found.values():
        assert one.point.split == "val"
        assert one.validation == confusion(*val, one.point.threshold)
        assert one.test == confusion(*test, one.point.threshold)
        assert one.point.sensitivity == one.validation.sensitivity


def test_test_has_no_say(splits):
    val, (labels, probabilities) = splits
    flipped = suggest(val, (1 - labels, probabilities))
    assert [s.point for s in suggest(val, (labels, probabilities))] == [s.point for s in flipped]


def test_choosing_on_few_is_optimistic_on_the_whole():
    """The greatest F1 of 60 radiographs is, over many draws, greater than what it comes to on others."""
    optimism = []
    for seed in range(60):
        val, test = model_like(60, seed=seed), model_like(800, seed=1000 + seed)
        suggestions = suggest((val[0], sigmoid(val[1])), (test[0], sigmoid(test[1])))
        best = next(s for s in suggestions if s.point.name == "best F1")
        optimism.append(best.validation.f1 - best.test.f1)
    assert np.mean(optimism) > 0.02


def test_senseless_wishes_are_refused(splits):
    with pytest.raises(MetricsError):
        suggest(*splits, sensitivity=2)
    with pytest.raises(MetricsError):
        suggest(*splits, prevalence=-0.1)
    with pytest.raises(MetricsError):
        suggest(([0, 0], [0.1, 0.2]), splits[1])
