"""Intervals for the areas under the ROC and precision-recall curves: stratified bootstrap and DeLong.

`labels` are 0/1 (n,), `scores` floats (n,). The bootstrap is seeded, so that a page always shows the same values.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.metrics.confusion import checked
from fracture_core.metrics.curves import average_precision, roc_auc
from fracture_core.metrics.intervals import UNDEFINED, IntervalEstimate, Z, percentile_interval

#: Entries of a (resamples, n) table that are processed at once: about 2 MB of float64, which fits the cache.
_CHUNK_ENTRIES = 250_000


def _resampled_counts(truth: NDArray[np.bool_], resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Count how often each radiograph (n,) is drawn in each stratified resample; float64 (resamples, n)."""
    counts = np.zeros((resamples, truth.size))
    for stratum in (np.flatnonzero(truth), np.flatnonzero(~truth)):
        size = stratum.size
        drawn = rng.integers(0, size, (resamples, size)) + np.arange(resamples)[:, None] * size
        counts[:, stratum] = np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size)
    return counts


def _weighted_areas(
    counts: NDArray[np.float64], truth: NDArray[np.bool_], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute ROC AUC and average precision (resamples, 2) with each radiograph weighted by `counts`."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    drawn = counts[:, order]
    flagged = np.cumsum(drawn, axis=1)[:, ends]
    tp = np.cumsum(drawn * truth[order], axis=1)[:, ends]
    fp = flagged - tp
    steps = np.diff(tp, axis=1, prepend=0)
    positives, negatives = tp[:, -1], fp[:, -1]
    # At each step in the fractured, negatives scored lower count fully and ties count half.
    below = negatives[:, None] - fp + np.diff(fp, axis=1, prepend=0) / 2
    # If nothing at or above a score was drawn, the step there is zero, whatever the precision.
    precision = tp / np.maximum(flagged, 1)
    auc = np.einsum("ij,ij->i", steps, below) / (positives * negatives)
    return np.stack([auc, np.einsum("ij,ij->i", steps, precision) / positives], axis=1)


def resampled_areas(
    labels: ArrayLike, *score_sets: ArrayLike, resamples: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """Bootstrap ROC AUC and average precision of several score sets on the same resamples.

    Resampling is stratified and shared, so that differences between score sets are paired.

    Args:
        labels: 0 or 1, shape (n,).
        *score_sets: Floats, each of shape (n,).
        resamples: Number of bootstrap resamples.
        seed: Seed of the random generator.

    Returns:
        (ROC AUC, average precision), float64 (sets, resamples, 2); all nan unless both classes are present.

    Raises:
        MetricsError: The labels or scores are invalid.
    """
    pairs = [checked(labels, scores) for scores in score_sets]
    truth = pairs[0][0]
    areas = np.full((len(pairs), resamples, 2), np.nan)
    if truth.all() or not truth.any():
        return areas
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_ENTRIES // truth.size)
    for start in range(0, resamples, chunk):
        stop = min(start + chunk, resamples)
        counts = _resampled_counts(truth, stop - start, rng)
        for index, (_, scores) in enumerate(pairs):
            areas[index, start:stop] = _weighted_areas(counts, truth, scores)
    return areas


def area_estimates(
    labels: ArrayLike, scores: ArrayLike, resamples: int = 1000, seed: int = 0
) -> dict[str, IntervalEstimate]:
    """Compute ROC AUC and average precision with stratified percentile bootstrap intervals.

    Args:
        labels: 0 or 1, shape (n,).
        scores: Floats, shape (n,).
        resamples: Number of bootstrap resamples.
        seed: Seed of the random generator.

    Returns:
        roc_auc and average_precision by name.

    Raises:
        MetricsError: The labels or scores are invalid.
    """
    areas = resampled_areas(labels, scores, resamples=resamples, seed=seed)[0]
    return {
        "roc_auc": percentile_interval(roc_auc(labels, scores), areas[:, 0]),
        "average_precision": percentile_interval(average_precision(labels, scores), areas[:, 1]),
    }


def _midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def delong_covariance(labels: ArrayLike, *score_sets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the AUCs of several score sets on the same radiographs, and their covariance.

    DeLong, DeLong & Clarke-Pearson 1988 by the fast algorithm of Sun & Xu 2014.

    Args:
        labels: 0 or 1, shape (n,).
        *score_sets: k sets of floats, each of shape (n,).

    Returns:
        AUCs (k,) and covariance (k, k). All nan if a class is empty; the covariance nan if a class has one member.

    Raises:
        MetricsError: The labels or scores are invalid.
    """
    pairs = [checked(labels, scores) for scores in score_sets]
    truth, k = pairs[0][0], len(pairs)
    m, n = int(truth.sum()), int((~truth).sum())
    if not (m and n):
        return np.full(k, np.nan), np.full((k, k), np.nan)
    over_negatives, over_positives = np.empty((k, m)), np.empty((k, n))
    for index, (_, scores) in enumerate(pairs):
        ranks = _midranks(scores)
        over_negatives[index] = (ranks[truth] - _midranks(scores[truth])) / n
        over_positives[index] = 1 - (ranks[~truth] - _midranks(scores[~truth])) / m
    aucs = over_negatives.mean(axis=1)
    if min(m, n) < 2:
        return aucs, np.full((k, k), np.nan)
    covariance = np.atleast_2d(np.cov(over_negatives)) / m + np.atleast_2d(np.cov(over_positives)) / n
    return aucs, covariance


def delong_interval(labels: ArrayLike, scores: ArrayLike) -> IntervalEstimate:
    """Compute the AUC with DeLong's normal interval, clipped to 0..1.

    At an AUC of 0 or 1 the interval has no width, which is a weakness of the method and not certainty.

    Args:
        labels: 0 or 1, shape (n,).
        scores: Floats, shape (n,).

    Returns:
        The AUC and its interval; UNDEFINED unless both classes are present.

    Raises:
        MetricsError: The labels or scores are invalid.
    """
    aucs, covariance = delong_covariance(labels, scores)
    value, reach = float(aucs[0]), Z * math.sqrt(covariance[0, 0])
    if math.isnan(value):
        return UNDEFINED
    return IntervalEstimate(value, max(0.0, value - reach), min(1.0, value + reach))
