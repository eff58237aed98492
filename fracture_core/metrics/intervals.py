"""How far a figure can be trusted: 95 % intervals for rates, confusion matrices and areas under curves.

Rates get Wilson's interval. Balanced accuracy, F1, MCC and the areas get percentile bootstraps that are
stratified (the numbers of fractured and other radiographs stay as they are) and seeded, so a page redraws
the same figures. `labels` are 0/1 (n,), `scores` floats (n,).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.metrics.confusion import Confusion, average_precision, checked, ppv_npv_at_prevalence, roc_auc

CONFIDENCE = 0.95
#: 1.96: how many standard errors a 95 % interval reaches to either side.
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
#: How many entries of a (resamples, n) table are worked on at once: about 2 MB of float64, which stays in
#: cache.
_BLOCK = 250_000


@dataclass(frozen=True)
class IntervalEstimate:
    """A figure with the 95 % interval from `low` to `high`; all three nan where the figure is undefined."""

    value: float
    low: float
    high: float

    @property
    def defined(self) -> bool:
        """Whether there is a figure at all."""
        return not math.isnan(self.value)

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})" if self.defined else "undefined"


UNDEFINED = IntervalEstimate(math.nan, math.nan, math.nan)


def wilson(successes: int, n: int) -> IntervalEstimate:
    """Give the share successes / n with Wilson's score interval (Wilson 1927); UNDEFINED where n is 0."""
    if not n:
        return UNDEFINED
    share = successes / n
    centre = share + Z**2 / (2 * n)
    reach = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    # At 0 and n the exact bounds are 0 and 1; rounding would leave them a hair off, or past the share itself.
    low = 0.0 if successes == 0 else (centre - reach) / scale
    high = 1.0 if successes == n else (centre + reach) / scale
    return IntervalEstimate(share, low, high)


def percentile_interval(value: float, replicates: ArrayLike) -> IntervalEstimate:
    """Put the 2.5 and 97.5 percentiles of replicates (B,) round `value`, leaving out the undefined."""
    replicates = np.asarray(replicates, dtype=np.float64)
    replicates = replicates[~np.isnan(replicates)]
    if math.isnan(value) or not replicates.size:
        return UNDEFINED
    low, high = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return IntervalEstimate(value, float(low), float(high))


def rate_estimates(matrix: Confusion) -> dict[str, IntervalEstimate]:
    """Give sensitivity, specificity, ppv, npv, accuracy and prevalence, each with its Wilson interval."""
    called = matrix.tp + matrix.fp
    return {
        "sensitivity": wilson(matrix.tp, matrix.positives),
        "specificity": wilson(matrix.tn, matrix.negatives),
        "ppv": wilson(matrix.tp, called),
        "npv": wilson(matrix.tn, matrix.n - called),
        "accuracy": wilson(matrix.tp + matrix.tn, matrix.n),
        "prevalence": wilson(matrix.positives, matrix.n),
    }


def _resampled_correct(matrix: Confusion, resamples: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """TP and TN of stratified bootstrap resamples, each float64 (resamples,).

    Drawing P fractured radiographs with replacement makes the TP of a resample Binomial(P, TP / P), and its TN
    likewise. So whatever depends on the data through the four cells alone needs two binomial draws a resample: the
    bootstrap over radiographs itself, not an approximation to it, at a cost that does not grow with n. Where a class
    is called without error it never varies in the resamples, and the interval is too narrow.
    """
    rng = np.random.default_rng(seed)
    tp = rng.binomial(matrix.positives, matrix.tp / max(matrix.positives, 1), resamples)
    tn = rng.binomial(matrix.negatives, matrix.tn / max(matrix.negatives, 1), resamples)
    return tp.astype(np.float64), tn.astype(np.float64)


def summary_estimates(matrix: Confusion, resamples: int = 1000, seed: int = 0) -> dict[str, IntervalEstimate]:
    """Give balanced_accuracy, f1 and mcc, each with a stratified percentile bootstrap interval."""
    positives, negatives = matrix.positives, matrix.negatives
    tp, tn = _resampled_correct(matrix, resamples, seed)
    fn, fp = positives - tp, negatives - tn
    with np.errstate(divide="ignore", invalid="ignore"):
        balanced = (tp / positives + tn / negatives) / 2
        f1 = 2 * tp / (2 * tp + fp + fn)
        mcc = (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tn + fn) * positives * negatives)
    return {
        "balanced_accuracy": percentile_interval(matrix.balanced_accuracy, balanced),
        "f1": percentile_interval(matrix.f1, f1),
        "mcc": percentile_interval(matrix.mcc, mcc),
    }


