"""What the threshold page says, in words and tables; its figures come from other rooms, only their dress from here."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import compress

import pandas as pd

from fracture_core.evaluation.predictions import SPLITS, Predictions
from fracture_core.metrics.calibration import CalibrationSummary
from fracture_core.metrics.confusion import Confusion, ratio
from fracture_core.metrics.formatting import estimate_text, figure, interval, share_text
from fracture_core.metrics.intervals import threshold_table
from fracture_core.metrics.operating_points import OperatingPoint, TriageGroup
from fracture_core.metrics.paired_tests import Disagreements
from fracture_core.metrics.subgroups import FEWEST, SubgroupRow
from fracture_core.metrics.suggestions import Suggestion

#: Every figure at a threshold: its name, and what it tells, in the order of `threshold_table`.
FIGURES = {
    "sensitivity": ("Sensitivity", "fractures that are called"),
    "specificity": ("Specificity", "others that are left alone"),
    "ppv": ("PPV", "calls that are right"),
    "npv": ("NPV", "all-clears that are right"),
    "accuracy": ("Accuracy", "all that are right"),
    "balanced_accuracy": ("Balanced accuracy", "mean of the first two"),
    "f1": ("F1", "of PPV and sensitivity"),
    "mcc": ("MCC", "correlation with truth"),
}
#: The cells of a confusion matrix in a clinician's words.
CELL_NAMES = {
    "TP": "fractures caught",
    "FN": "fractures missed",
    "FP": "false alarms",
    "TN": "rightly left alone",
}
_PARTS = ("hand", "leg", "hip", "shoulder", "mixed")
_VIEWS = ("frontal", "lateral", "oblique")
INTERVAL = "95 % interval"


def cell_labels(matrix: Confusion) -> dict[str, tuple[int, str, str]]:
    """Give each cell's count, its name, and its share of its row: of the fractured, or of the others."""
    counts = {"TN": matrix.tn, "FP": matrix.fp, "FN": matrix.fn, "TP": matrix.tp}
    rows = {"TN": matrix.negatives, "FP": matrix.negatives, "FN": matrix.positives, "TP": matrix.positives}
    return {cell: (n, CELL_NAMES[cell], share_text(n, rows[cell])) for cell, n in counts.items()}


def figures_table(matrix: Confusion) -> pd.DataFrame:
    """Give every figure at one threshold with its interval: columns Figure, Value, 95 % interval, Meaning."""
    rows = [
        (FIGURES[key][0], figure(estimate.value), interval(estimate), FIGURES[key][1])
        for key, estimate in threshold_table(matrix).items()
    ]
    return pd.DataFrame(rows, columns=["Figure", "Value", INTERVAL, "Meaning"])


def figures_csv(predictions: Predictions, threshold: float, version: str) -> str:
    """Give the same as CSV with full precision, one row a figure, and the counts behind them."""
    matrix = predictions.confusion(threshold)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "split", "threshold", "tn", "fp", "fn", "tp", "figure", "value", "low", "high"])
    counts = [matrix.tn, matrix.fp, matrix.fn, matrix.tp]
    for name, e in threshold_table(matrix).items():
        writer.writerow([version, predictions.title, threshold, *counts, name, e.value, e.low, e.high])
    return text.getvalue()


def zones_table(zones: Iterable[TriageGroup]) -> pd.DataFrame:
    """Give the three answers: how many radiographs get each, and how many of those were fractured."""
    rows = [
        (
            zone.triage.capitalize(),
            zone.n,
            estimate_text(zone.share),
            zone.fractured,
            estimate_text(zone.fracture_rate),
        )
        for zone in zones
    ]
    columns = ["Answer", "Radiographs", "Share of all (95 % interval)", "Fractured", "Fracture rate (95 % interval)"]
    return pd.DataFrame(rows, columns=columns)


def suggestions_table(suggestions: Iterable[Suggestion]) -> pd.DataFrame:
    """Give each suggestion's threshold, and the same figures on validation and on test."""
    rows = []
    for one in suggestions:
        row = {"Suggestion": one.title, "Threshold": f"{one.point.threshold:.3f}"}
        for name in ("sensitivity", "specificity", "f1"):
            short = {"sensitivity": "Sens.", "specificity": "Spec.", "f1": "F1"}[name]
            for split, matrix in (("val.", one.validation), ("test", one.test)):
                row[f"{short} {split}"] = figure(getattr(matrix, name))
        rows.append(row)
    return pd.DataFrame(rows)


