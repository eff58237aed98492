"""The threshold page's plots as Apache ECharts options: plain dicts, which cost nothing to make and little to send.

An option holds no colours for text, axes or background, so it suits a dark and a light page alike. The colours of the
data are from Okabe and Ito (2008), told apart by the colour-blind too, and shapes differ as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fracture_core.evaluation.predictions import Predictions
from fracture_core.metrics.calibration import CalibrationSummary
from fracture_core.metrics.confusion import Confusion, ppv_npv_at_prevalence
from fracture_core.metrics.curves import Curve
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.metrics.reference_study import REFERENCE_STUDY

BLUE, VERMILION, GREEN, PURPLE, GREY = "#3d94cf", "#e0692a", "#1fa181", "#c27ba8", "#8a959e"
#: Names of the series that can be clicked.
CURVE, CHOSEN, PLACES = "curve", "chosen on validation", "go there"
#: Where a click on the histogram can land: finer than a pointer on a plot of 300 pixels.
_PLACES = np.linspace(0, 1, 201)
CURRENT, REFERENCE = "this threshold", "reference study (on test)"
_AXES = {"roc": ("1 − specificity", "sensitivity"), "precision-recall": ("sensitivity (recall)", "PPV (precision)")}


@dataclass(frozen=True, eq=False)
class Chart:
    """An ECharts option, and the threshold behind each point of each series that can be clicked."""

    option: dict[str, Any]
    thresholds: Mapping[str, Sequence[float] | np.ndarray]

    def threshold_at(self, series: str | None, index: int) -> float | None:
        """Give the threshold of a clicked point, at most 1; None where nothing is to be had there."""
        values = self.thresholds.get(series or "", ())
        return min(float(values[index]), 1.0) if 0 <= index < len(values) else None

    def with_point(self, matrix: Confusion, kind: str) -> dict[str, Any]:
        """Give the option with the current point where `matrix` stands; the rest is shared, not copied."""
        series = [*self.option["series"], _points(CURRENT, [("now", matrix)], kind, VERMILION, "circle", 19)]
        return self.option | {"series": series}


def curve_chart(
    kind: str, predictions: Predictions, points: Sequence[OperatingPoint], *, reference: bool = True
) -> Chart:
    """Give the "roc" or the "precision-recall" curve with the `points`, and the reference study's point.

    Every point of the curve can be clicked, and every one of `points`.
    """
    curve = predictions.roc if kind == "roc" else predictions.precision_recall
    marks = [(point.name.replace("_", "-"), predictions.confusion(point.threshold)) for point in points]
    series = [_curve(CURVE, curve, BLUE), _chance(kind, predictions), _points(CHOSEN, marks, kind, GREEN, "rect", 11)]
    if reference:
        study = [("reference study", REFERENCE_STUDY.confusion)]
        series.append(_points(REFERENCE, study, kind, PURPLE, "diamond", 15))
    option = _frame(*_AXES[kind], _at_most(1)) | {"series": series, "legend": _legend([*series, {"name": CURRENT}])}
    option["grid"]["bottom"] = 112  # room for a legend of three lines
    return Chart(option, {CURVE: curve.thresholds, CHOSEN: [point.threshold for point in points]})


def two_curves(curves: Mapping[str, Curve]) -> dict[str, Any]:
    """Give ROC curves of several bundles on one plot, by the bundles' names."""
    colours = (BLUE, VERMILION, GREEN, PURPLE)
    series = [_curve(name, curve, colours[i % 4], dashed=bool(i)) for i, (name, curve) in enumerate(curves.items())]
    for one in series:
        one["selectedMode"] = False
    diagonal = _line("chance", [[0, 0], [1, 1]], GREY, dashed=True)
    return _frame(*_AXES["roc"], _at_most(1)) | {"series": [*series, diagonal], "legend": _legend(series)}


