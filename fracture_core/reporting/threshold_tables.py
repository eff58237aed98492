"""Format results for the Threshold page. Values are computed elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import compress

import pandas as pd

from fracture_core.data.catalogue import PART_NAMES
from fracture_core.evaluation.predictions import SPLITS, Predictions
from fracture_core.metrics.calibration import CalibrationSummary
from fracture_core.metrics.confusion import Confusion, ratio
from fracture_core.metrics.formatting import estimate_text, figure, share_text
from fracture_core.metrics.intervals import threshold_table
from fracture_core.metrics.operating_points import OperatingPoint, TriageGroup
from fracture_core.metrics.paired_tests import Disagreements
from fracture_core.metrics.subgroups import FEWEST, SubgroupRow
from fracture_core.metrics.suggestions import Suggestion

#: Every metric at a threshold: its name and meaning, in the order of `threshold_table`.
FIGURES = {
    "sensitivity": ("Sensitivity", "share of fractures that are flagged"),
    "specificity": ("Specificity", "share without a fracture that are not flagged"),
    "ppv": ("PPV", "share of flagged that have a fracture"),
    "npv": ("NPV", "share of negatives that are correct"),
    "accuracy": ("Accuracy", "share classified correctly"),
    "balanced_accuracy": ("Balanced accuracy", "mean of sensitivity and specificity"),
    "f1": ("F1", "harmonic mean of PPV and sensitivity"),
    "mcc": ("MCC", "correlation with the reference label"),
}
#: The cells of a confusion matrix in words.
CELL_NAMES = {
    "TP": "fractures flagged",
    "FN": "fractures missed",
    "FP": "false positives",
    "TN": "true negatives",
}
_PARTS = ("hand", "leg", "hip", "shoulder", "mixed")
_VIEWS = ("frontal", "lateral", "oblique")


def cell_labels(matrix: Confusion) -> dict[str, tuple[int, str, str]]:
    """Return the count, name and share of its row for each cell of the confusion matrix.

    Args:
        matrix: The confusion matrix.

    Returns:
        (count, name, share as text) by cell.
    """
    counts = {"TN": matrix.tn, "FP": matrix.fp, "FN": matrix.fn, "TP": matrix.tp}
    rows = {"TN": matrix.negatives, "FP": matrix.negatives, "FN": matrix.positives, "TP": matrix.positives}
    return {cell: (n, CELL_NAMES[cell], share_text(n, rows[cell])) for cell, n in counts.items()}


def figures_csv(predictions: Predictions, threshold: float, version: str) -> str:
    """Return every metric at one threshold as CSV in full precision, with the counts behind them.

    Args:
        predictions: The predictions of one split.
        threshold: A calibrated probability.
        version: The bundle's version.

    Returns:
        One row per metric.
    """
    matrix = predictions.confusion(threshold)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "split", "threshold", "tn", "fp", "fn", "tp", "figure", "value", "low", "high"])
    counts = [matrix.tn, matrix.fp, matrix.fn, matrix.tp]
    for name, e in threshold_table(matrix).items():
        writer.writerow([version, predictions.title, threshold, *counts, name, e.value, e.low, e.high])
    return text.getvalue()


def zones_table(zones: Iterable[TriageGroup]) -> pd.DataFrame:
    """Tabulate the triage categories: how many radiographs are in each, and how many of those are fractured.

    Args:
        zones: The groups.

    Returns:
        One row per group.
    """
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
    columns = ["Category", "Radiographs", "Share of all (95 % interval)", "Fractured", "Fracture rate (95 % interval)"]
    return pd.DataFrame(rows, columns=columns)


def suggestions_table(suggestions: Iterable[Suggestion]) -> pd.DataFrame:
    """Tabulate each suggestion's threshold, and the metrics on validation with those on test in parentheses.

    Args:
        suggestions: The suggestions.

    Returns:
        One row per suggestion.
    """
    rows = []
    for suggestion in suggestions:
        row = {"Suggestion": suggestion.title, "Threshold": f"{suggestion.point.threshold:.3f}"}
        for name in ("sensitivity", "specificity", "f1"):
            chosen, checked = (figure(getattr(matrix, name)) for matrix in (suggestion.validation, suggestion.test))
            row[name.capitalize()] = f"{chosen} (test {checked})"
        rows.append(row)
    return pd.DataFrame(rows)


def calibration_table(before: CalibrationSummary, after: CalibrationSummary) -> pd.DataFrame:
    """Tabulate ECE, Brier score and log loss before and after temperature scaling.

    Args:
        before: At temperature 1.
        after: At the bundle's temperature.

    Returns:
        One row per metric.
    """
    names = (("ece", "ECE"), ("brier", "Brier score"), ("log_loss", "Log loss"))
    rows = [(title, figure(getattr(before, name)), figure(getattr(after, name))) for name, title in names]
    return pd.DataFrame(rows, columns=["Metric", "Before (T = 1)", f"After (T = {after.temperature:.3f})"])


def subgroups_table(rows: Iterable[SubgroupRow]) -> pd.DataFrame:
    """Tabulate each subgroup's counts, and its rates if both classes have at least FEWEST radiographs.

    Args:
        rows: The subgroups.

    Returns:
        One row per subgroup.
    """
    table = [
        (
            row.family.capitalize(),
            PART_NAMES.get(row.name, row.name),
            row.n,
            row.fractured,
            f"{row.confusion.tp} of {row.confusion.positives}",
            f"{row.confusion.tn} of {row.confusion.negatives}",
            *(estimate_text(e) for e in (row.sensitivity, row.specificity, row.auc)),
        )
        for row in rows
    ]
    counts = ["n", "Fractured", "True positives", "True negatives"]
    columns = ["Group", "Subgroup", *counts, "Sensitivity", "Specificity", "AUC"]
    return pd.DataFrame(table, columns=columns)


#: The meaning of "too few" in `subgroups_table`.
TOO_FEW = f"Too few: fewer than {FEWEST} radiographs with or without a fracture, so no rate is shown."


def disagreements_table(disagreements: Disagreements, first: str, second: str) -> pd.DataFrame:
    """Tabulate every radiograph that two models classify differently, the largest difference first.

    Args:
        disagreements: The disagreements.
        first: Name of the first model.
        second: Name of the second model.

    Returns:
        One row per radiograph.
    """
    rows = [
        (
            row.image_id,
            "fractured" if row.label else "not fractured",
            row.first,
            row.second,
            first if row.right == "first" else second,
        )
        for row in disagreements.rows
    ]
    columns = ["Image", "Reference", f"Probability, {first}", f"Probability, {second}", "Correct"]
    return pd.DataFrame(rows, columns=columns)


def rows_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Tabulate predictions for reading.

    Args:
        rows: Rows of a bundle's predictions.

    Returns:
        Columns Image, Probability, Body part, View, Hardware and Outlined fractures.
    """
    shown = {"Image": rows["image_id"], "Probability": rows["probability"]}
    shown["Body part"] = _named(rows.rename(columns=PART_NAMES), [PART_NAMES.get(part, part) for part in _PARTS])
    shown["View"] = _named(rows, _VIEWS)
    if "hardware" in rows:
        shown["Hardware"] = rows["hardware"].map({1: "yes", 0: "no"})
    if "fracture_count" in rows:
        shown["Outlined fractures"] = rows["fracture_count"]
    return pd.DataFrame(shown)


def saved_table(points: Sequence[OperatingPoint]) -> pd.DataFrame:
    """Tabulate saved operating points, oldest first.

    Args:
        points: The points.

    Returns:
        One row per point.
    """
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
    """Return the confusion matrix expected among a number of patients at some prevalence.

    Args:
        matrix: The confusion matrix that was measured.
        prevalence: Share of the patients with a fracture, 0..1.
        people: Number of patients.

    Returns:
        Counts by cell; rounded so that they add up to `people`.
    """
    fractured = round(people * prevalence)
    tp = round(fractured * ratio(matrix.tp, matrix.positives)) if matrix.positives else 0
    tn = round((people - fractured) * ratio(matrix.tn, matrix.negatives)) if matrix.negatives else 0
    return {"TP": tp, "FN": fractured - tp, "FP": people - fractured - tn, "TN": tn}


def _named(rows: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    present = [c for c in columns if c in rows]
    words = [", ".join(compress(present, record)) for record in rows[present].to_numpy()]
    return pd.Series(words, index=rows.index, dtype=object)
