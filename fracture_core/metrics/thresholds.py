"""Choose the probability threshold at or above which a radiograph is called fractured.

Thresholds are chosen on validation and lie midway between neighbouring scores. A threshold on a score itself would
depend on its last bits, and the half-precision difference between two engines would flip the very radiograph that set
it; midway, the prediction holds as long as that difference is under half the gap. Below the lowest score the threshold
is midway to 0; above the highest, midway to 1. `labels` are 0/1 (n,), `probabilities` calibrated, 0..1 (n,).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.metrics.confusion import MetricsError
from fracture_core.metrics.curves import ThresholdSweep, sweep


def midway_thresholds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the m + 1 thresholds midway between distinct scores; the k-th flags the first k.

    If the highest probability is exactly 1, the first threshold is the next float above 1.

    Args:
        scores: Distinct probabilities, descending, float64 (m,).

    Returns:
        Thresholds, descending, float64 (m + 1,).
    """
    upper = np.append(np.inf, scores)
    upper[0] = 1.0 if scores.size == 0 or scores[0] < 1 else np.nextafter(1.0, 2.0)
    lower = np.append(scores, 0.0)
    middle = lower + (upper - lower) / 2
    # Between neighbouring floats the middle rounds to one of them; the upper one leaves the lower unflagged.
    middle[:-1] = np.where(middle[:-1] <= scores, upper[:-1], middle[:-1])
    return middle


def _candidates(
    labels: ArrayLike, probabilities: ArrayLike
) -> tuple[ThresholdSweep, NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the sweep, and the m + 1 midway thresholds with the true and false positives at each."""
    cut = sweep(labels, probabilities)
    if not (cut.positives and cut.negatives):
        raise MetricsError("Choosing a threshold needs both fractured and not fractured radiographs.")
    if cut.scores[0] > 1 or cut.scores[-1] < 0:
        raise MetricsError("Thresholds are chosen on probabilities between 0 and 1, not on logits.")
    return cut, midway_thresholds(cut.scores), np.append(0, cut.tp), np.append(0, cut.fp)


def _check_share(target: float) -> None:
    if not 0 <= target <= 1:
        raise MetricsError("The target must lie between 0 and 1.")


def threshold_for_sensitivity(labels: ArrayLike, probabilities: ArrayLike, target: float) -> float:
    """Return the highest midway threshold whose sensitivity is at least the target.

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).
        target: Sensitivity, 0..1.

    Returns:
        The threshold.

    Raises:
        MetricsError: A class is missing, the scores are not probabilities, or the target is outside 0..1.
    """
    _check_share(target)
    cut, thresholds, tp, _ = _candidates(labels, probabilities)
    return float(thresholds[np.argmax(tp / cut.positives >= target)])


def threshold_for_specificity(labels: ArrayLike, probabilities: ArrayLike, target: float) -> float:
    """Return the lowest midway threshold whose specificity is at least the target.

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).
        target: Specificity, 0..1.

    Returns:
        The threshold.

    Raises:
        MetricsError: A class is missing, the scores are not probabilities, or the target is outside 0..1.
    """
    _check_share(target)
    cut, thresholds, _, fp = _candidates(labels, probabilities)
    enough = (cut.negatives - fp) / cut.negatives >= target
    return float(thresholds[np.flatnonzero(enough)[-1]])


def _lowest_best(thresholds: NDArray[np.float64], gain: NDArray[np.float64]) -> float:
    """Return the threshold of greatest gain; among equals the lowest, which misses the fewest fractures."""
    best = np.isclose(gain, gain.max(), rtol=0, atol=1e-12)
    return float(thresholds[np.flatnonzero(best)[-1]])


def youden(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the threshold that maximises sensitivity + specificity - 1 (Youden 1950); among equals the lowest.

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).

    Returns:
        The threshold.

    Raises:
        MetricsError: A class is missing, or the scores are not probabilities.
    """
    cut, thresholds, tp, fp = _candidates(labels, probabilities)
    return _lowest_best(thresholds, tp / cut.positives - fp / cut.negatives)


def best_f1(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the threshold that maximises F1; among equals the lowest.

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).

    Returns:
        The threshold.

    Raises:
        MetricsError: A class is missing, or the scores are not probabilities.
    """
    cut, thresholds, tp, fp = _candidates(labels, probabilities)
    return _lowest_best(thresholds, 2 * tp / (tp + fp + cut.positives))


def lowest_cost(
    labels: ArrayLike,
    probabilities: ArrayLike,
    miss_cost: float,
    false_positive_cost: float = 1.0,
    prevalence: float | None = None,
) -> float:
    """Return the threshold with the lowest mean cost per radiograph; among equals the lowest.

    With calibrated probabilities it approaches false_positive_cost / (miss_cost + false_positive_cost) (Elkan 2001).

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).
        miss_cost: Cost of a missed fracture.
        false_positive_cost: Cost of a false positive, in the same unit.
        prevalence: Share of radiographs that are fractured, 0..1; by default that of the labels.

    Returns:
        The threshold.

    Raises:
        MetricsError: A class is missing, the scores are not probabilities, or costs or prevalence are invalid.
    """
    if not (np.isfinite([miss_cost, false_positive_cost]).all() and min(miss_cost, false_positive_cost) >= 0):
        raise MetricsError("The costs must be finite and not negative.")
    if miss_cost == false_positive_cost == 0:
        raise MetricsError("At least one of the two costs must be above zero.")
    cut, thresholds, tp, fp = _candidates(labels, probabilities)
    share = cut.positives / (cut.positives + cut.negatives) if prevalence is None else prevalence
    _check_share(share)
    misses, alarms = 1 - tp / cut.positives, fp / cut.negatives
    cost = miss_cost * share * misses + false_positive_cost * (1 - share) * alarms
    return _lowest_best(thresholds, -cost / max(miss_cost, false_positive_cost))