def histogram_chart(predictions: Predictions, thresholds: Mapping[str, float]) -> Chart:
    """Give the share of each class (per cent) by probability, with a line at each of the named `thresholds`.

    Every place of it can be clicked, high or low.
    """
    histogram = predictions.histogram
    shares = [_shares(counts) for counts in (histogram.not_fractured, histogram.fractured)]
    top = max(5, 5 * int(np.ceil(max(share.max() for share in shares) / 5)))
    names = (("not fractured", BLUE), ("fractured", VERMILION))
    steps = [_steps(*name, histogram.edges, share) for name, share in zip(names, shares, strict=True)]
    steps[-1]["markLine"] = _rules({name: min(t, 1.0) for name, t in thresholds.items()})
    option = _frame("calibrated probability", "% of the class", _at_most(top))
    option |= {"series": [*steps, _places(top)], "legend": _legend(steps)}
    return Chart(option, {PLACES: _PLACES.tolist()})


def reliability_chart(before: CalibrationSummary, after: CalibrationSummary) -> dict[str, Any]:
    """Give predicted against observed rates before and after scaling; bars are Wilson's 95 % intervals."""
    series = [_line("perfect", [[0, 0], [1, 1]], GREY, dashed=True)]
    for name, summary, colour, symbol in (("before", before, PURPLE, "rect"), ("after", after, BLUE, "circle")):
        dots = [[_short(b.mean_probability), _short(b.rate.value), b.n] for b in summary.bins]
        bars = [
            {
                "coords": [
                    [_short(b.mean_probability), _short(b.rate.low)],
                    [_short(b.mean_probability), _short(b.rate.high)],
                ]
            }
            for b in summary.bins
        ]
        style = {"color": colour, "width": 2, "opacity": 0.55}
        series.append(
            {"type": "lines", "coordinateSystem": "cartesian2d", "name": name, "data": bars, "lineStyle": style}
            | {"silent": True, "z": 1}
        )
        tip = f"{name} scaling<br>predicted {{@[0]}}<br>fractured {{@[1]}}<br>of {{@[2]}} radiographs"
        series.append(
            {"type": "line", "name": name, "data": dots, "symbol": symbol, "symbolSize": 9, "color": colour}
            | {"lineStyle": {"width": 1.5}, "tooltip": {"formatter": tip}}
        )
    option = _frame("predicted probability", "fractured, in truth", _at_most(1))
    return option | {"series": series, "legend": {"data": ["before", "after"], "bottom": 0, "itemWidth": 18}}


def prevalence_chart(matrix: Confusion, prevalence: float) -> dict[str, Any]:
    """Give PPV and NPV against the prevalence, with a line at the user's own (0..1)."""
    grid = np.linspace(0, 1, 101)
    values = np.array([ppv_npv_at_prevalence(matrix.sensitivity, matrix.specificity, p) for p in grid.tolist()])
    series = [
        _line("PPV", _pairs(grid, values[:, 0]), VERMILION),
        _line("NPV", _pairs(grid, values[:, 1]), BLUE, dashed=True),
    ]
    series[0]["markLine"] = _rules({"yours": prevalence})
    return _frame("prevalence of fractures", "PPV, NPV", _at_most(1)) | {"series": series, "legend": _legend(series)}


def _frame(x: str, y: str, vertical: Mapping[str, Any]) -> dict[str, Any]:
    horizontal = {"type": "value", "min": 0, "max": 1, "name": x, "nameLocation": "middle", "nameGap": 26}
    return {
        "animation": False,
        "grid": {"left": 50, "right": 16, "top": 24, "bottom": 70, "outerBoundsMode": "none"},
        "tooltip": {"trigger": "item", "confine": True},
        "xAxis": horizontal,
        "yAxis": {"type": "value", "min": 0, "name": y, "nameLocation": "middle", "nameGap": 32, **vertical},
    }


def _at_most(most: float) -> dict[str, Any]:
    return {"max": most}


