"""Charts of a model's predictions: ROC, precision-recall, scores by class, calibration, predictive values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from fracture_core.data.catalogue import PART_NAMES
from fracture_core.evaluation.predictions import Predictions
from fracture_core.metrics.calibration import CalibrationSummary
from fracture_core.metrics.confusion import Confusion, ppv_npv_at_prevalence
from fracture_core.metrics.curves import Curve
from fracture_core.metrics.intervals import IntervalEstimate
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.metrics.reference_study import REFERENCE_STUDY
from fracture_core.metrics.subgroups import SubgroupRow
from fracture_core.reporting.chart_theme import (
    BLUE,
    DASHES,
    GREEN,
    PURPLE,
    SERIES,
    VERMILION,
    chart,
    diagonal,
    downwards,
    estimate_dots,
    line,
    rounded,
    upright,
)
from fracture_core.reporting.threshold_tables import cell_labels

CURVE, CHOSEN = "curve", "chosen on validation"
REFERENCE = "reference study (test)"
#: Where the totals stand beside and below the cells of the matrix, which lie at 0 and 1.
_TOTAL = 1.78
_AXES = {"roc": ("1 − specificity", "sensitivity"), "precision-recall": ("sensitivity (recall)", "PPV (precision)")}
#: From just below 0 to just above 1, so that points in the corners are seen whole.
_UNIT = (-0.015, 1.015)


def curve_chart(
    kind: str, predictions: Predictions, points: Sequence[OperatingPoint], *, reference: bool = True
) -> go.Figure:
    """Draw the ROC or precision-recall curve with operating points and the reference study's point.

    Args:
        kind: "roc" or "precision-recall".
        predictions: The split to draw.
        points: Operating points, drawn as squares.
        reference: Whether to draw the reference study's published point.

    Returns:
        The chart.
    """
    curve = predictions.roc if kind == "roc" else predictions.precision_recall
    traces = [_chance(kind, predictions), _curve(CURVE, curve, BLUE)]
    marks = [(point.name.replace("_", "-"), predictions.confusion(point.threshold)) for point in points]
    if marks:
        traces.append(_points(CHOSEN, marks, kind, GREEN, "square", 10))
    if reference:
        study = [("reference study", REFERENCE_STUDY.confusion)]
        traces.append(_points(REFERENCE, study, kind, PURPLE, "diamond", 12))
    traces[1].update(showlegend=False)
    return chart(traces, *_AXES[kind], x_range=_UNIT, y_range=_UNIT)


def matrix_chart(matrix: Confusion, *, clickable: bool = False) -> go.Figure:
    """Draw the confusion matrix as a heatmap: counts, shares of each row, totals, missed fractures in vermilion.

    Rows are the reference label, fracture first. Annotations: TP, FN, FP, TN, totals of rows, totals of columns.

    Args:
        matrix: The confusion matrix.
        clickable: Whether an invisible marker lies on each cell, with the cell's name as customdata.

    Returns:
        The chart.
    """
    words = cell_labels(matrix)
    shares = {"TP": matrix.sensitivity, "FN": 1 - matrix.sensitivity, "FP": 1 - matrix.specificity}
    shares |= {"TN": matrix.specificity}
    shown = {cell: None if math.isnan(share) else share for cell, share in shares.items()}
    heat = [
        _heat([[shown["TP"], None], [shown["FP"], shown["TN"]]], BLUE, 0.06),
        _heat([[None, shown["FN"]], [None, None]], VERMILION, 0.3),
    ]
    labels = {
        cell: f'<b style="font-size:1.3em">{count}</b><br>{name.replace(" ", "<br>", 1)}<br>{share}'
        for cell, (count, name, share) in words.items()
    }
    totals = [matrix.positives, matrix.negatives, matrix.tp + matrix.fp, matrix.fn + matrix.tn]
    texts = [
        *(labels[cell] for cell in ("TP", "FN", "FP", "TN")),
        *(f'<b style="font-size:1.3em">{total}</b>' for total in totals),
    ]
    places = [(0, 0), (1, 0), (0, 1), (1, 1), (_TOTAL, 0), (_TOTAL, 1), (0, _TOTAL), (1, _TOTAL)]
    figure = chart(heat, "", "", x_range=(-0.5, 2.0), y_range=(2.0, -0.5), legend=False)
    ticks = {"tickvals": [0, 1, _TOTAL], "showgrid": False, "ticks": "", "tickangle": 0}
    figure.update_xaxes(ticktext=["Model:<br>fracture", "Model:<br>no fracture", "Total"], side="top", **ticks)
    figure.update_yaxes(ticktext=["Reference:<br>fracture", "Reference:<br>no fracture", "Total"], **ticks)
    for text, (x, y) in zip(texts, places, strict=True):
        figure.add_annotation(x=x, y=y, text=text, showarrow=False, captureevents=False)
    if clickable:
        unseen = {"symbol": "square", "size": 80, "color": "rgba(0, 0, 0, 0)"}
        cells = go.Scatter(x=[0, 1, 0, 1], y=[0, 0, 1, 1], mode="markers", marker=unseen, hoverinfo="skip")
        figure.add_trace(cells.update(customdata=["TP", "FN", "FP", "TN"], hoverinfo="none"))
    return figure


def _heat(shares: Sequence[Sequence[float | None]], colour: str, least: float) -> go.Heatmap:
    """Cells from `least` to half of the colour's strength, so that text on them can be read on any page."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    scale = [[end, f"rgba({red}, {green}, {blue}, {alpha})"] for end, alpha in ((0, least), (1, 0.55))]
    return go.Heatmap(z=shares, zmin=0, zmax=1, colorscale=scale, showscale=False, xgap=4, ygap=4, hoverinfo="skip")


