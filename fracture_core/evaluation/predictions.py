"""A bundle's predictions on one split, sorted and counted once and cached for each redraw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fracture_core.metrics.auc_intervals import area_estimates, delong_interval
from fracture_core.metrics.calibration import CalibrationSummary, calibration_summary
from fracture_core.metrics.confusion import (
    CELLS,
    Confusion,
    MetricsError,
    ScoreHistogram,
    cells,
    confusion,
    score_histogram,
)
from fracture_core.metrics.curves import Curve, precision_recall_curve, roc_curve, sweep
from fracture_core.metrics.intervals import IntervalEstimate
from fracture_core.metrics.operating_points import OperatingPoint, operating_point
from fracture_core.metrics.thresholds import midway_thresholds

if TYPE_CHECKING:
    import pandas as pd

    from fracture_core.bundle.bundle import Bundle

#: The splits a bundle carries, and how they are called on a page.
SPLITS: Mapping[str, str] = {"val": "validation", "test": "test"}


@dataclass(frozen=True, eq=False)
class Predictions:
    """One split of predictions.csv with its calibrated probabilities; what is costly is computed on first use.

    `table` has the columns of `Bundle.predictions`, one row a radiograph; `temperature` is what its probabilities were
    calibrated with. Every array is (n,) in its order.
    """

    split: str
    table: pd.DataFrame
    temperature: float = 1.0

    def __len__(self) -> int:
        return len(self.table)

    @property
    def title(self) -> str:
        """What the split is called: "validation" or "test"."""
        return SPLITS.get(self.split, self.split)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """1 fractured, 0 not."""
        return self.table["label"].to_numpy(dtype=np.int64)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Calibrated, 0..1."""
        return self.table["probability"].to_numpy(dtype=np.float64)

    @cached_property
    def logits(self) -> NDArray[np.float64]:
        """As the network gave them, before temperature scaling."""
        return self.table["logit"].to_numpy(dtype=np.float64)

    @property
    def fractured(self) -> int:
        """How many radiographs are fractured."""
        return int(self.labels.sum())

    @cached_property
    def roc(self) -> Curve:
        """The ROC curve; its thresholds lie midway between neighbouring scores, so they are fit to be chosen."""
        curve = roc_curve(self.labels, self.probabilities)
        return Curve(curve.x, curve.y, self._midway)

    @cached_property
    def precision_recall(self) -> Curve:
        """The precision-recall curve; thresholds as in `roc`."""
        curve = precision_recall_curve(self.labels, self.probabilities)
        return Curve(curve.x, curve.y, self._midway[1:])

    @cached_property
    def histogram(self) -> ScoreHistogram:
        """Probabilities by class in 40 bins of equal width."""
        return score_histogram(self.labels, self.probabilities)

    @cached_property
    def auc(self) -> IntervalEstimate:
        """Area under the ROC curve with DeLong's interval."""
        return delong_interval(self.labels, self.probabilities)

    @cached_property
    def average_precision(self) -> IntervalEstimate:
        """Average precision with its bootstrap interval."""
        return area_estimates(self.labels, self.probabilities)["average_precision"]

    @cached_property
    def calibration(self) -> tuple[CalibrationSummary, CalibrationSummary]:
        """Calibration before temperature scaling, and after."""
        before, after = (calibration_summary(self.labels, self.logits, t) for t in (1.0, self.temperature))
        return before, after

    def confusion(self, threshold: float) -> Confusion:
        """Count predictions against labels.

        Args:
            threshold: A calibrated probability.

        Returns:
            The confusion matrix.
        """
        return confusion(self.labels, self.probabilities, threshold)

    def point(
        self, name: str, threshold: float, criterion: str, *, note: str = "", created: str = ""
    ) -> OperatingPoint:
        """Create the operating point at a threshold, with its sensitivity and specificity on this split.

        Args:
            name: Name of the point.
            threshold: A calibrated probability.
            criterion: How it was chosen, in plain words.
            note: Free text.
            created: ISO 8601 time, or empty.

        Returns:
            The operating point.
        """
        return operating_point(
            name, threshold, criterion, self.labels, self.probabilities, split=self.split, note=note, created=created
        )

    def in_cell(self, cell: str, threshold: float) -> pd.DataFrame:
        """Return the radiographs in a cell of the confusion matrix, those furthest from the threshold first.

        A page of them therefore stays the same while the threshold moves, and the largest errors come first.

        Args:
            cell: One of CELLS.
            threshold: A calibrated probability.

        Returns:
            The rows.

        Raises:
            MetricsError: There is no such cell.
        """
        if cell not in CELLS:
            raise MetricsError(f"A confusion matrix has no cell {cell!r}; it has {', '.join(CELLS)}.")
        inside = self.table[cells(self.labels, self.probabilities, threshold) == cell]
        return inside.sort_values(
            ["probability", "image_id"], ascending=[cell in ("TN", "FN"), True], kind="stable", ignore_index=True
        )

    @cached_property
    def _midway(self) -> NDArray[np.float64]:
        return midway_thresholds(sweep(self.labels, self.probabilities).scores)


def split_predictions(bundle: Bundle) -> dict[str, Predictions]:
    """Return a bundle's predictions by split.

    Args:
        bundle: The bundle.

    Returns:
        "val" and "test".
    """
    table = bundle.predictions()
    return {
        split: Predictions(split, table[table["split"] == split].reset_index(drop=True), bundle.temperature)
        for split in SPLITS
    }
