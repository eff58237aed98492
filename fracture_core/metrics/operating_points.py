"""Choosing the probability at which a radiograph is called fractured, and the three answers two of them give.

Thresholds are chosen on validation and lie midway between neighbouring scores. On the score itself they
would hang on its last bits, and the half-precision difference between two engines would flip the very
radiograph that set them; midway, the call stands as long as that difference is under half the gap. Below
the least score the threshold is midway to 0; above the greatest, midway to 1. `labels` are 0/1 (n,),
`probabilities` calibrated, 0..1 (n,).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.metrics.confusion import Confusion, MetricsError, ThresholdSweep, checked, confusion, sweep
from fracture_core.metrics.intervals import IntervalEstimate, wilson

UNLIKELY, INDETERMINATE, LIKELY = FINDINGS = ("fracture unlikely", "indeterminate", "fracture likely")
#: With a single threshold the answer only says on which side of it the probability lies.
BELOW, ABOVE = ONE_THRESHOLD_FINDINGS = ("below threshold", "above threshold: look again")

#: Fields of an operating point that are text.
_WORDS = ("name", "criterion", "split", "note", "created")

RULE_OUT_SENSITIVITY = 0.95
SINGLE_SENSITIVITY = 0.90
RULE_IN_SPECIFICITY = 0.95


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, why it is where it is, and what it reached on the split it was chosen on.

    `threshold` is a calibrated probability; `criterion` says in plain words what was asked for;
    `sensitivity` and `specificity` are those on `split`; `created` is an ISO 8601 time or empty.
    """

    name: str
    threshold: float
    criterion: str
    split: str
    sensitivity: float
    specificity: float
    note: str = ""
    created: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give a plain dict, fit for JSON; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OperatingPoint:
        """Read what `to_dict` gave, passing over unknown entries; raise MetricsError on unfit ones."""
        try:
            known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
            for name in ("threshold", "sensitivity", "specificity"):
                known[name] = float(data[name])
            point = cls(**known)
            if not all(isinstance(getattr(point, name), str) for name in _WORDS):
                raise TypeError("words are not text")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise MetricsError(f"The operating point cannot be read ({str(error)[:100]}).") from error
        if not np.isfinite(point.threshold):
            raise MetricsError(f"The operating point {point.name[:60]!r} has no usable threshold.")
        return point


def midway_thresholds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the m + 1 thresholds between falling distinct probabilities (m,); the k-th calls the first k.

    A probability of exactly 1 leaves no room above it below 1, so the first is then the float after 1.
    """
    upper = np.append(np.inf, scores)
    upper[0] = 1.0 if scores.size == 0 or scores[0] < 1 else np.nextafter(1.0, 2.0)
    lower = np.append(scores, 0.0)
    middle = lower + (upper - lower) / 2
    # Between neighbouring floats the middle rounds to one of them; the upper one keeps the lower uncalled.
    middle[:-1] = np.where(middle[:-1] <= scores, upper[:-1], middle[:-1])
    return middle


def _candidates(
    labels: ArrayLike, probabilities: ArrayLike
) -> tuple[ThresholdSweep, NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The cuts, and the m + 1 midway thresholds with the true and the false positives of each."""
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
    """Give the highest midway threshold whose sensitivity is at least `target` (0..1)."""
    _check_share(target)
    cut, thresholds, tp, _ = _candidates(labels, probabilities)
    return float(thresholds[np.argmax(tp / cut.positives >= target)])


def threshold_for_specificity(labels: ArrayLike, probabilities: ArrayLike, target: float) -> float:
    """Give the lowest midway threshold whose specificity is at least `target` (0..1)."""
    _check_share(target)
    cut, thresholds, _, fp = _candidates(labels, probabilities)
    enough = (cut.negatives - fp) / cut.negatives >= target
    return float(thresholds[np.flatnonzero(enough)[-1]])


def _lowest_best(thresholds: NDArray[np.float64], gain: NDArray[np.float64]) -> float:
    """The threshold of greatest gain; of equal ones the lowest, which misses the fewest fractures."""
    best = np.isclose(gain, gain.max(), rtol=0, atol=1e-12)
    return float(thresholds[np.flatnonzero(best)[-1]])


