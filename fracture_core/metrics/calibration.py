"""Whether a predicted 30 % means 30 in 100: temperature scaling, and the measures of calibration.

`labels` are 0/1 (n,), `logits` floats (n,), `probabilities` floats (n,) in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.metrics.confusion import MetricsError, checked, sigmoid
from fracture_core.metrics.intervals import IntervalEstimate, wilson

#: The least and the greatest temperature that a fit may give. A separable validation set would drive it to
#: zero, and every probability to 0 or 1; a useless model would drive it to infinity.
TEMPERATURE_BOUNDS = (0.05, 20.0)


def negative_log_likelihood(labels: ArrayLike, logits: ArrayLike, temperature: float = 1.0) -> float:
    """Give the mean binary cross-entropy, in nats, of sigmoid(logits / temperature)."""
    truth, logits = checked(labels, logits)
    scaled = logits / temperature
    return float(np.mean(np.logaddexp(0.0, np.where(truth, -scaled, scaled))))


def fit_temperature(labels: ArrayLike, logits: ArrayLike) -> float:
    """Give the T in TEMPERATURE_BOUNDS that minimises the log loss of sigmoid(logits / T) (Guo et al. 2017).

    Call it on validation only. Raise MetricsError unless both classes are there.
    """
    # Here, not above: this import costs half a second, and diagnosing needs only the rest of this room.
    from scipy.optimize import minimize_scalar

    truth, logits = checked(labels, logits)
    if truth.all() or not truth.any():
        raise MetricsError("Fitting a temperature needs both fractured and not fractured radiographs.")

    # The loss is convex in 1/T, so it has one valley in log T as well, where the search is evenly spaced.
    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(truth, logits, float(np.exp(log_temperature)))

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURE_BOUNDS), method="bounded", options={"xatol": 1e-8})
    best = min((float(found.x), *np.log(TEMPERATURE_BOUNDS)), key=loss)
    # Where the loss is flat (all logits zero) no temperature is better than leaving the logits alone.
    return 1.0 if loss(0.0) <= loss(best) else float(np.exp(best))


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin: `n` radiographs, their mean probability, and the share of them that was fractured."""

    n: int
    fractured: int
    lowest: float
    highest: float
    mean_probability: float
    rate: IntervalEstimate


def _bin_edges(rising: NDArray[np.float64], bins: int) -> list[int]:
    """Where equal-mass bins of rising probabilities begin, and their end; equal ones stay together."""
    if bins < 1:
        raise MetricsError("A reliability diagram needs at least one bin.")
    if not rising.size:
        return []
    wanted = np.arange(bins) * rising.size // bins
    return [*np.unique(np.searchsorted(rising, rising[wanted])).tolist(), rising.size]


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> list[ReliabilityBin]:
    """Give the reliability diagram in at most `bins` equal-mass bins, rising.

    Equal probabilities are never parted, so the result does not hang on the order of the rows; where many are
    equal, bins are fewer and unequal.
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
    """Give the n-weighted mean of |mean probability - fractured share| over equal-mass bins; nan if empty.

    Naeini et al. 2015 with equal mass instead of equal width (Nixon et al. 2019). Even a perfectly calibrated
    model scores above zero on a finite sample.
    """
    rows = reliability(labels, probabilities, bins)
    total = sum(row.n for row in rows)
    return sum(row.n * abs(row.mean_probability - row.rate.value) for row in rows) / total if total else np.nan


def brier_score(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Give the mean squared difference of probability and label (Brier 1950); nan if empty."""
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
    """Give ECE (10 equal-mass bins), Brier score, log loss and diagram of sigmoid(logits / temperature).

    Called at 1 and at the bundle's temperature it gives before and after.
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
    """How many of the `n` radiographs scored nearest to `probability` (`lowest` to `highest`) were fractured."""

    probability: float
    n: int
    fractured: int
    lowest: float
    highest: float
    rate: IntervalEstimate

    @property
    def within(self) -> bool:
        """Whether `probability` lies among them; if not, none was scored like it and the rate is only the nearest."""
        return self.lowest <= self.probability <= self.highest

    @property
    def of_100(self) -> int | None:
        """'Of 100 radiographs like this, about this many were fractured'; None where there are none alike."""
        return round(100 * self.rate.value) if self.n else None


def local_rate(labels: ArrayLike, probabilities: ArrayLike, probability: float, neighbours: int = 100) -> LocalRate:
    """Count fractures among the `neighbours` test predictions nearest in probability, with a Wilson interval.

    Predictions as near as the last one all count, so n may exceed `neighbours`; with fewer predictions than
    that all count. Near 0 and 1 the neighbours lie on one side only: show `lowest` and `highest` beside the
    rate.
    """
    truth, probabilities = checked(labels, probabilities)
    if not truth.size:
        return LocalRate(probability, 0, 0, np.nan, np.nan, wilson(0, 0))
    distance = np.abs(probabilities - probability)
    last = min(max(neighbours, 1), truth.size) - 1
    near = distance <= np.partition(distance, last)[last]
    alike, fractured, n = probabilities[near], int(truth[near].sum()), int(near.sum())
    return LocalRate(probability, n, fractured, float(alike.min()), float(alike.max()), wilson(fractured, n))
