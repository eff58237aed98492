"""Intervals against scipy, against brute force over radiographs, and by how often they hold the truth."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fracture_core.metrics.confusion import Confusion, confusion, sigmoid
from fracture_core.metrics.intervals import (
    UNDEFINED,
    IntervalEstimate,
    area_estimates,
    delong_covariance,
    delong_interval,
    mean_estimate,
    percentile_interval,
    predictive_values_at,
    rate_estimates,
    resampled_areas,
    summary_estimates,
    threshold_table,
    wilson,
)
from tests.support.predictions import model_like, predictions


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipys(pair):
    successes, n = pair
    ours = wilson(successes, n)
    theirs = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= ours.low <= ours.value <= ours.high <= 1


def test_nothing_measured_is_undefined():
    assert not wilson(0, 0).defined
    assert str(UNDEFINED) == "undefined"
    assert not percentile_interval(0.5, [math.nan]).defined
    empty = threshold_table(Confusion(0, 0, 0, 0))
    assert len(empty) == 8
    assert not any(estimate.defined for estimate in empty.values())


def test_the_table_gives_the_matrix_its_own_figures():
    matrix = Confusion(tn=665, fp=9, fn=121, tp=22)
    for name, estimate in threshold_table(matrix).items():
        assert estimate.value == pytest.approx(getattr(matrix, name)), name
        assert estimate.low < estimate.value < estimate.high, name
    assert rate_estimates(matrix)["prevalence"].value == pytest.approx(matrix.prevalence)


def test_two_binomials_are_the_bootstrap_over_radiographs():
    labels, logits = model_like(400, seed=3)
    matrix = confusion(labels, sigmoid(logits), 0.25)
    called = sigmoid(logits) >= 0.25
    rng = np.random.default_rng(1)
    strata = [np.flatnonzero(labels == value) for value in (0, 1)]
    replicates = {"balanced_accuracy": [], "f1": [], "mcc": []}
    for _ in range(3000):
        rows = np.concatenate([rng.choice(stratum, stratum.size) for stratum in strata])
        tp, fp = (called & (labels == 1))[rows].sum(), (called & (labels == 0))[rows].sum()
        drawn = Confusion(matrix.negatives - fp, fp, matrix.positives - tp, tp)
        for name, values in replicates.items():
            values.append(getattr(drawn, name))
    ours = summary_estimates(matrix, resamples=20_000)
    for name, values in replicates.items():
        brute = percentile_interval(ours[name].value, values)
        assert (ours[name].low, ours[name].high) == pytest.approx((brute.low, brute.high), abs=0.01), name


@given(st.builds(Confusion, *[st.integers(0, 30)] * 4))
def test_summaries_never_raise_and_stay_in_order(matrix):
    for name, estimate in summary_estimates(matrix, resamples=50).items():
        assert estimate.defined == (not math.isnan(getattr(matrix, name)))
        assert not estimate.defined or estimate.low <= estimate.high


def test_the_threshold_table_is_quick_enough_for_a_slider():
    matrix = Confusion(tn=600, fp=74, fn=20, tp=123)
    threshold_table(matrix)
    started = time.perf_counter()
    for _ in range(10):
        threshold_table(matrix, resamples=1000)
    assert (time.perf_counter() - started) / 10 < 0.02


def test_the_same_seed_gives_the_same_interval():
    labels, logits = model_like(200)
    assert area_estimates(labels, logits, 100, seed=5) == area_estimates(labels, logits, 100, seed=5)
    assert area_estimates(labels, logits, 100, seed=5) != area_estimates(labels, logits, 100, seed=6)


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


@given(st.builds(Confusion, *[st.integers(1, 60)] * 4))
def test_predictive_values_at_their_own_prevalence_are_those_of_the_matrix(matrix):
    own = predictive_values_at(matrix, matrix.prevalence, resamples=200)
    assert (own["ppv"].value, own["npv"].value) == pytest.approx((matrix.ppv, matrix.npv))
    for estimate in predictive_values_at(matrix, 0.02, resamples=200).values():
        assert 0 <= estimate.low <= estimate.high <= 1 + 1e-12


def test_predictive_values_are_undefined_without_both_classes_and_follow_prevalence():
    assert not predictive_values_at(Confusion(5, 1, 0, 0), 0.1)["ppv"].defined
    matrix = Confusion(tn=600, fp=74, fn=20, tp=123)
    rare, common = (predictive_values_at(matrix, share)["ppv"] for share in (0.02, 0.5))
    assert rare.high < common.low


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=40))
def test_a_mean_lies_in_its_interval_and_scipy_agrees(values):
    ours = mean_estimate(values, resamples=400)
    assert ours.value == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= ours.low <= ours.high <= max(values) + 1e-9
    assert not mean_estimate([]).defined


def test_the_bootstrap_of_a_mean_agrees_with_scipys():
    values = np.random.default_rng(0).exponential(size=143)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=5000, rng=1).confidence_interval
    ours = mean_estimate(values, resamples=5000)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)
