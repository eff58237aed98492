"""Calibration: temperature scaling, and how well predicted probabilities match observed fracture rates.

`labels` are 0/1 (n,), `logits` floats (n,), `probabilities` floats (n,) in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.metrics.confusion import MetricsError, checked, sigmoid
from fracture_core.metrics.intervals import IntervalEstimate, wilson

#: The lowest and highest temperature that a fit may return. A separable validation set would drive it to zero, and
#: every probability to 0 or 1; a useless model would drive it to infinity.
TEMPERATURE_BOUNDS = (0.05, 20.0)


def negative_log_likelihood(labels: ArrayLike, logits: ArrayLike, temperature: float = 1.0) -> float:
    """Compute the mean binary cross-entropy of sigmoid(logits / temperature).

    Args:
        labels: 0 or 1, shape (n,).
        logits: Floats, shape (n,).
        temperature: Divides the logits.

    Returns:
        The loss, in nats.

    Raises:
        MetricsError: The labels or logits are invalid.
    """
    truth, logits = checked(labels, logits)
    scaled = logits / temperature
    return float(np.mean(np.logaddexp(0.0, np.where(truth, -scaled, scaled))))


def fit_temperature(labels: ArrayLike, logits: ArrayLike) -> float:
    """Fit the temperature that minimises the log loss of sigmoid(logits / T) (Guo et al. 2017).

    Use validation only.

    Args:
        labels: 0 or 1, shape (n,).
        logits: Floats, shape (n,).

    Returns:
        The temperature, within TEMPERATURE_BOUNDS.

    Raises:
        MetricsError: A class is missing, or the labels or logits are invalid.
    """
    # Imported here because it takes half a second, and the Diagnose path needs only the rest of this module.
    from scipy.optimize import minimize_scalar

    truth, logits = checked(labels, logits)
    if truth.all() or not truth.any():
        raise MetricsError("Fitting a temperature needs both fractured and not fractured radiographs.")

    # The loss is convex in 1/T, so it has a single minimum in log T as well, where the search is evenly spaced.
    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(truth, logits, float(np.exp(log_temperature)))

    fit = minimize_scalar(loss, bounds=np.log(TEMPERATURE_BOUNDS), method="bounded", options={"xatol": 1e-8})
    best = min((float(fit.x), *np.log(TEMPERATURE_BOUNDS)), key=loss)
    # If the loss is flat (all logits zero), the logits stay unscaled.
    return 1.0 if loss(0.0) <= loss(best) else float(np.exp(best))


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin: number of radiographs, their probabilities, and the share of them that is fractured."""

    n: int
    fractured: int
    lowest: float
    highest: float
    mean_probability: float
    rate: IntervalEstimate


def _bin_edges(rising: NDArray[np.float64], bins: int) -> list[int]:
    """Return the start of each equal-mass bin of ascending probabilities, and the end; equal ones stay together."""
    if bins < 1:
        raise MetricsError("A reliability diagram needs at least one bin.")
    if not rising.size:
        return []
    wanted = np.arange(bins) * rising.size // bins
    return [*np.unique(np.searchsorted(rising, rising[wanted])).tolist(), rising.size]


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> list[ReliabilityBin]:
    """Compute the reliability diagram in equal-mass bins.

    Equal probabilities are never separated, so the result does not depend on the order of the rows; if many are equal,
    there are fewer bins and they are uneven.

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).
        bins: Maximum number of bins.

    Returns:
        The bins, in ascending order of probability.

    Raises:
        MetricsError: The labels or probabilities are invalid, or `bins` is below 1.
    """
    truth, probabilities = checked(labels, probabilities)
    order = np.argsort(probabilities, kind="stable")
    rising, truth = probabilities[order], truth[order]
    rows = []
    for start, stop in pairwise(_bin_edges(rising, bins)):
        fractured, n = int(truth[start:stop].sum()), stop - start
        rows.append(
            ReliabilityBin(
                n=n,
                fractured=fractured,
                lowest=float(rising[start]),
                highest=float(rising[stop - 1]),
                mean_probability=float(rising[start:stop].mean()),
                rate=wilson(fractured, n),
            )
        )
    return rows


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> float:
    """Compute the n-weighted mean of |mean probability - fractured share| over equal-mass bins.

    Naeini et al. 2015 with equal mass instead of equal width (Nixon et al. 2019). Even a perfectly calibrated model
    scores above zero on a finite sample.

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).
        bins: Maximum number of bins.

    Returns:
        The error, 0..1; nan if there are no rows.

    Raises:
        MetricsError: The labels or probabilities are invalid, or `bins` is below 1.
    """
    rows = reliability(labels, probabilities, bins)
    total = sum(row.n for row in rows)
    return sum(row.n * abs(row.mean_probability - row.rate.value) for row in rows) / total if total else np.nan