def calibration_table(before: CalibrationSummary, after: CalibrationSummary) -> pd.DataFrame:
    """Give ECE, Brier score and log loss before and after temperature scaling."""
    names = (("ece", "ECE"), ("brier", "Brier score"), ("log_loss", "Log loss"))
    rows = [(title, figure(getattr(before, name)), figure(getattr(after, name))) for name, title in names]
    return pd.DataFrame(rows, columns=["Figure", "Before (T = 1)", f"After (T = {after.temperature:.3f})"])


def subgroups_table(rows: Iterable[SubgroupRow]) -> pd.DataFrame:
    """Give each subgroup's counts, and its rates where there are at least FEWEST of each class."""
    table = [
        (
            row.family.capitalize(),
            row.name,
            row.n,
            row.fractured,
            f"{row.confusion.tp} of {row.confusion.positives}",
            f"{row.confusion.tn} of {row.confusion.negatives}",
            *(estimate_text(e) for e in (row.sensitivity, row.specificity, row.auc)),
        )
        for row in rows
    ]
    columns = ["Family", "Subgroup", "n", "Fractured", "Caught", "Left alone", "Sensitivity", "Specificity", "AUC"]
    return pd.DataFrame(table, columns=columns)


#: What "too few" means in `subgroups_table`.
TOO_FEW = f"Too few: fewer than {FEWEST} fractured, or fewer than {FEWEST} others, so no rate is shown."


def disagreements_table(found: Disagreements, first: str, second: str) -> pd.DataFrame:
    """Give every radiograph that two bundles call differently, the widest apart first."""
    rows = [
        (
            row.image_id,
            "fractured" if row.label else "not fractured",
            row.first,
            row.second,
            first if row.right == "first" else second,
        )
        for row in found.rows
    ]
    return pd.DataFrame(rows, columns=["Image", "Truth", f"Probability, {first}", f"Probability, {second}", "Right"])


def rows_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows of predictions to read: Image, Probability, Body part, View, Hardware, Outlined fractures."""
    shown = {"Image": rows["image_id"], "Probability": rows["probability"]}
    shown["Body part"] = _named(rows, _PARTS)
    shown["View"] = _named(rows, _VIEWS)
    if "hardware" in rows:
        shown["Hardware"] = rows["hardware"].map({1: "yes", 0: "no"})
    if "fracture_count" in rows:
        shown["Outlined fractures"] = rows["fracture_count"]
    return pd.DataFrame(shown)


def saved_table(points: Sequence[OperatingPoint]) -> pd.DataFrame:
    """Give saved operating points, oldest first."""
    rows = [
        (
            point.name,
            f"{point.threshold:.3f}",
            point.criterion,
            SPLITS.get(point.split, point.split),
            figure(point.sensitivity),
            figure(point.specificity),
            point.note,
            point.created[:10],
        )
        for point in points
    ]
    columns = ["Name", "Threshold", "How it was chosen", "Chosen on", "Sensitivity", "Specificity", "Note", "Saved"]
    return pd.DataFrame(rows, columns=columns)


def in_1000(matrix: Confusion, prevalence: float, people: int = 1000) -> dict[str, int]:
    """Give the cells as they would stand among `people` patients of whom a share `prevalence` is fractured.

    Rounded so that fractured and others add up to `people`.
    """
    fractured = round(people * prevalence)
    tp = round(fractured * ratio(matrix.tp, matrix.positives)) if matrix.positives else 0
    tn = round((people - fractured) * ratio(matrix.tn, matrix.negatives)) if matrix.negatives else 0
    return {"TP": tp, "FN": fractured - tp, "FP": people - fractured - tn, "TN": tn}


def _named(rows: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    present = [c for c in columns if c in rows]
    words = [", ".join(compress(present, record)) for record in rows[present].to_numpy()]
    return pd.Series(words, index=rows.index, dtype=object)
