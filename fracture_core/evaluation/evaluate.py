"""Compute a bundle's metrics from its predictions, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fracture_core.data.dataset import dataset_name
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.evaluation.detection import ImageBoxes, average_precision_at, boxes_from_text
from fracture_core.metrics.auc_intervals import area_estimates
from fracture_core.metrics.calibration import calibration_summary
from fracture_core.metrics.confusion import Confusion, classification_table, confusion
from fracture_core.metrics.intervals import IntervalEstimate, threshold_table
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.metrics.reference_study import REFERENCE_STUDY

if TYPE_CHECKING:
    import pandas as pd

    from fracture_core.bundle.bundle import Bundle


@dataclass(frozen=True)
class Evaluation:
    """The figures of one split: areas with 95 % intervals, calibration, and the confusion at named thresholds."""

    bundle: str
    split: str
    n: int
    fractured: int
    areas: dict[str, IntervalEstimate]
    ece: float
    brier: float
    thresholds: dict[str, float]
    confusions: dict[str, Confusion]
    pointing: dict[str, tuple[int, int]]
    map50: float
    dataset: str = FracAtlas.name

    def to_json(self) -> dict[str, Any]:
        """Return plain data.

        Returns:
            One entry per field.
        """
        return {
            "bundle": self.bundle,
            "split": self.split,
            "n": self.n,
            "fractured": self.fractured,
            **{name: [e.value, e.low, e.high] for name, e in self.areas.items()},
            "ece": self.ece,
            "brier": self.brier,
            "map50": None if np.isnan(self.map50) else self.map50,
            "pointing": {name: {"hits": hits, "of": n} for name, (hits, n) in self.pointing.items()},
            "at": {
                name: {
                    "threshold": self.thresholds[name],
                    "confusion": {"tn": c.tn, "fp": c.fp, "fn": c.fn, "tp": c.tp},
                    **{key: [e.value, e.low, e.high] for key, e in threshold_table(c).items()},
                }
                for name, c in self.confusions.items()
            },
        }


def evaluate(bundle: Bundle, split: str = "test", *, point: OperatingPoint | None = None) -> Evaluation:
    """Compute every metric from a bundle's own predictions, at its operating points and at 0.5.

    Args:
        bundle: The bundle.
        split: "val" or "test".
        point: A further operating point, or None.

    Returns:
        The evaluation.
    """
    table = bundle.predictions()
    table = table[table["split"] == split]
    truth, probability = table["label"].to_numpy(), table["probability"].to_numpy()
    points = {
        "single": bundle.points["single"],
        "rule_out": bundle.points["rule_out"],
        "rule_in": bundle.points["rule_in"],
    }
    thresholds = {name: p.threshold for name, p in points.items()} | {"0.5": 0.5}
    if point is not None:
        thresholds = {point.name: point.threshold, "0.5": 0.5}
    calibration = calibration_summary(truth, table["logit"].to_numpy(), bundle.temperature)
    hits = {c.removeprefix("hit_"): table[c].dropna() for c in table if c.startswith("hit_")}
    return Evaluation(
        bundle=bundle.version,
        split=split,
        n=len(table),
        fractured=int(truth.sum()),
        areas=area_estimates(truth, table["logit"].to_numpy()),
        ece=calibration.ece,
        brier=calibration.brier,
        thresholds=thresholds,
        confusions={name: confusion(truth, probability, t) for name, t in thresholds.items()},
        pointing={name: (int(h.sum()), len(h)) for name, h in hits.items()},
        map50=box_precision(table),
        dataset=dataset_name(bundle.manifest.get("provenance", {})),
    )


def box_precision(table: pd.DataFrame) -> float:
    """Return mAP50 of the boxes found in a split.

    Args:
        table: Rows of predictions.csv.

    Returns:
        0..1; not a number for predictions that record no boxes.
    """
    if not {"boxes", "found_boxes"} <= set(table):
        return float("nan")
    images = []
    for drawn, predicted in zip(table["boxes"], table["found_boxes"], strict=True):
        rows = boxes_from_text(predicted, 5)
        images.append(ImageBoxes(predicted=rows[:, :4], scores=rows[:, 4], drawn=boxes_from_text(drawn, 4)))
    return average_precision_at(images)


def format_evaluation(evaluation: Evaluation) -> str:
    """Format an evaluation as in the reference study, one threshold after the other.

    Args:
        evaluation: The evaluation.

    Returns:
        The text.
    """
    e = evaluation
    lines = [
        f"{e.bundle} on {e.split}: {e.n} radiographs, {e.fractured} fractured",
        f"AUC                {e.areas['roc_auc']}",
        f"average precision  {e.areas['average_precision']}",
        f"ECE {e.ece:.3f}   Brier {e.brier:.3f}",
    ]
    for name, (hits, n) in e.pointing.items():
        lines.append(f"hottest point in a box, {name}: {hits} of {n}" + (f" ({hits / n:.2f})" if n else ""))
    if not np.isnan(e.map50):
        lines.append(f"boxes, mean average precision at half overlap (mAP50): {e.map50:.3f}")
    for name, matrix in e.confusions.items():
        lines += ["", f"at {name} (probability >= {e.thresholds[name]:.4f})", *_table(matrix)]
    if e.split == "test" and e.dataset == FracAtlas.name:
        lines += ["", f"for comparison, {REFERENCE_STUDY.name.lower()}", *_table(REFERENCE_STUDY.confusion)]
    return "\n".join(lines)


def _table(matrix: Confusion) -> list[str]:
    rows = [f"{'':18}{'precision':>10}{'recall':>10}{'f1':>10}{'support':>10}"]
    for row in classification_table(matrix):
        rows.append(f"{row.name:18}{row.precision:>10.2f}{row.recall:>10.2f}{row.f1:>10.2f}{row.support:>10}")
    rows.append(f"TN {matrix.tn}  FP {matrix.fp}  FN {matrix.fn}  TP {matrix.tp}")
    shown = ("accuracy", "sensitivity", "specificity")
    figures = threshold_table(matrix)
    return rows + [f"{name:18}{figures[name]}" for name in shown]