def brier_score(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Compute the mean squared difference between probability and label (Brier 1950).

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).

    Returns:
        The score, 0..1; nan if there are no rows.

    Raises:
        MetricsError: The labels or probabilities are invalid.
    """
    truth, probabilities = checked(labels, probabilities)
    return float(np.mean((probabilities - truth) ** 2)) if truth.size else np.nan


@dataclass(frozen=True)
class CalibrationSummary:
    """Calibration at one temperature."""

    temperature: float
    ece: float
    brier: float
    log_loss: float
    bins: list[ReliabilityBin]


def calibration_summary(labels: ArrayLike, logits: ArrayLike, temperature: float = 1.0) -> CalibrationSummary:
    """Compute ECE (10 equal-mass bins), Brier score, log loss and reliability diagram at one temperature.

    Call it with 1 and with the bundle's temperature to compare before and after scaling.

    Args:
        labels: 0 or 1, shape (n,).
        logits: Floats, shape (n,).
        temperature: Divides the logits.

    Returns:
        The summary.

    Raises:
        MetricsError: The labels or logits are invalid.
    """
    truth, logits = checked(labels, logits)
    probabilities = sigmoid(logits / temperature)
    return CalibrationSummary(
        temperature=temperature,
        ece=expected_calibration_error(truth, probabilities),
        brier=brier_score(truth, probabilities),
        log_loss=negative_log_likelihood(truth, logits, temperature) if truth.size else np.nan,
        bins=reliability(truth, probabilities),
    )


@dataclass(frozen=True)
class LocalRate:
    """How many of the `n` radiographs with scores nearest to `probability` (`lowest` to `highest`) are fractured."""

    probability: float
    n: int
    fractured: int
    lowest: float
    highest: float
    rate: IntervalEstimate


def local_rate(
    labels: ArrayLike,
    probabilities: ArrayLike,
    probability: float,
    neighbours: int = 100,
    *,
    reach: float = 1.0,
    fewest: int = 20,
) -> LocalRate:
    """Count fractures among the predictions nearest in probability, with a Wilson interval.

    Ties with the last neighbour all count, so `n` may exceed `neighbours`. Near 0 and 1 the neighbours lie on one side
    only, and where predictions are sparse they lie far away: show `lowest` and `highest` beside the rate.

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).
        probability: The probability to compare with, 0..1.
        neighbours: How many of the nearest predictions to count; all of them if there are fewer.
        reach: How far from `probability` a neighbour may lie, 0..1.
        fewest: How many of the nearest to count whatever their distance.

    Returns:
        The rate and the range of its neighbours.

    Raises:
        MetricsError: The labels or probabilities are invalid.
    """
    truth, probabilities = checked(labels, probabilities)
    if not truth.size:
        return LocalRate(probability, 0, 0, np.nan, np.nan, wilson(0, 0))
    distance = np.abs(probabilities - probability)
    within = int((distance <= reach).sum())
    last = min(max(min(neighbours, max(within, fewest)), 1), truth.size) - 1
    near = distance <= np.partition(distance, last)[last]
    similar, fractured, n = probabilities[near], int(truth[near].sum()), int(near.sum())
    return LocalRate(probability, n, fractured, float(similar.min()), float(similar.max()), wilson(fractured, n))