def _legend(series: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = [one["name"] for one in series if one["name"] not in (CURVE, "chance")]
    return {"data": names, "bottom": 0, "itemWidth": 14, "type": "plain"}


def _short(value: float) -> float | None:
    """What a plot needs of a figure; None, which is not drawn, where it is undefined."""
    return round(float(value), 5) if np.isfinite(value) else None


def _pairs(x: ArrayLike, y: ArrayLike) -> list[list[float | None]]:
    return [[_short(a), _short(b)] for a, b in zip(np.asarray(x), np.asarray(y), strict=True)]


def _line(name: str, data: list, colour: str, *, dashed: bool = False) -> dict[str, Any]:
    style = {"width": 2, "type": "dashed" if dashed else "solid"}
    return {"type": "line", "name": name, "data": data, "showSymbol": False, "lineStyle": style, "color": colour} | (
        {"silent": True, "lineStyle": style | {"width": 1}} if colour == GREY else {}
    )


def _curve(name: str, curve: Curve, colour: str, *, dashed: bool = False) -> dict[str, Any]:
    """A curve whose points are wide, unseen targets for the pointer."""
    triples = zip(curve.x, curve.y, np.minimum(curve.thresholds, 1), strict=True)
    data = [[_short(x), _short(y), _short(t)] for x, y, t in triples]
    unseen = {"opacity": 0.001, "borderWidth": 0}
    return {
        **_line(name, data, colour, dashed=dashed),
        "showSymbol": True,
        "showAllSymbol": True,
        "symbol": "circle",
        "symbolSize": 14,
        "itemStyle": unseen,
        "emphasis": {"scale": False, "itemStyle": {"opacity": 0.6}},
        "select": {"itemStyle": unseen},
        "selectedMode": "single",
        "tooltip": {"formatter": "threshold {@[2]}<br>x {@[0]}<br>y {@[1]}"},
    }


def _points(
    name: str, marks: Sequence[tuple[str, Confusion]], kind: str, colour: str, symbol: str, size: int
) -> dict[str, Any]:
    data = [{"name": label, "value": _place(matrix, kind)} for label, matrix in marks]
    plain = {"color": colour, "borderColor": "#ffffff", "borderWidth": 1.5}
    return {
        "type": "scatter",
        "name": name,
        "data": data,
        "symbol": symbol,
        "symbolSize": size,
        "color": colour,
        "itemStyle": plain,
        "select": {"itemStyle": plain},
        "selectedMode": "single" if name == CHOSEN else False,
        "silent": name == CURRENT,
        "z": {CURRENT: 4}.get(name, 6),
        "tooltip": {"formatter": "{b}<br>x {@[0]}<br>y {@[1]}"},
    }


def _place(matrix: Confusion, kind: str) -> list[float | None]:
    if kind == "roc":
        return [_short(1 - matrix.specificity), _short(matrix.sensitivity)]
    return [_short(matrix.sensitivity), _short(matrix.ppv)]


def _chance(kind: str, predictions: Predictions) -> dict[str, Any]:
    """What calling at random gives: the diagonal, or a PPV of the prevalence."""
    level = predictions.confusion(0.5).prevalence
    ends = [[0, 0], [1, 1]] if kind == "roc" else [[0, _short(level)], [1, _short(level)]]
    return _line("chance", ends, GREY, dashed=True)


def _shares(counts: ArrayLike) -> np.ndarray:
    counts = np.asarray(counts)
    return 100 * counts / max(int(counts.sum()), 1)


def _steps(name: str, colour: str, edges: ArrayLike, shares: np.ndarray) -> dict[str, Any]:
    return {
        **_line(name, _pairs(edges, np.append(shares, shares[-1])), colour),
        "step": "end",
        "areaStyle": {"color": colour, "opacity": 0.25},
        "silent": True,
    }


def _places(top: float) -> dict[str, Any]:
    """Unseen columns side by side over the whole plot, as targets for the pointer."""
    unseen = {"color": GREEN, "opacity": 0.001}
    return {
        "type": "bar",
        "name": PLACES,
        "data": [[_short(x), top] for x in _PLACES.tolist()],
        "barCategoryGap": 0,
        "itemStyle": unseen,
        "emphasis": {"itemStyle": {"opacity": 0.5}},
        "select": {"itemStyle": unseen},
        "selectedMode": "single",
        "tooltip": {"formatter": "threshold {@[0]}"},
    }


def _rules(places: Mapping[str, float]) -> dict[str, Any]:
    """Upright lines at named places along x."""
    lines = [{"xAxis": _short(x), "label": {"formatter": name}} for name, x in places.items()]
    style = {"color": GREEN, "width": 2, "type": "solid"}
    label = {"position": "end", "color": "inherit"}
    return {"symbol": "none", "silent": True, "animation": False, "data": lines, "lineStyle": style, "label": label}
