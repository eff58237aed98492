"""Data for the browser, so that it can follow the threshold slider on its own: scores, charts and titles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from fracture_core.evaluation.predictions import Predictions
from fracture_core.metrics.confusion import Confusion
from fracture_core.metrics.formatting import estimate_text, figure, interval
from fracture_core.metrics.intervals import threshold_table
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.reporting.chart_theme import GREEN, VERMILION
from fracture_core.reporting.threshold_charts import curve_chart, histogram_chart, matrix_chart
from fracture_core.reporting.threshold_tables import CELL_NAMES, FIGURES
from fracture_core.reporting.worklist import Entry


def live_scores(predictions: Predictions, points: Sequence[OperatingPoint]) -> dict[str, Any]:
    """Return all that stays the same while the threshold moves, fit for JSON.

    Args:
        predictions: The split that is shown.
        points: The operating points that can be gone to.

    Returns:
        "fractured" and "others": the probabilities of each class; "thresholds": every cut between two distinct
        probabilities, falling; "points": the operating points; "figures": plotly figures by name; "titles": heading and
        caption of each curve; "words": the names of the cells.
    """
    fractured = predictions.labels == 1
    return {
        "fractured": predictions.probabilities[fractured].tolist(),
        "others": predictions.probabilities[~fractured].tolist(),
        "thresholds": predictions.roc.thresholds.tolist(),
        "points": [_point(point) for point in points],
        "figures": _figures(predictions, points),
        "titles": [
            ("ROC curve", f"AUC {estimate_text(predictions.auc)}"),
            ("Precision-recall curve", f"average precision {estimate_text(predictions.average_precision)}"),
            ("Scores by class", "distribution of probabilities within each class"),
        ],
        "words": dict(CELL_NAMES),
    }


def live_table(matrix: Confusion) -> dict[str, Any]:
    """Return the metrics of a confusion matrix as rows of text, with the meaning of each.

    Args:
        matrix: The confusion matrix.

    Returns:
        Columns and rows.
    """
    rows = [
        {
            "key": key,
            "name": FIGURES[key][0],
            "meaning": FIGURES[key][1],
            "value": figure(estimate.value),
            "interval": interval(estimate),
        }
        for key, estimate in threshold_table(matrix).items()
    ]
    return {"columns": ["Metric", "Value", "95 % CI"], "rows": rows}


def open_films_text(entries: Iterable[Entry], present: float, threshold: float) -> str:
    """Describe how many open films would be flagged differently.

    Args:
        entries: The session's films in the worklist.
        present: The current threshold.
        threshold: The new threshold.

    Returns:
        A sentence; "" if no film has an answer.
    """
    known = [entry.probability for entry in entries if entry.assessed and entry.probability is not None]
    if not known:
        return ""
    changed = sum((p >= present) != (p >= threshold) for p in known)
    return f"Your open films: {changed} of {len(known)} change at this threshold."


def _point(point: OperatingPoint) -> dict[str, Any]:
    on = "validation" if point.split == "val" else point.split
    return {
        "name": point.name,
        "title": point.name.replace("_", "-"),
        "threshold": min(point.threshold, 1.0),
        "help": f"{point.criterion}, chosen on {on}",
    }


def _figures(predictions: Predictions, points: Sequence[OperatingPoint]) -> dict[str, Any]:
    """Return the charts, with a mark for the current threshold as the first shape of each curve."""
    figures = {kind: curve_chart(kind, predictions, points) for kind in ("roc", "precision-recall")}
    for curve in figures.values():
        curve.add_shape(
            type="circle", xsizemode="pixel", ysizemode="pixel", xanchor=0, yanchor=0, x0=-8, x1=8, y0=-8, y1=8,
            fillcolor=VERMILION, line={"color": "#ffffff", "width": 1.5},
        )  # fmt: skip
    histogram = histogram_chart(predictions, {})
    histogram.add_shape(type="line", x0=0, x1=0, y0=0, y1=1, yref="paper", line={"color": GREEN, "width": 2.5})
    figures |= {"histogram": histogram, "matrix": matrix_chart(predictions.confusion(0.5))}
    return {name: _plain(figure) for name, figure in figures.items()}


def _plain(figure: go.Figure) -> dict[str, Any]:
    """Return data and layout without plotly's own theme, which is for a white background."""
    plain = json.loads(figure.to_json())
    plain["layout"].pop("template", None)
    return {"data": plain["data"], "layout": plain["layout"]}