def predictive_values_at(
    matrix: Confusion, prevalence: float, resamples: int = 1000, seed: int = 0
) -> dict[str, IntervalEstimate]:
    """Give ppv and npv where a share `prevalence` (0..1) is fractured, with bootstrap intervals.

    The interval holds what sampling these radiographs leaves open, not whether they are like those over there.
    """
    values = ppv_npv_at_prevalence(matrix.sensitivity, matrix.specificity, prevalence)
    if not (matrix.positives and matrix.negatives):
        return {"ppv": UNDEFINED, "npv": UNDEFINED}
    tp, tn = _resampled_correct(matrix, resamples, seed)
    sensitivity, specificity = tp / matrix.positives, tn / matrix.negatives
    with np.errstate(invalid="ignore"):
        called = sensitivity * prevalence + (1 - specificity) * (1 - prevalence)
        ppv, npv = sensitivity * prevalence / called, specificity * (1 - prevalence) / (1 - called)
    return {"ppv": percentile_interval(values[0], ppv), "npv": percentile_interval(values[1], npv)}


def threshold_table(matrix: Confusion, resamples: int = 1000, seed: int = 0) -> dict[str, IntervalEstimate]:
    """Give every figure at one threshold with its interval, in the order in which they are shown."""
    figures = rate_estimates(matrix) | summary_estimates(matrix, resamples, seed)
    shown = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "balanced_accuracy", "f1", "mcc")
    return {name: figures[name] for name in shown}


def mean_estimate(values: ArrayLike, resamples: int = 1000, seed: int = 0) -> IntervalEstimate:
    """Give the mean of (n,) finite values with a percentile bootstrap interval; UNDEFINED where there are none."""
    values = np.asarray(values, dtype=np.float64)
    if not values.size:
        return UNDEFINED
    drawn = np.random.default_rng(seed).integers(0, values.size, (resamples, values.size))
    return percentile_interval(float(values.mean()), values[drawn].mean(axis=1))


def _resampled_counts(truth: NDArray[np.bool_], resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each radiograph (n,) is drawn in each stratified resample; float64 (resamples, n)."""
    counts = np.zeros((resamples, truth.size))
    for stratum in (np.flatnonzero(truth), np.flatnonzero(~truth)):
        size = stratum.size
        drawn = rng.integers(0, size, (resamples, size)) + np.arange(resamples)[:, None] * size
        counts[:, stratum] = np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size)
    return counts


def _weighted_areas(
    counts: NDArray[np.float64], truth: NDArray[np.bool_], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """ROC AUC and average precision (resamples, 2) when each radiograph stands as often as `counts` says."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    drawn = counts[:, order]
    called = np.cumsum(drawn, axis=1)[:, ends]
    tp = np.cumsum(drawn * truth[order], axis=1)[:, ends]
    fp = called - tp
    steps = np.diff(tp, axis=1, prepend=0)
    positives, negatives = tp[:, -1], fp[:, -1]
    # Of each step in the fractured, the others scored below count whole and those tied with it half.
    below = negatives[:, None] - fp + np.diff(fp, axis=1, prepend=0) / 2
    # Nobody drawn at or above a score means a step of zero there, whatever the precision.
    precision = tp / np.maximum(called, 1)
    auc = np.einsum("ij,ij->i", steps, below) / (positives * negatives)
    return np.stack([auc, np.einsum("ij,ij->i", steps, precision) / positives], axis=1)


def resampled_areas(
    labels: ArrayLike, *score_sets: ArrayLike, resamples: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """Bootstrap (ROC AUC, average precision) of each score set on the same resamples: (sets, resamples, 2).

    Stratified, so that differences between sets are paired; all nan unless both classes are there.
    """
    pairs = [checked(labels, scores) for scores in score_sets]
    truth = pairs[0][0]
    areas = np.full((len(pairs), resamples, 2), np.nan)
    if truth.all() or not truth.any():
        return areas
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // truth.size)
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        counts = _resampled_counts(truth, stop - start, rng)
        for index, (_, scores) in enumerate(pairs):
            areas[index, start:stop] = _weighted_areas(counts, truth, scores)
    return areas


def area_estimates(
    labels: ArrayLike, scores: ArrayLike, resamples: int = 1000, seed: int = 0
) -> dict[str, IntervalEstimate]:
    """Give roc_auc and average_precision with stratified percentile bootstrap intervals."""
    areas = resampled_areas(labels, scores, resamples=resamples, seed=seed)[0]
    return {
        "roc_auc": percentile_interval(roc_auc(labels, scores), areas[:, 0]),
        "average_precision": percentile_interval(average_precision(labels, scores), areas[:, 1]),
    }


def _midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def delong_covariance(labels: ArrayLike, *score_sets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the AUCs (k,) of k score sets on the same radiographs, and their covariance (k, k).

    DeLong, DeLong & Clarke-Pearson 1988 by the fast algorithm of Sun & Xu 2014. All nan with no radiograph
    in a class; the covariance nan with only one.
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
    """Give the AUC with DeLong's normal interval, cut off at 0 and 1.

    At an AUC of 0 or 1 it has no width, which is a weakness of the method and not certainty.
    """
    aucs, covariance = delong_covariance(labels, scores)
    value, reach = float(aucs[0]), Z * math.sqrt(covariance[0, 0])
    if math.isnan(value):
        return UNDEFINED
    return IntervalEstimate(value, max(0.0, value - reach), min(1.0, value + reach))
