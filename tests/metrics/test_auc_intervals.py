"""Bootstrap and DeLong intervals of areas against scikit-learn and against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from scipy import stats

from fracture_core.metrics.auc_intervals import area_estimates, delong_covariance, delong_interval, resampled_areas
from fracture_core.metrics.intervals import (
    UNDEFINED,
    IntervalEstimate,
)
from tests.support.predictions import model_like, predictions


def test_the_same_seed_gives_the_same_interval():
    labels, logits = model_like(200)
    assert area_estimates(labels, logits, 100, seed=5) == area_estimates(labels, logits, 100, seed=5)
    assert area_estimates(labels, logits, 100, seed=5) != area_estimates(labels, logits, 100, seed=6)


@pytest.mark.slow
def test_area_bootstrap_agrees_with_scikit_learn_resample_by_resample():
    labels, logits = model_like(300, seed=2)
    coarse = np.round(logits, 1)
    ours = area_estimates(labels, coarse, resamples=2000)
    rng = np.random.default_rng(9)
    strata = [np.flatnonzero(labels == value) for value in (0, 1)]
    brute = {"roc_auc": [], "average_precision": []}
    for _ in range(500):
        rows = np.concatenate([rng.choice(stratum, stratum.size) for stratum in strata])
        brute["roc_auc"].append(sk.roc_auc_score(labels[rows], coarse[rows]))
        brute["average_precision"].append(sk.average_precision_score(labels[rows], coarse[rows]))
    for name, values in brute.items():
        assert (ours[name].low, ours[name].high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=0.015)


@settings(max_examples=40)
@given(predictions(both=True, max_size=15))
def test_each_resampled_area_is_one_that_scikit_learn_could_give(rows):
    """The drawing is hidden, so rebuild it: with the same seed the counts are the same for each score set."""
    labels, scores = rows
    areas = resampled_areas(labels, scores, scores, -scores, resamples=30)
    np.testing.assert_array_equal(areas[0], areas[1])
    np.testing.assert_allclose(areas[0, :, 0] + areas[2, :, 0], 1)
    assert ((areas >= -1e-12) & (areas <= 1 + 1e-12)).all()


def test_areas_without_both_classes_are_undefined():
    assert not area_estimates([0, 0], [0.1, 0.2])["roc_auc"].defined
    assert not area_estimates([], [])["average_precision"].defined
    assert delong_interval([1, 1], [0.1, 0.2]) is UNDEFINED


def _delong_by_definition(labels, *score_sets):
    """DeLong 1988 straight from the paper: the structural components as means over all pairs."""
    tens, ones = [], []
    for scores in score_sets:
        x, y = scores[labels == 1][:, None], scores[labels == 0][None, :]
        kernel = (x > y) + 0.5 * (x == y)
        tens.append(kernel.mean(axis=1))
        ones.append(kernel.mean(axis=0))
    m, n = (labels == 1).sum(), (labels == 0).sum()
    return np.atleast_2d(np.cov(tens)) / m + np.atleast_2d(np.cov(ones)) / n


@given(predictions(both=True, min_size=6))
def test_fast_delong_equals_the_definition(rows):
    labels, first = np.append(rows[0], [0, 1]), np.append(rows[1], [0.3, 0.6])
    second = np.round(first**2 + np.linspace(0, 0.5, first.size), 1)
    aucs, covariance = delong_covariance(labels, first, second)
    assert aucs == pytest.approx([sk.roc_auc_score(labels, first), sk.roc_auc_score(labels, second)])
    np.testing.assert_allclose(covariance, _delong_by_definition(labels, first, second), atol=1e-12)


def test_delong_holds_the_true_auc_about_95_times_in_100():
    """Two unit normals a distance d apart have AUC Phi(d / sqrt 2)."""
    rng = np.random.default_rng(0)
    truth = stats.norm.cdf(1.5 / math.sqrt(2))
    labels = np.repeat([0, 1], [150, 60])
    intervals = [delong_interval(labels, rng.normal(1.5 * labels)) for _ in range(600)]
    held = np.mean([i.low <= truth <= i.high for i in intervals])
    assert 0.92 < held < 0.975


def test_delong_and_the_bootstrap_say_much_the_same():
    labels, logits = model_like()
    delong, bootstrap = delong_interval(labels, logits), area_estimates(labels, logits, 2000)["roc_auc"]
    assert isinstance(delong, IntervalEstimate)
    assert (delong.low, delong.high) == pytest.approx((bootstrap.low, bootstrap.high), abs=0.006)
