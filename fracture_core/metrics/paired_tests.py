"""Paired tests of two models on the same radiographs.

Both models scored the same radiographs, so their scores are correlated; every interval here is paired, which is
narrower and more accurate than comparing two separate intervals. Differences are first minus second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.errors import FractureCoreError
from fracture_core.metrics.auc_intervals import delong_covariance, resampled_areas
from fracture_core.metrics.confusion import Confusion, confusion
from fracture_core.metrics.curves import average_precision, roc_auc
from fracture_core.metrics.intervals import UNDEFINED, IntervalEstimate, Z, percentile_interval
from fracture_core.metrics.thresholds import threshold_for_sensitivity

if TYPE_CHECKING:
    import pandas as pd


class ComparisonError(FractureCoreError):
    """Two tables of predictions that do not cover the same radiographs."""


@dataclass(frozen=True, eq=False)
class Paired:
    """Two sets of probabilities for the same radiographs, row by row; all (n,), labels 0/1.

    `only_first` and `only_second` count the radiographs that only one model scored, excluded here.
    """

    image_ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    only_first: int = 0
    only_second: int = 0


def pair(first: pd.DataFrame, second: pd.DataFrame) -> Paired:
    """Join two tables of predictions on the radiographs that both contain.

    Args:
        first: Columns image_id, label and probability (0..1).
        second: The same of the other model.

    Returns:
        The joined predictions.

    Raises:
        ComparisonError: They share no radiograph, list one twice, or disagree on a label.
    """
    columns = ["image_id", "label", "probability"]
    for table in (first, second):
        if table["image_id"].duplicated().any():
            raise ComparisonError("A table of predictions lists a radiograph twice; compare one split at a time.")
    both = first[columns].merge(second[columns], on="image_id", suffixes=("_first", "_second"))
    if both.empty:
        raise ComparisonError("The two models were not scored on the same radiographs.")
    if (both["label_first"] != both["label_second"]).any():
        raise ComparisonError("The two models have different labels for the same radiographs.")
    return Paired(
        image_ids=both["image_id"].to_numpy(dtype=str),
        labels=both["label_first"].to_numpy(dtype=np.int64),
        first=both["probability_first"].to_numpy(dtype=np.float64),
        second=both["probability_second"].to_numpy(dtype=np.float64),
        only_first=len(first) - len(both),
        only_second=len(second) - len(both),
    )


@dataclass(frozen=True)
class AucDifference:
    """First AUC minus second with its 95 % interval, and the two-sided p-value for no difference."""

    first: float
    second: float
    difference: IntervalEstimate
    p_value: float


def auc_difference(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> AucDifference:
    """Compare two AUCs on the same radiographs by DeLong's paired test.

    If two rankings differ but without variance (one perfect, one inverted), interval and p are nan.

    Args:
        labels: 0 or 1, shape (n,).
        first: Scores of the first model, shape (n,).
        second: Scores of the second model, shape (n,).

    Returns:
        The difference; undefined unless each class has two radiographs.

    Raises:
        MetricsError: The labels or scores are invalid.
    """
    aucs, covariance = delong_covariance(labels, first, second)
    auc_first, auc_second = aucs.tolist()
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    if math.isnan(variance):
        return AucDifference(auc_first, auc_second, UNDEFINED, math.nan)
    difference, error = auc_first - auc_second, math.sqrt(max(variance, 0.0))
    if error < 1e-9:  # rounding error only: without variance the method has no interval and no p-value
        same = abs(difference) < 1e-9
        point = IntervalEstimate(0.0, 0.0, 0.0) if same else IntervalEstimate(difference, math.nan, math.nan)
        return AucDifference(auc_first, auc_second, point, 1.0 if same else math.nan)
    interval = IntervalEstimate(difference, max(-1.0, difference - Z * error), min(1.0, difference + Z * error))
    return AucDifference(auc_first, auc_second, interval, math.erfc(abs(difference) / error / math.sqrt(2)))


def bootstrap_differences(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, resamples: int = 1000, seed: int = 0
) -> dict[str, IntervalEstimate]:
    """Compute differences in ROC AUC and average precision by percentile bootstrap, both scored on each resample.

    Args:
        labels: 0 or 1, shape (n,).
        first: Scores of the first model, shape (n,).
        second: Scores of the second model, shape (n,).
        resamples: Number of bootstrap resamples.
        seed: Seed of the random generator.

    Returns:
        roc_auc and average_precision by name.

    Raises:
        MetricsError: The labels or scores are invalid.
    """
    areas = resampled_areas(labels, first, second, resamples=resamples, seed=seed)
    differences = areas[0] - areas[1]
    return {
        name: percentile_interval(area(labels, first) - area(labels, second), differences[:, column])
        for column, (name, area) in enumerate((("roc_auc", roc_auc), ("average_precision", average_precision)))
    }


@dataclass(frozen=True)
class MatchedSensitivity:
    """Both models on test, each at its own validation threshold for one sensitivity."""

    target: float
    thresholds: tuple[float, float]
    first: Confusion
    second: Confusion


def matched_sensitivity(val: Paired, test: Paired, target: float = 0.90) -> MatchedSensitivity:
    """Choose each model's threshold for a sensitivity on validation, and count its results on test.

    Args:
        val: Validation predictions of both models.
        test: Test predictions of both models.
        target: Sensitivity on validation, 0..1.

    Returns:
        Thresholds and confusion matrices.

    Raises:
        MetricsError: Validation lacks a class, or the target is outside 0..1.
    """
    first, second = (threshold_for_sensitivity(val.labels, scores, target) for scores in (val.first, val.second))
    return MatchedSensitivity(
        target=target,
        thresholds=(first, second),
        first=confusion(test.labels, test.first, first),
        second=confusion(test.labels, test.second, second),
    )


@dataclass(frozen=True)
class Disagreement:
    """One radiograph that the two models classify differently; `right` is "first" or "second"."""

    image_id: str
    label: int
    first: float
    second: float
    right: str


@dataclass(frozen=True)
class Disagreements:
    """Every radiograph classified differently, how often each model was correct, and McNemar's exact two-sided p."""

    rows: tuple[Disagreement, ...]
    first_right: int
    second_right: int
    p_value: float


def disagreements(paired: Paired, first_threshold: float, second_threshold: float) -> Disagreements:
    """List the radiographs that two models classify differently, the largest difference first.

    To compare fractured radiographs only, or the others, pass those rows.

    Args:
        paired: Predictions of both models.
        first_threshold: Threshold of the first model.
        second_threshold: Threshold of the second model.

    Returns:
        The radiographs, with p by McNemar's exact test (1947).
    """
    from scipy.stats import binomtest  # takes half a second to import, and only this function needs it

    first_flags, second_flags = paired.first >= first_threshold, paired.second >= second_threshold
    differ = np.flatnonzero(first_flags != second_flags)
    differ = differ[np.argsort(-np.abs(paired.first - paired.second)[differ], kind="stable")]
    rows = tuple(
        Disagreement(
            image_id=str(paired.image_ids[i]),
            label=int(paired.labels[i]),
            first=float(paired.first[i]),
            second=float(paired.second[i]),
            right="first" if first_flags[i] == paired.labels[i] else "second",
        )
        for i in differ
    )
    first_right = sum(row.right == "first" for row in rows)
    p_value = binomtest(first_right, len(rows)).pvalue if rows else 1.0
    return Disagreements(rows, first_right, len(rows) - first_right, float(p_value))
