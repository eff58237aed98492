"""Curves and areas against scikit-learn and against their definitions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given

from fracture_core.metrics.confusion import (
    confusion,
)
from fracture_core.metrics.curves import average_precision, precision_recall_curve, roc_auc, roc_curve, sweep
from tests.support.predictions import predictions


@given(predictions(both=True))
def test_auc_is_the_share_of_pairs_in_the_right_order(rows):
    labels, scores = rows
    pairs = itertools.product(scores[labels == 1], scores[labels == 0])
    assert roc_auc(labels, scores) == pytest.approx(np.mean([(a > b) + (a == b) / 2 for a, b in pairs]))
    assert roc_auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores))


@pytest.mark.slow
@given(predictions(both=True))
def test_average_precision_equals_scikit_learns(rows):
    assert average_precision(*rows) == pytest.approx(sk.average_precision_score(*rows))


@given(predictions(both=True))
def test_curves_equal_scikit_learns(rows):
    ours = roc_curve(*rows)
    for mine, theirs in zip(
        (ours.x, ours.y, ours.thresholds), sk.roc_curve(*rows, drop_intermediate=False), strict=True
    ):
        np.testing.assert_allclose(mine, theirs)
    ours = precision_recall_curve(*rows)
    precision, recall, thresholds = sk.precision_recall_curve(*rows)
    np.testing.assert_allclose(ours.y, precision[:-1][::-1])
    np.testing.assert_allclose(ours.x, recall[:-1][::-1])
    np.testing.assert_allclose(ours.thresholds, thresholds[::-1])


@given(predictions())
def test_each_cut_counts_what_its_threshold_calls(rows):
    cut = sweep(*rows)
    for score, tp, fp in zip(cut.scores, cut.tp, cut.fp, strict=True):
        matrix = confusion(*rows, score)
        assert (matrix.tp, matrix.fp) == (tp, fp)


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_areas_are_undefined_without_both_classes(labels):
    scores = np.linspace(0, 1, len(labels))
    assert math.isnan(roc_auc(labels, scores))
    assert math.isnan(average_precision(labels, scores)) == (1 not in labels)
    assert roc_curve(labels, scores).x.size == len(labels) + 1
    assert precision_recall_curve(labels, scores).x.size == len(labels)