def two_curves(curves: Mapping[str, Curve]) -> go.Figure:
    """Return the ROC curves of several models on one chart, by the models' names.

    Args:
        curves: Curves by name.

    Returns:
        The chart.
    """
    traces = [
        _curve(name, curve, SERIES[place % len(SERIES)], dash=DASHES[place % len(DASHES)])
        for place, (name, curve) in enumerate(curves.items())
    ]
    return chart([diagonal("chance"), *traces], *_AXES["roc"], x_range=_UNIT, y_range=_UNIT)


def histogram_chart(predictions: Predictions, thresholds: Mapping[str, float]) -> go.Figure:
    """Draw the share of each class (percentage) by probability, with a line at each threshold.

    Args:
        predictions: The split to draw.
        thresholds: Thresholds by name.

    Returns:
        The chart.
    """
    histogram = predictions.histogram
    named = (("no fracture", BLUE, histogram.not_fractured), ("fracture", VERMILION, histogram.fractured))
    traces = [
        line(
            name,
            histogram.edges,
            np.append(share := _shares(counts), share[-1]),
            colour,
            line={"color": colour, "width": 2, "shape": "hv"},
            fill="tozeroy",
            hovertemplate=f"{name}<br>probability from %{{x}}<br>%{{y:.1f}} % of the class<extra></extra>",
        )
        for name, colour, counts in named
    ]
    figure = chart(traces, "calibrated probability", "% of the class", x_range=(0, 1))
    figure.update_yaxes(rangemode="tozero")
    return upright(figure, {name: min(place, 1.0) for name, place in thresholds.items()})


def reliability_chart(before: CalibrationSummary, after: CalibrationSummary) -> go.Figure:
    """Draw predicted against observed rates before and after scaling; bars are Wilson's 95 % intervals.

    Args:
        before: At temperature 1.
        after: At the bundle's temperature.

    Returns:
        The chart.
    """
    traces = [diagonal("perfect")]
    for name, summary, colour, symbol in (("before", before, PURPLE, "square"), ("after", after, BLUE, "circle")):
        bins = summary.bins
        traces.append(
            line(
                f"{name} scaling",
                [b.mean_probability for b in bins],
                [b.rate.value for b in bins],
                colour,
                mode="lines+markers",
                line={"color": colour, "width": 1.5},
                marker={"symbol": symbol, "size": 8},
                customdata=[b.n for b in bins],
                error_y=_whiskers([(b.rate.value, b.rate.low, b.rate.high) for b in bins], colour),
                hovertemplate="predicted %{x:.3f}<br>fractured %{y:.3f}<br>of %{customdata} radiographs",
            )
        )
    return chart(traces, "predicted probability", "observed fracture rate", x_range=_UNIT, y_range=_UNIT)