def youden(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Give the threshold of greatest sensitivity + specificity - 1 (Youden 1950); the lowest of equals."""
    cut, thresholds, tp, fp = _candidates(labels, probabilities)
    return _lowest_best(thresholds, tp / cut.positives - fp / cut.negatives)


def best_f1(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Give the threshold of greatest F1; the lowest of equals."""
    cut, thresholds, tp, fp = _candidates(labels, probabilities)
    return _lowest_best(thresholds, 2 * tp / (tp + fp + cut.positives))


def expected_cost(
    matrix: Confusion, miss_cost: float, second_look_cost: float = 1.0, prevalence: float | None = None
) -> float:
    """Give the mean cost a radiograph of misses and of needless second looks, in the unit of the two costs.

    Where `prevalence` (0..1) is given the classes are weighed as they would stand there.
    """
    share = matrix.prevalence if prevalence is None else prevalence
    missed, bothered = 1 - matrix.sensitivity, 1 - matrix.specificity
    return miss_cost * share * missed + second_look_cost * (1 - share) * bothered


def lowest_cost(
    labels: ArrayLike,
    probabilities: ArrayLike,
    miss_cost: float,
    second_look_cost: float = 1.0,
    prevalence: float | None = None,
) -> float:
    """Give the threshold of lowest `expected_cost`; the lowest of equals.

    With calibrated probabilities it approaches second_look_cost / (miss_cost + second_look_cost) (Elkan
    2001).
    """
    if not (np.isfinite([miss_cost, second_look_cost]).all() and min(miss_cost, second_look_cost) >= 0):
        raise MetricsError("The costs must be finite and not negative.")
    if miss_cost == second_look_cost == 0:
        raise MetricsError("At least one of the two costs must be above zero.")
    cut, thresholds, tp, fp = _candidates(labels, probabilities)
    share = cut.positives / (cut.positives + cut.negatives) if prevalence is None else prevalence
    _check_share(share)
    misses, alarms = 1 - tp / cut.positives, fp / cut.negatives
    cost = miss_cost * share * misses + second_look_cost * (1 - share) * alarms
    return _lowest_best(thresholds, -cost / max(miss_cost, second_look_cost))


def operating_point(
    name: str,
    threshold: float,
    criterion: str,
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    split: str = "val",
    note: str = "",
    created: str = "",
) -> OperatingPoint:
    """Give the point at `threshold`, with what it reaches on these predictions of `split`."""
    matrix = confusion(labels, probabilities, threshold)
    return OperatingPoint(
        name, float(threshold), criterion, split, matrix.sensitivity, matrix.specificity, note, created
    )


def default_operating_points(
    labels: ArrayLike, probabilities: ArrayLike, *, split: str = "val", created: str = ""
) -> dict[str, OperatingPoint]:
    """Give the points of every bundle, "rule_out", "single" and "rule_in", chosen on validation."""
    chosen = {
        "rule_out": (threshold_for_sensitivity, RULE_OUT_SENSITIVITY, "highest threshold with sensitivity"),
        "single": (threshold_for_sensitivity, SINGLE_SENSITIVITY, "highest threshold with sensitivity"),
        "rule_in": (threshold_for_specificity, RULE_IN_SPECIFICITY, "lowest threshold with specificity"),
    }
    return {
        name: operating_point(
            name,
            choose(labels, probabilities, target),
            f"{words} at least {target:.2f}",
            labels,
            probabilities,
            split=split,
            created=created,
        )
        for name, (choose, target, words) in chosen.items()
    }


def triage(probability: float, rule_out: float, rule_in: float) -> str:
    """Give one of FINDINGS: likely at or above `rule_in`, else unlikely below `rule_out`, else indeterminate.

    A very good model can have rule_out above rule_in. Both promises then hold at every threshold between,
    so there is no indeterminate middle, and rule_in alone decides: of the cuts allowed it is the one that
    misses least. A probability that is not a number is indeterminate.
    """
    if probability >= rule_in:
        return LIKELY
    return UNLIKELY if probability < min(rule_out, rule_in) else INDETERMINATE


def answer(probability: float, rule_out: float, rule_in: float) -> str:
    """Return the words for one radiograph.

    Args:
        probability: calibrated, 0..1.
        rule_out: threshold below which a fracture is unlikely.
        rule_in: threshold from which a fracture is likely.

    Returns:
        One of FINDINGS, or one of ONE_THRESHOLD_FINDINGS if both thresholds are the same: a single threshold chosen
        for its sensitivity can lie at a few per cent, and "fracture likely" beside such a figure would contradict it.
    """
    if rule_out != rule_in:
        return triage(probability, rule_out, rule_in)
    return BELOW if probability < rule_in else ABOVE


@dataclass(frozen=True)
class TriageGroup:
    """One of the three answers: how many radiographs get it, and how many of those were fractured."""

    triage: str
    n: int
    fractured: int
    share: IntervalEstimate
    fracture_rate: IntervalEstimate


def triage_groups(labels: ArrayLike, probabilities: ArrayLike, rule_out: float, rule_in: float) -> list[TriageGroup]:
    """Give the three zones in the order of FINDINGS, shares and fracture rates with Wilson intervals."""
    truth, probabilities = checked(labels, probabilities)
    likely = probabilities >= rule_in
    unlikely = ~likely & (probabilities < rule_out)
    zones = []
    for finding, inside in zip(FINDINGS, (unlikely, ~likely & ~unlikely, likely), strict=True):
        n, fractured = int(inside.sum()), int((truth & inside).sum())
        zones.append(TriageGroup(finding, n, fractured, wilson(n, truth.size), wilson(fractured, n)))
    return zones
