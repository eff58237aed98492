"""ROC and precision-recall curves, and the areas under them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.metrics.confusion import checked


@dataclass(frozen=True)
class ThresholdSweep:
    """Confusion counts at every distinct threshold.

    `scores` (m,) are the distinct scores, descending; `tp` and `fp` (m,) count the fractured and the other radiographs
    at or above each of them, so the last entries are the totals.
    """

    scores: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    positives: int
    negatives: int


def sweep(labels: ArrayLike, scores: ArrayLike) -> ThresholdSweep:
    """Count true and false positives at every distinct score; equal scores are never separated.

    Args:
        labels: 0 or 1, shape (n,).
        scores: Floats, shape (n,).

    Returns:
        The counts, from the highest score to the lowest.

    Raises:
        MetricsError: The labels or scores are invalid.
    """
    truth, scores = checked(labels, scores)
    order = np.argsort(-scores, kind="stable")
    falling, truth = scores[order], truth[order]
    ends = np.flatnonzero(np.append(np.diff(falling) != 0, True)) if falling.size else np.array([], dtype=int)
    tp = np.cumsum(truth)[ends] if falling.size else np.array([], dtype=int)
    positives = int(truth.sum())
    return ThresholdSweep(falling[ends], tp, ends + 1 - tp, positives, truth.size - positives)


@dataclass(frozen=True)
class Curve:
    """A curve to plot: `x`, `y` and the threshold at each point, all float64 (m,)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    thresholds: NDArray[np.float64]


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """Return the ROC curve: x is 1 - specificity, y sensitivity, thresholds descending from infinity.

    Args:
        labels: 0 or 1, shape (n,).
        scores: Floats, shape (n,).

    Returns:
        The curve; a coordinate is nan if its class is missing.

    Raises:
        MetricsError: The labels or scores are invalid.
    """
    cut = sweep(labels, scores)
    with np.errstate(invalid="ignore"):
        x = np.append(0, cut.fp) / np.float64(cut.negatives)
        y = np.append(0, cut.tp) / np.float64(cut.positives)
    return Curve(x, y, np.append(np.inf, cut.scores))


def precision_recall_curve(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """Return the precision-recall curve: x is sensitivity (recall), y PPV (precision), thresholds descending.

    The first point is at the highest score, because precision is undefined if nothing is flagged.

    Args:
        labels: 0 or 1, shape (n,).
        scores: Floats, shape (n,).

    Returns:
        The curve; recall is nan if nothing is fractured.

    Raises:
        MetricsError: The labels or scores are invalid.
    """
    cut = sweep(labels, scores)
    with np.errstate(invalid="ignore"):
        return Curve(cut.tp / np.float64(cut.positives), cut.tp / (cut.tp + cut.fp), cut.scores)


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Compute the area under the ROC curve; ties count half.

    Args:
        labels: 0 or 1, shape (n,).
        scores: Floats, shape (n,).

    Returns:
        The area, 0..1; nan unless both classes are present.

    Raises:
        MetricsError: The labels or scores are invalid.
    """
    cut = sweep(labels, scores)
    if not (cut.positives and cut.negatives):
        return math.nan
    widths, heights = np.diff(cut.fp, prepend=0), np.append(0, cut.tp)
    return float((widths * (heights[1:] + heights[:-1])).sum() / (2 * cut.positives * cut.negatives))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Compute the sum of precision times the step in recall, without interpolation.

    Args:
        labels: 0 or 1, shape (n,).
        scores: Floats, shape (n,).

    Returns:
        The area, 0..1; nan if nothing is fractured.

    Raises:
        MetricsError: The labels or scores are invalid.
    """
    cut = sweep(labels, scores)
    if not cut.positives:
        return math.nan
    return float((np.diff(cut.tp, prepend=0) * cut.tp / (cut.tp + cut.fp)).sum() / cut.positives)
