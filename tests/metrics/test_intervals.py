"""Intervals against scipy, against brute force over radiographs, and by how often they hold the truth."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fracture_core.metrics.confusion import Confusion, confusion, sigmoid
from fracture_core.metrics.intervals import (
    UNDEFINED,
    mean_estimate,
    percentile_interval,
    predictive_values_at,
    rate_estimates,
    summary_estimates,
    threshold_table,
    wilson,
)
from tests.support.predictions import model_like


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
    used = []
    for _ in range(10):
        started = time.process_time()
        threshold_table(matrix, resamples=1000)
        used.append(time.process_time() - started)
    assert min(used) < 0.02  # seconds of processor time; other work on the machine does not count


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
