"""Suggest thresholds: each chosen on validation, then shown on test, so that the optimism is visible."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from fracture_core.formatting import short_percent
from fracture_core.metrics.confusion import Confusion, confusion
from fracture_core.metrics.operating_points import OperatingPoint, operating_point
from fracture_core.metrics.thresholds import (
    best_f1,
    lowest_cost,
    threshold_for_sensitivity,
    threshold_for_specificity,
    youden,
)


@dataclass(frozen=True)
class Suggestion:
    """An operating point chosen on validation, with its confusion matrix there and on test."""

    point: OperatingPoint
    validation: Confusion
    test: Confusion

    @property
    def title(self) -> str:
        """The name as a heading."""
        return self.point.name[0].upper() + self.point.name[1:]


def suggest(
    val: tuple[ArrayLike, ArrayLike],
    test: tuple[ArrayLike, ArrayLike],
    *,
    sensitivity: float = 0.90,
    specificity: float = 0.95,
    miss_cost: float = 10.0,
    false_positive_cost: float = 1.0,
    prevalence: float | None = None,
) -> list[Suggestion]:
    """Choose thresholds on validation by five criteria, and show them on test.

    Args:
        val: Labels 0/1 (n,) and probabilities 0..1 (n,) of validation; they alone decide.
        test: The same of test.
        sensitivity: Target of the first suggestion, 0..1.
        specificity: Target of the second, 0..1.
        miss_cost: Cost of a missed fracture.
        false_positive_cost: Cost of a false positive, in the same unit.
        prevalence: Share of radiographs that are fractured, for the expected cost; by default that of validation.

    Returns:
        Target sensitivity, target specificity, Youden, best F1 and lowest expected cost.

    Raises:
        MetricsError: Validation lacks a class, or a target, cost or prevalence is invalid.
    """
    where = "" if prevalence is None else f" at a prevalence of {short_percent(prevalence)}"
    cost = f"lowest expected cost, missed fracture {miss_cost:g} to false positive {false_positive_cost:g}{where}"
    chosen = (
        (
            "target sensitivity",
            f"highest threshold with sensitivity at least {sensitivity:g}",
            threshold_for_sensitivity(*val, sensitivity),
        ),
        (
            "target specificity",
            f"lowest threshold with specificity at least {specificity:g}",
            threshold_for_specificity(*val, specificity),
        ),
        ("youden", "greatest sensitivity plus specificity", youden(*val)),
        ("best F1", "greatest F1", best_f1(*val)),
        ("lowest cost", cost, lowest_cost(*val, miss_cost, false_positive_cost, prevalence)),
    )
    return [
        Suggestion(
            operating_point(name, threshold, criterion, *val),
            confusion(*val, threshold),
            confusion(*test, threshold),
        )
        for name, criterion, threshold in chosen
    ]
