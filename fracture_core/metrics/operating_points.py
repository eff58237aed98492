"""Use thresholds: operating points, and the three triage categories that two of them define."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fracture_core.metrics.confusion import MetricsError, checked, confusion
from fracture_core.metrics.intervals import IntervalEstimate, wilson
from fracture_core.metrics.score_scale import ScoreScale, SiteRecord
from fracture_core.metrics.thresholds import (
    threshold_for_sensitivity,
    threshold_for_specificity,
)

UNLIKELY, INDETERMINATE, LIKELY = FINDINGS = ("fracture unlikely", "indeterminate", "fracture likely")
#: With a single threshold the answer only says on which side of it the probability lies.
BELOW, ABOVE = ("below threshold", "above threshold: look again")

#: The text fields of an operating point.
_TEXT_FIELDS = ("name", "criterion", "split", "note", "created")

RULE_OUT_SENSITIVITY = 0.95
SINGLE_SENSITIVITY = 0.90
RULE_IN_SPECIFICITY = 0.95


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, how it was chosen, and its sensitivity and specificity on the split it was chosen on.

    `threshold` is a calibrated probability; `criterion` says in plain words how it was chosen; `sensitivity` and
    `specificity` are those on `split`; `created` is an ISO 8601 time or empty. `site` says which films of a site it was
    calibrated on, if it was. `scale` is the scale of probability that `threshold` is on: None for the bundle's own, as
    every saved point is; `on_site_scale` sets it.
    """

    name: str
    threshold: float
    criterion: str
    split: str
    sensitivity: float
    specificity: float
    note: str = ""
    created: str = ""
    site: SiteRecord | None = None
    scale: ScoreScale | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict that fits JSON; `from_dict` is its inverse.

        Returns:
            One entry per field, without `site` and `scale` where they are None.
        """
        return {name: value for name, value in asdict(self).items() if value is not None}

    def on_site_scale(self, temperature: float) -> OperatingPoint:
        """Return the point on its site's scale of probability; the same films lie below it.

        Args:
            temperature: The bundle's, on whose scale the point was saved.

        Returns:
            The point; itself if it was not calibrated to a site, or is on that scale already.
        """
        if self.site is None or self.scale is not None:
            return self
        scale = self.site.scale
        return replace(self, threshold=scale.threshold_from(ScoreScale(temperature), self.threshold), scale=scale)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OperatingPoint:
        """Read what `to_dict` returned, ignoring unknown entries.

        Args:
            data: One entry per field.

        Returns:
            The operating point.

        Raises:
            MetricsError: A field is missing or invalid.
        """
        try:
            known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
            for name in ("threshold", "sensitivity", "specificity"):
                known[name] = float(data[name])
            known.pop("scale", None)  # saved points are on the bundle's own scale
            if known.get("site") is not None:
                known["site"] = SiteRecord.from_dict(known["site"])
            point = cls(**known)
            if not all(isinstance(getattr(point, name), str) for name in _TEXT_FIELDS):
                raise TypeError("a text field is not text")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise MetricsError(f"The operating point cannot be read ({str(error)[:100]}).") from error
        if not np.isfinite(point.threshold):
            raise MetricsError(f"The operating point {point.name[:60]!r} has no usable threshold.")
        return point


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
    """Create the operating point at a threshold, with its sensitivity and specificity on these predictions.

    Args:
        name: Name of the point.
        threshold: A calibrated probability.
        criterion: How it was chosen, in plain words.
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).
        split: The split that the predictions belong to.
        note: Free text.
        created: ISO 8601 time, or empty.

    Returns:
        The operating point.

    Raises:
        MetricsError: The labels or probabilities are invalid.
    """
    matrix = confusion(labels, probabilities, threshold)
    return OperatingPoint(
        name=name,
        threshold=float(threshold),
        criterion=criterion,
        split=split,
        sensitivity=matrix.sensitivity,
        specificity=matrix.specificity,
        note=note,
        created=created,
    )


def default_operating_points(
    labels: ArrayLike, probabilities: ArrayLike, *, split: str = "val", created: str = ""
) -> dict[str, OperatingPoint]:
    """Choose the points that every bundle has: "rule_out", "single" and "rule_in".

    Args:
        labels: Validation labels, 0 or 1, shape (n,).
        probabilities: Validation probabilities, 0..1, shape (n,).
        split: The split that the predictions belong to.
        created: ISO 8601 time, or empty.

    Returns:
        The points by name.

    Raises:
        MetricsError: A class is missing, or the scores are not probabilities.
    """
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
    """Classify a probability by two thresholds.

    A very good model can have `rule_out` above `rule_in`. Both promises then hold at every threshold in between, so
    there is no indeterminate range and `rule_in` alone decides: it misses the fewest fractures of those permitted.

    Args:
        probability: Calibrated, 0..1; nan counts as indeterminate.
        rule_out: Below it (and below `rule_in`) a fracture is unlikely.
        rule_in: At or above it a fracture is likely.

    Returns:
        One of FINDINGS.
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
        One of FINDINGS, or BELOW or ABOVE if both thresholds are the same: a single threshold chosen
        for its sensitivity can lie at a few per cent, and "fracture likely" beside such a figure would contradict it.
    """
    if rule_out != rule_in:
        return triage(probability, rule_out, rule_in)
    return BELOW if probability < rule_in else ABOVE


@dataclass(frozen=True)
class TriageGroup:
    """One triage category: how many radiographs fall into it, and how many of those are fractured."""

    triage: str
    n: int
    fractured: int
    share: IntervalEstimate
    fracture_rate: IntervalEstimate


def triage_groups(labels: ArrayLike, probabilities: ArrayLike, rule_out: float, rule_in: float) -> list[TriageGroup]:
    """Count the radiographs in each triage category.

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).
        rule_out: The lower threshold.
        rule_in: The upper threshold.

    Returns:
        The three groups in the order of FINDINGS, shares and fracture rates with Wilson intervals.

    Raises:
        MetricsError: The labels or probabilities are invalid.
    """
    truth, probabilities = checked(labels, probabilities)
    likely = probabilities >= rule_in
    unlikely = ~likely & (probabilities < rule_out)
    groups = []
    for finding, inside in zip(FINDINGS, (unlikely, ~likely & ~unlikely, likely), strict=True):
        n, fractured = int(inside.sum()), int((truth & inside).sum())
        groups.append(TriageGroup(finding, n, fractured, wilson(n, truth.size), wilson(fractured, n)))
    return groups
