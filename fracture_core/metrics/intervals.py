"""95 % intervals for rates and for metrics of a confusion matrix.

Rates get Wilson's interval. Balanced accuracy, F1 and MCC get percentile bootstraps that are stratified (the class
sizes stay fixed) and seeded, so that a page always shows the same values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.metrics.confusion import Confusion, ppv_npv_at_prevalence

CONFIDENCE = 0.95
#: 1.96: how many standard errors a 95 % interval reaches to either side.
Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class IntervalEstimate:
    """A value with the 95 % interval from `low` to `high`; all three nan if the value is undefined."""

    value: float
    low: float
    high: float

    @property
    def defined(self) -> bool:
        """Whether the value is defined."""
        return not math.isnan(self.value)

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})" if self.defined else "undefined"


UNDEFINED = IntervalEstimate(math.nan, math.nan, math.nan)


def wilson(successes: int, n: int) -> IntervalEstimate:
    """Compute a share with Wilson's score interval (Wilson 1927).

    Args:
        successes: Count, 0..n.
        n: Number of trials.

    Returns:
        The share and its interval; UNDEFINED if n is 0.
    """
    if not n:
        return UNDEFINED
    share = successes / n
    centre = share + Z**2 / (2 * n)
    reach = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    # At 0 and n the exact bounds are 0 and 1, which rounding would miss slightly.
    low = 0.0 if successes == 0 else (centre - reach) / scale
    high = 1.0 if successes == n else (centre + reach) / scale
    return IntervalEstimate(share, low, high)


def percentile_interval(value: float, replicates: ArrayLike) -> IntervalEstimate:
    """Compute the 2.5 and 97.5 percentiles of bootstrap replicates around a value.

    Args:
        value: The point estimate.
        replicates: Shape (B,); undefined (nan) ones are left out.

    Returns:
        The value and its interval; UNDEFINED if the value or all replicates are undefined.
    """
    defined = np.asarray(replicates, dtype=np.float64)
    defined = defined[~np.isnan(defined)]
    if math.isnan(value) or not defined.size:
        return UNDEFINED
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return IntervalEstimate(value, float(low), float(high))


def rate_estimates(matrix: Confusion) -> dict[str, IntervalEstimate]:
    """Compute the rates of a confusion matrix with Wilson intervals.

    Args:
        matrix: The confusion matrix.

    Returns:
        sensitivity, specificity, ppv, npv, accuracy and prevalence by name.
    """
    flagged = matrix.tp + matrix.fp
    return {
        "sensitivity": wilson(matrix.tp, matrix.positives),
        "specificity": wilson(matrix.tn, matrix.negatives),
        "ppv": wilson(matrix.tp, flagged),
        "npv": wilson(matrix.tn, matrix.n - flagged),
        "accuracy": wilson(matrix.tp + matrix.tn, matrix.n),
        "prevalence": wilson(matrix.positives, matrix.n),
    }


def _resampled_correct(matrix: Confusion, resamples: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw TP and TN of stratified bootstrap resamples, each float64 (resamples,).

    Drawing P fractured radiographs with replacement makes the TP of a resample Binomial(P, TP / P), likewise its TN.
    Anything that depends on the data through the four cells alone therefore needs two binomial draws per resample: this
    is the bootstrap over radiographs itself, not an approximation, at a cost that does not grow with n. If a class is
    classified without error it never varies in the resamples, and the interval is too narrow.
    """
    rng = np.random.default_rng(seed)
    tp = rng.binomial(matrix.positives, matrix.tp / max(matrix.positives, 1), resamples)
    tn = rng.binomial(matrix.negatives, matrix.tn / max(matrix.negatives, 1), resamples)
    return tp.astype(np.float64), tn.astype(np.float64)


def summary_estimates(matrix: Confusion, resamples: int = 1000, seed: int = 0) -> dict[str, IntervalEstimate]:
    """Compute balanced accuracy, F1 and MCC with stratified percentile bootstrap intervals.

    Args:
        matrix: The confusion matrix.
        resamples: Number of bootstrap resamples.
        seed: Seed of the random generator.

    Returns:
        balanced_accuracy, f1 and mcc by name.
    """
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
    """Compute PPV and NPV at another prevalence, with bootstrap intervals.

    The intervals cover sampling error only, not a difference in case mix.

    Args:
        matrix: The confusion matrix.
        prevalence: Share of radiographs that are fractured, 0..1.
        resamples: Number of bootstrap resamples.
        seed: Seed of the random generator.

    Returns:
        ppv and npv by name.

    Raises:
        MetricsError: The prevalence is outside 0..1.
    """
    values = ppv_npv_at_prevalence(matrix.sensitivity, matrix.specificity, prevalence)
    if not (matrix.positives and matrix.negatives):
        return {"ppv": UNDEFINED, "npv": UNDEFINED}
    tp, tn = _resampled_correct(matrix, resamples, seed)
    sensitivity, specificity = tp / matrix.positives, tn / matrix.negatives
    with np.errstate(invalid="ignore"):
        flagged = sensitivity * prevalence + (1 - specificity) * (1 - prevalence)
        ppv, npv = sensitivity * prevalence / flagged, specificity * (1 - prevalence) / (1 - flagged)
    return {"ppv": percentile_interval(values[0], ppv), "npv": percentile_interval(values[1], npv)}


def threshold_table(matrix: Confusion, resamples: int = 1000, seed: int = 0) -> dict[str, IntervalEstimate]:
    """Compute every metric at one threshold with its interval, in the order in which they are shown.

    Args:
        matrix: The confusion matrix.
        resamples: Number of bootstrap resamples.
        seed: Seed of the random generator.

    Returns:
        The estimates by name.
    """
    figures = rate_estimates(matrix) | summary_estimates(matrix, resamples, seed)
    shown = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "balanced_accuracy", "f1", "mcc")
    return {name: figures[name] for name in shown}


def mean_estimate(values: ArrayLike, resamples: int = 1000, seed: int = 0) -> IntervalEstimate:
    """Compute a mean with a percentile bootstrap interval.

    Args:
        values: Finite floats, shape (n,).
        resamples: Number of bootstrap resamples.
        seed: Seed of the random generator.

    Returns:
        The mean and its interval; UNDEFINED if there are no values.
    """
    values = np.asarray(values, dtype=np.float64)
    if not values.size:
        return UNDEFINED
    drawn = np.random.default_rng(seed).integers(0, values.size, (resamples, values.size))
    return percentile_interval(float(values.mean()), values[drawn].mean(axis=1))
