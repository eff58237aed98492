"""Paired comparisons against their definitions, and by how often they err where there is nothing to find."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fracture_core.metrics.confusion import confusion, sigmoid
from fracture_core.metrics.paired_tests import (
    ComparisonError,
    Paired,
    auc_difference,
    bootstrap_differences,
    disagreements,
    matched_sensitivity,
    pair,
)
from tests.support.predictions import model_like, predictions


def _two_models(n=600, gain=0.5, seed=0):
    """Labels, a model, and a better one that shares most of its errors."""
    labels, logits = model_like(n, seed=seed)
    rng = np.random.default_rng(seed + 1)
    return labels, sigmoid(logits), sigmoid(logits + gain * labels + rng.normal(0, 0.4, n))


def _paired(labels, first, second):
    return Paired(np.array([f"IMG{i:07d}" for i in range(len(labels))]), labels, first, second)


def _frame(ids, labels, probabilities):
    return pd.DataFrame({"image_id": ids, "label": labels, "probability": probabilities})


def test_the_paired_difference_is_delongs_by_definition():
    labels, first, second = _two_models()
    result = auc_difference(labels, first, second)
    assert result.first == pytest.approx(sk.roc_auc_score(labels, first))
    assert result.difference.value == pytest.approx(result.first - result.second)

    # The variance of the difference is that of the difference of the structural components (DeLong 1988).
    def kernel(scores):
        x, y = scores[labels == 1][:, None], scores[labels == 0][None, :]
        return (x > y) + 0.5 * (x == y)

    apart = kernel(first) - kernel(second)
    m, n = apart.shape
    error = math.sqrt(apart.mean(1).var(ddof=1) / m + apart.mean(0).var(ddof=1) / n)
    assert result.difference.high - result.difference.value == pytest.approx(1.959964 * error, rel=1e-5)
    assert result.p_value == pytest.approx(2 * stats.norm.sf(abs(apart.mean()) / error))


def test_bootstrap_and_delong_say_much_the_same_of_a_difference():
    labels, first, second = _two_models()
    delong = auc_difference(labels, first, second).difference
    bootstrap = bootstrap_differences(labels, first, second, resamples=2000)
    assert (bootstrap["roc_auc"].low, bootstrap["roc_auc"].high) == pytest.approx((delong.low, delong.high), abs=0.004)
    expected = sk.average_precision_score(labels, first) - sk.average_precision_score(labels, second)
    assert bootstrap["average_precision"].value == pytest.approx(expected)
    assert bootstrap["average_precision"].high < 0


def test_pairing_is_narrower_than_two_intervals_side_by_side():
    labels, first, second = _two_models()
    paired = auc_difference(labels, first, second).difference
    apart = auc_difference(labels, first, np.random.default_rng(0).permutation(second)).difference
    assert paired.high - paired.low < 0.7 * (apart.high - apart.low)


def test_where_there_is_no_difference_it_is_claimed_about_5_times_in_100():
    claimed = 0
    for seed in range(400):
        labels, logits = model_like(200, prevalence=0.3, seed=seed)
        rng = np.random.default_rng(seed)
        first, second = (logits + rng.normal(0, 1, 200) for _ in range(2))
        claimed += auc_difference(labels, first, second).p_value < 0.05
    assert 0.02 < claimed / 400 < 0.085


def test_the_same_ranking_is_no_difference():
    labels, first, _ = _two_models()
    result = auc_difference(labels, first, first**3)
    assert result.difference.value == 0
    assert result.p_value == 1
    assert bootstrap_differences(labels, first, first**3)["roc_auc"].high == 0


def test_four_radiographs_prove_nothing_and_none_say_nothing():
    total = auc_difference([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1])
    assert total.difference.value == 1
    assert math.isnan(total.difference.low)
    assert math.isnan(total.p_value)
    none = auc_difference([0, 0], [0.1, 0.2], [0.3, 0.4])
    assert not none.difference.defined
    assert math.isnan(none.p_value)
    assert not bootstrap_differences([0, 0], [0.1, 0.2], [0.3, 0.4])["roc_auc"].defined


@given(predictions(both=True))
def test_turning_the_question_round_turns_the_answer_round(rows):
    labels, first = rows
    second = first[::-1].copy()
    one, other = auc_difference(labels, first, second), auc_difference(labels, second, first)
    assert one.difference.value == pytest.approx(-other.difference.value, nan_ok=True)
    assert one.p_value == pytest.approx(other.p_value, nan_ok=True)


def test_pairing_goes_by_image_not_by_row():
    first = _frame(["a", "b", "c", "x"], [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4])
    second = _frame(["c", "y", "a", "b"], [0, 1, 0, 1], [0.7, 0.5, 0.5, 0.6])
    paired = pair(first, second)
    assert paired.image_ids.tolist() == ["a", "b", "c"]
    assert paired.labels.tolist() == [0, 1, 0]
    assert paired.first.tolist() == [0.1, 0.2, 0.3]
    assert paired.second.tolist() == [0.5, 0.6, 0.7]
    assert (paired.only_first, paired.only_second) == (1, 1)


@pytest.mark.parametrize(
    "second",
    [
        _frame(["p", "q"], [0, 1], [0.1, 0.2]),
        _frame(["a", "b"], [1, 1], [0.1, 0.2]),
        _frame(["a", "a"], [0, 0], [0.1, 0.2]),
    ],
)
def test_tables_that_do_not_belong_together_are_refused(second):
    with pytest.raises(ComparisonError, match=r"^[A-Z].*\.$"):
        pair(_frame(["a", "b"], [0, 1], [0.1, 0.2]), second)


def test_sensitivity_is_matched_on_validation_and_counted_on_test():
    val, test = _paired(*_two_models(400, seed=1)), _paired(*_two_models(800, seed=2))
    matched = matched_sensitivity(val, test, 0.9)
    for scores, threshold, seen, on_val in zip(
        (test.first, test.second),
        matched.thresholds,
        (matched.first, matched.second),
        (val.first, val.second),
        strict=True,
    ):
        assert confusion(val.labels, on_val, threshold).sensitivity >= 0.9
        assert seen == confusion(test.labels, scores, threshold)
    assert matched.second.specificity > matched.first.specificity


@given(predictions(both=True), st.floats(0, 1), st.floats(0, 1))
def test_disagreements_are_the_rows_where_one_is_right(rows, first_threshold, second_threshold):
    labels, first = rows
    paired = _paired(labels, first, first[::-1].copy())
    found = disagreements(paired, first_threshold, second_threshold)
    right = [
        (p >= first_threshold) == y and (q >= second_threshold) != y
        for y, p, q in zip(paired.labels, paired.first, paired.second, strict=True)
    ]
    assert found.first_right == sum(right)
    expected = {i for i, won in zip(paired.image_ids, right, strict=True) if won}
    assert {row.image_id for row in found.rows if row.right == "first"} == expected
    differ = (paired.first >= first_threshold) != (paired.second >= second_threshold)
    assert len(found.rows) == found.first_right + found.second_right == differ.sum()
    gaps = [abs(row.first - row.second) for row in found.rows]
    assert gaps == sorted(gaps, reverse=True)


def test_mcnemar_by_hand():
    """Ten differences, nine won by the first: 2 (1 + 10) / 2**10."""
    labels = np.ones(10, dtype=int)
    first, second = np.full(10, 0.9), np.full(10, 0.1)
    first[9], second[9] = 0.1, 0.9
    found = disagreements(_paired(labels, first, second), 0.5, 0.5)
    assert (found.first_right, found.second_right) == (9, 1)
    assert found.p_value == pytest.approx(22 / 1024)
    assert disagreements(_paired(labels, first, first), 0.5, 0.5).p_value == 1
