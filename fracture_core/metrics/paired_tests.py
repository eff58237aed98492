"""Two bundles on the same radiographs: is one better, by how much, and who is right where they differ?

Both have read the same radiographs, so their scores rise and fall together; every interval here is paired, which is
narrower and truer than holding two single intervals side by side. Differences are first minus second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.errors import FractureCoreError
from fracture_core.metrics.confusion import Confusion, average_precision, confusion, roc_auc
from fracture_core.metrics.intervals import (
    UNDEFINED,
    IntervalEstimate,
    Z,
    delong_covariance,
    percentile_interval,
    resampled_areas,
)
from fracture_core.metrics.operating_points import threshold_for_sensitivity

if TYPE_CHECKING:
    import pandas as pd


class ComparisonError(FractureCoreError):
    """Two tables of predictions that do not speak of the same radiographs."""


@dataclass(frozen=True, eq=False)
class Paired:
    """Two sets of probabilities for the same radiographs, row by row; all (n,), labels 0/1.

    `only_first` and `only_second` count the radiographs that one bundle alone has scored, left out here.
    """

    image_ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    only_first: int = 0
    only_second: int = 0


def pair(first: pd.DataFrame, second: pd.DataFrame) -> Paired:
    """Join two tables with columns image_id, label, probability (0..1) on the radiographs that both hold.

    Raise ComparisonError where they share none, name one twice, or disagree on a label.
    """
    columns = ["image_id", "label", "probability"]
    for table in (first, second):
        if table["image_id"].duplicated().any():
            raise ComparisonError("A table of predictions names a radiograph twice; compare one split at a time.")
    both = first[columns].merge(second[columns], on="image_id", suffixes=("_first", "_second"))
    if both.empty:
        raise ComparisonError("The two bundles were not scored on the same radiographs.")
    if (both["label_first"] != both["label_second"]).any():
        raise ComparisonError("The two bundles disagree on which radiographs are fractured.")
    return Paired(
        both["image_id"].to_numpy(dtype=str),
        both["label_first"].to_numpy(dtype=np.int64),
        both["probability_first"].to_numpy(dtype=np.float64),
        both["probability_second"].to_numpy(dtype=np.float64),
        len(first) - len(both),
        len(second) - len(both),
    )


@dataclass(frozen=True)
class AucDifference:
    """First AUC minus second with its 95 % interval, and the two-sided p of there being no difference."""

    first: float
    second: float
    difference: IntervalEstimate
    p_value: float


def auc_difference(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> AucDifference:
    """Compare two AUCs on the same radiographs by DeLong's paired test; undefined unless each class has two.

    Where two rankings differ but without variance (one flawless, one hopeless), interval and p are nan.
    """
    (one, other), covariance = delong_covariance(labels, first, second)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    if math.isnan(variance):
        return AucDifference(float(one), float(other), UNDEFINED, math.nan)
    difference, error = float(one - other), math.sqrt(max(variance, 0.0))
    if error < 1e-9:  # rounding alone: the method sees no variance, so it has no interval and no p to give
        same = abs(difference) < 1e-9
        none = IntervalEstimate(0.0, 0.0, 0.0) if same else IntervalEstimate(difference, math.nan, math.nan)
        return AucDifference(float(one), float(other), none, 1.0 if same else math.nan)
    interval = IntervalEstimate(difference, max(-1.0, difference - Z * error), min(1.0, difference + Z * error))
    return AucDifference(float(one), float(other), interval, math.erfc(abs(difference) / error / math.sqrt(2)))


def bootstrap_differences(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, resamples: int = 1000, seed: int = 0
) -> dict[str, IntervalEstimate]:
    """Give the differences in roc_auc and average_precision, percentile bootstrap, both scored on each resample."""
    areas = resampled_areas(labels, first, second, resamples=resamples, seed=seed)
    differences = areas[0] - areas[1]
    return {
        name: percentile_interval(area(labels, first) - area(labels, second), differences[:, column])
        for column, (name, area) in enumerate((("roc_auc", roc_auc), ("average_precision", average_precision)))
    }


@dataclass(frozen=True)
class MatchedSensitivity:
    """What each bundle does on test at its own validation threshold for one sensitivity."""

    target: float
    thresholds: tuple[float, float]
    first: Confusion
    second: Confusion


def matched_sensitivity(val: Paired, test: Paired, target: float = 0.90) -> MatchedSensitivity:
    """Choose each bundle's threshold for sensitivity `target` (0..1) on val, and count its calls on test."""
    one, other = (threshold_for_sensitivity(val.labels, scores, target) for scores in (val.first, val.second))
    return MatchedSensitivity(
        target,
        (one, other),
        confusion(test.labels, test.first, one),
        confusion(test.labels, test.second, other),
    )


@dataclass(frozen=True)
class Disagreement:
    """One radiograph that the two call differently; `right` is "first" or "second"."""

    image_id: str
    label: int
    first: float
    second: float
    right: str


@dataclass(frozen=True)
class Disagreements:
    """Every radiograph on which the calls differ, who was right how often, and McNemar's exact two-sided p."""

    rows: tuple[Disagreement, ...]
    first_right: int
    second_right: int
    p_value: float


def disagreements(paired: Paired, first_threshold: float, second_threshold: float) -> Disagreements:
    """List where two bundles differ, the widest apart first; p by McNemar's exact test (1947).

    For fractured radiographs alone, or the others, hand in those rows alone.
    """
    from scipy.stats import binomtest  # half a second to import, and no other question here needs it

    first_calls, second_calls = paired.first >= first_threshold, paired.second >= second_threshold
    differ = np.flatnonzero(first_calls != second_calls)
    differ = differ[np.argsort(-np.abs(paired.first - paired.second)[differ], kind="stable")]
    rows = tuple(
        Disagreement(
            str(paired.image_ids[i]),
            int(paired.labels[i]),
            float(paired.first[i]),
            float(paired.second[i]),
            "first" if first_calls[i] == paired.labels[i] else "second",
        )
        for i in differ
    )
    first_right = sum(row.right == "first" for row in rows)
    p_value = binomtest(first_right, len(rows)).pvalue if rows else 1.0
    return Disagreements(rows, first_right, len(rows) - first_right, float(p_value))
