"""The statistics of drift against their definitions and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp, mannwhitneyu

from fracture_core.evaluation.monitoring.drift import (
    FeatureTest,
    ScoreTest,
    feature_stability,
    population_stability_index,
    shifts,
)

RNG = np.random.default_rng(0)


def test_the_index_is_its_definition():
    reference, scores = RNG.random(1000), RNG.random(400) ** 2
    edges = np.quantile(reference, np.linspace(0, 1, 11))
    edges[0], edges[-1] = -np.inf, np.inf
    counts = [np.histogram(values, edges)[0] + 0.5 for values in (reference, scores)]
    a, b = (count / count.sum() for count in counts)
    index = population_stability_index(reference, scores)
    assert index == pytest.approx(((b - a) * np.log(b / a)).sum())
    assert population_stability_index(reference, reference) == 0
    assert np.isnan(population_stability_index(reference, []))
    both = feature_stability(np.column_stack([reference, reference]), np.column_stack([scores, scores + 1]))
    assert both[0] == pytest.approx(index) and both[1] > index


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_the_tests_are_scipys(decimals):
    """Rounded, many values are tied."""
    reference, values = RNG.normal(size=(300, 3)), RNG.normal(size=(80, 3)) * (1, 1, 2) + (0, 1, 0)
    if decimals is not None:
        reference, values = reference.round(decimals), values.round(decimals)
    p = FeatureTest(reference).p_values(values)
    for k in range(3):
        distance = [np.abs(sample[:, k] - np.median(reference[:, k])) for sample in (reference, values)]
        each = [mannwhitneyu(*pair, method="asymptotic").pvalue for pair in ((reference[:, k], values[:, k]), distance)]
        assert p[k] == pytest.approx(min(each), rel=1e-6)
    assert p[0] > 0.01 and p[1] < 1e-6 and p[2] < 1e-3
    before, now = reference[:, 0], values[:, 1]
    each = mannwhitneyu(before, now, method="asymptotic").pvalue, ks_2samp(before, now, method="asymp").pvalue
    assert ScoreTest(before).p_value(now) == pytest.approx(min(each), rel=1e-6)
    assert ScoreTest(before).p_value([1.0] * 5) == 1 and (FeatureTest(reference).p_values(values[:5]) == 1).all()


def test_what_never_varies_and_what_is_not_there_is_no_alarm():
    assert (FeatureTest(np.zeros((200, 2))).p_values(np.zeros((80, 2))) == 1).all()
    assert (FeatureTest(np.empty((0, 2))).p_values(np.zeros((80, 2))) == 1).all()


def test_shifts_are_in_standard_deviations():
    reference = RNG.normal(3, 2, size=(20_000, 2))
    assert shifts(reference, reference + np.array([2, 0])) == pytest.approx([1, 0], abs=0.05)
