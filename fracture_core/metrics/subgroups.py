"""The same figures by body part, view and hardware, and silence where a subgroup is too small to have any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fracture_core.metrics.confusion import Confusion, checked, confusion
from fracture_core.metrics.intervals import IntervalEstimate, delong_interval, rate_estimates

if TYPE_CHECKING:
    import pandas as pd

#: With fewer fractured, or fewer other radiographs than this, a subgroup gets counts and no rate.
FEWEST = 10

#: What is looked at: (family, name, the dataset's 0/1 column, its value).
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
    """One subgroup at one threshold: its counts always; each rate None where the subgroup is too small for any."""

    family: str
    name: str
    confusion: Confusion
    auc: IntervalEstimate | None
    sensitivity: IntervalEstimate | None
    specificity: IntervalEstimate | None

    @property
    def n(self) -> int:
        """Radiographs in the subgroup."""
        return self.confusion.n

    @property
    def fractured(self) -> int:
        """Fractured radiographs in the subgroup."""
        return self.confusion.positives

    @property
    def too_small(self) -> bool:
        """Whether there are too few of a class for rates."""
        return min(self.confusion.positives, self.confusion.negatives) < FEWEST


def subgroup_row(family: str, name: str, labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> SubgroupRow:
    """Score one subgroup's labels 0/1 (n,) and probabilities (n,): DeLong for the AUC, Wilson for the rates."""
    matrix = confusion(labels, probabilities, threshold)
    row = SubgroupRow(family, name, matrix, None, None, None)
    if row.too_small:
        return row
    rates = rate_estimates(matrix)
    auc = delong_interval(labels, probabilities)
    return SubgroupRow(family, name, matrix, auc, rates["sensitivity"], rates["specificity"])


def subgroup_table(table: pd.DataFrame | Mapping[str, ArrayLike], threshold: float) -> list[SubgroupRow]:
    """Give a row for all, then one for each of SUBGROUPS whose column the table has and that is not empty.

    `table` holds the columns label (0/1), probability (0..1) and the dataset's own. A radiograph can stand in
    several rows: one film may show two views.
    """
    labels, probabilities = checked(table["label"], table["probability"])
    rows = [subgroup_row("all", "all", labels, probabilities, threshold)]
    for family, name, column, value in SUBGROUPS:
        inside = np.asarray(table[column]) == value if column in table else np.zeros(labels.shape, dtype=bool)
        if inside.any():
            rows.append(subgroup_row(family, name, labels[inside], probabilities[inside], threshold))
    return rows