def prevalence_chart(matrix: Confusion, prevalence: float) -> go.Figure:
    """Draw PPV and NPV against the prevalence.

    Args:
        matrix: The confusion matrix.
        prevalence: The user's own, 0..1, drawn as a line.

    Returns:
        The chart.
    """
    grid = np.linspace(0, 1, 101)
    values = np.array([ppv_npv_at_prevalence(matrix.sensitivity, matrix.specificity, p) for p in grid.tolist()])
    traces = [line("PPV", grid, values[:, 0], VERMILION), line("NPV", grid, values[:, 1], BLUE, dash="dash")]
    figure = chart(traces, "prevalence of fractures", "PPV, NPV", x_range=(0, 1), y_range=_UNIT)
    return upright(figure, {"yours": prevalence})


def subgroup_chart(rows: Sequence[SubgroupRow]) -> go.Figure:
    """Draw sensitivity and specificity of each subgroup (percentages) with 95 % intervals; small ones stay empty.

    Args:
        rows: The subgroups.

    Returns:
        The chart.
    """
    names = [f"{PART_NAMES.get(row.name, row.name)}: {row.fractured} of {row.n}" for row in rows]
    undefined = IntervalEstimate(math.nan, math.nan, math.nan)
    traces = [
        estimate_dots("sensitivity", names, [row.sensitivity or undefined for row in rows], VERMILION),
        estimate_dots("specificity", names, [row.specificity or undefined for row in rows], BLUE),
    ]
    figure = downwards(chart(traces, "%, with 95 % interval", ""))
    figure.update_yaxes(categoryorder="array", categoryarray=names, range=(len(names) - 0.5, -0.5), autorange=False)
    return figure.update_xaxes(range=(0, 101)).update_layout(scattermode="group")


def _curve(name: str, curve: Curve, colour: str, *, dash: str = "solid") -> go.Scatter:
    return line(
        name,
        curve.x,
        curve.y,
        colour,
        dash=dash,
        customdata=rounded(np.minimum(curve.thresholds, 1)),
        hovertemplate="threshold %{customdata:.3f}<br>%{xaxis.title.text} %{x:.3f}<br>%{yaxis.title.text} %{y:.3f}",
    )


def _points(
    name: str,
    marks: Sequence[tuple[str, Confusion]],
    kind: str,
    colour: str,
    symbol: str,
    size: int,
) -> go.Scatter:
    places = np.array([place(matrix, kind) for _, matrix in marks], float)
    return go.Scatter(
        name=name,
        x=rounded(places[:, 0]),
        y=rounded(places[:, 1]),
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": size, "line": {"color": "#ffffff", "width": 1.5}},
        text=[label for label, _ in marks],
        hovertemplate="%{text}<br>%{xaxis.title.text} %{x:.3f}<br>%{yaxis.title.text} %{y:.3f}<extra></extra>",
    )


def place(matrix: Confusion, kind: str) -> tuple[float, float]:
    """Return the position (x, y) of a confusion matrix on a chart, nan if undefined.

    Args:
        matrix: The confusion matrix.
        kind: "roc" or "precision-recall".

    Returns:
        x and y.
    """
    if kind == "roc":
        return 1 - matrix.specificity, matrix.sensitivity
    return matrix.sensitivity, matrix.ppv


def _chance(kind: str, predictions: Predictions) -> go.Scatter:
    """Random calls: the diagonal, or a PPV of the prevalence."""
    level = predictions.confusion(0.5).prevalence
    return diagonal("chance") if kind == "roc" else diagonal("chance", (0, level), (1, level))


def _shares(counts: ArrayLike) -> np.ndarray:
    counts = np.asarray(counts)
    return 100 * counts / max(int(counts.sum()), 1)


def _whiskers(estimates: Sequence[tuple[float, float, float]], colour: str) -> dict:
    """Error bars of (value, low, high)."""
    values, low, high = np.array(estimates, float).reshape(-1, 3).T
    style = {"color": colour, "thickness": 1.5, "width": 0}
    return {"type": "data", "array": rounded(high - values), "arrayminus": rounded(values - low), **style}
