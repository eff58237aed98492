"""Thresholds worth trying: each chosen on validation, then shown on test, so that the optimism can be seen."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from fracture_core.metrics.confusion import Confusion, confusion
from fracture_core.metrics.operating_points import (
    OperatingPoint,
    best_f1,
    lowest_cost,
    operating_point,
    threshold_for_sensitivity,
    threshold_for_specificity,
    youden,
)


@dataclass(frozen=True)
class Suggestion:
    """A point chosen on validation, with the calls it makes there and on test."""

    point: OperatingPoint
    validation: Confusion
    test: Confusion

    @property
    def title(self) -> str:
        """Its name as a heading has it."""
        return self.point.name[0].upper() + self.point.name[1:]

    @property
    def optimism(self) -> dict[str, float]:
        """How much higher each figure is on validation than on test; nan where one is undefined."""
        names = ("sensitivity", "specificity", "balanced_accuracy", "f1", "mcc")
        return {name: getattr(self.validation, name) - getattr(self.test, name) for name in names}


def suggest(
    val: tuple[ArrayLike, ArrayLike],
    test: tuple[ArrayLike, ArrayLike],
    *,
    sensitivity: float = 0.90,
    specificity: float = 0.95,
    miss_cost: float = 10.0,
    second_look_cost: float = 1.0,
    prevalence: float | None = None,
) -> list[Suggestion]:
    """Give the five suggestions, from `val` alone; `val` and `test` are (labels 0/1 (n,), probabilities (n,)).

    In order: target sensitivity, target specificity, Youden, best F1, lowest expected cost (where `prevalence` is
    given, at that prevalence). Raise MetricsError where val lacks a class or a figure asked for makes no sense.
    """
    where = "" if prevalence is None else f" at a prevalence of {prevalence:.1%}"
    cost = f"lowest expected cost, a miss {miss_cost:g} to a needless second look {second_look_cost:g}{where}"
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
        ("lowest cost", cost, lowest_cost(*val, miss_cost, second_look_cost, prevalence)),
    )
    return [
        Suggestion(
            operating_point(name, threshold, criterion, *val),
            confusion(*val, threshold),
            confusion(*test, threshold),
        )
        for name, criterion, threshold in chosen
    ]
