"""Metrics by body part, view and hardware; subgroups too small for rates get counts only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fracture_core.metrics.auc_intervals import delong_interval
from fracture_core.metrics.confusion import Confusion, checked, confusion
from fracture_core.metrics.intervals import IntervalEstimate, rate_estimates

if TYPE_CHECKING:
    import pandas as pd

#: A subgroup with fewer fractured or fewer other radiographs gets counts and no rates.
FEWEST = 10

#: (family, name, the dataset's 0/1 column, its value).
SUBGROUPS = (
    ("body part", "hand", "hand", 1),
    ("body part", "leg", "leg", 1),
    ("body part", "hip", "hip", 1),
    ("body part", "shoulder", "shoulder", 1),
    ("body part", "mixed", "mixed", 1),
    ("view", "frontal", "frontal", 1),
    ("view", "lateral", "lateral", 1),
    ("view", "oblique", "oblique", 1),
    ("hardware", "with hardware", "hardware", 1),
    ("hardware", "without hardware", "hardware", 0),
    ("film", "several views on one film", "multiscan", 1),
    ("film", "one view on the film", "multiscan", 0),
)


@dataclass(frozen=True)
class SubgroupRow:
    """One subgroup at one threshold: counts always, rates None if the subgroup is too small."""

    family: str
    name: str
    confusion: Confusion
    auc: IntervalEstimate | None
    sensitivity: IntervalEstimate | None
    specificity: IntervalEstimate | None

    @property
    def n(self) -> int:
        """Number of radiographs in the subgroup."""
        return self.confusion.n

    @property
    def fractured(self) -> int:
        """Number of fractured radiographs in the subgroup."""
        return self.confusion.positives

    @property
    def too_small(self) -> bool:
        """Whether a class has fewer than FEWEST radiographs."""
        return min(self.confusion.positives, self.confusion.negatives) < FEWEST


def subgroup_row(family: str, name: str, labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> SubgroupRow:
    """Compute the metrics of one subgroup: DeLong's interval for the AUC, Wilson's for the rates.

    Args:
        family: What the subgroup is one of, for example "body part".
        name: Name of the subgroup.
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).
        threshold: A prediction is positive if its probability is at or above it.

    Returns:
        The row.

    Raises:
        MetricsError: The labels or probabilities are invalid.
    """
    matrix = confusion(labels, probabilities, threshold)
    row = SubgroupRow(family, name, matrix, None, None, None)
    if row.too_small:
        return row
    rates = rate_estimates(matrix)
    auc = delong_interval(labels, probabilities)
    return SubgroupRow(family, name, matrix, auc, rates["sensitivity"], rates["specificity"])


def subgroup_table(table: pd.DataFrame | Mapping[str, ArrayLike], threshold: float) -> list[SubgroupRow]:
    """Return a row for all radiographs, then one for each subgroup that is present.

    A radiograph may be counted in several rows, because one image may show two views.

    Args:
        table: Columns label (0/1), probability (0..1) and the dataset's own.
        threshold: A prediction is positive if its probability is at or above it.

    Returns:
        The rows, in the order of SUBGROUPS.

    Raises:
        MetricsError: The labels or probabilities are invalid.
    """
    labels, probabilities = checked(table["label"], table["probability"])
    rows = [subgroup_row("all", "all", labels, probabilities, threshold)]
    for family, name, column, value in SUBGROUPS:
        inside = np.asarray(table[column]) == value if column in table else np.zeros(labels.shape, dtype=bool)
        if inside.any():
            rows.append(subgroup_row(family, name, labels[inside], probabilities[inside], threshold))
    return rows
