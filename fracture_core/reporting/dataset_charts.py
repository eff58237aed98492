"""The dataset page's plots as Apache ECharts options: plain dicts without colours for text or background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fracture_core.metrics.intervals import IntervalEstimate
from fracture_core.metrics.localisation import PointingRow

# Okabe and Ito (2008), told apart by the colour-blind and on dark and light pages alike.
BLUE, VERMILION, GREY = "#3d94cf", "#e0692a", "#8a959e"
_SEQUENCE = ["#f3e9c6", "#f0b354", "#e0692a", "#7d2f0b"]
_BASE: dict[str, Any] = {"animation": False, "tooltip": {"trigger": "item", "confine": True}}


def class_bars(classes: pd.DataFrame) -> dict[str, Any]:
    """Give stacked bars of both classes, a bar a group, from `survey.classes_by_part` and its kin."""
    series = [
        {
            "type": "bar",
            "stack": "n",
            "name": name,
            "data": classes[name].tolist(),
            "color": colour,
            "label": {"show": name == "fractured", "position": "insideLeft", "formatter": "{c}", "color": "#000"},
        }
        for name, colour in (("fractured", VERMILION), ("not fractured", BLUE))
    ]
    names = [f"{group}, n = {n}" for group, n in zip(classes["group"], classes["n"], strict=True)]
    return _sideways(names, "radiographs") | {"series": series, "legend": {"top": 0}}


def share_dots(classes: pd.DataFrame) -> dict[str, Any]:
    """Give the fractured share of each group (per cent) with its 95 % interval; groups without a rate stay empty."""
    rates = [IntervalEstimate(*row) for row in classes[["share", "low", "high"]].itertuples(index=False)]
    series = _dots("fractured", rates, VERMILION, range(len(rates)))
    groups = [str(group) for group in classes["group"]]
    option = _sideways(groups, "% fractured, with 95 % interval")
    # A whisker that leaves the plot would not be drawn at all.
    option["xAxis"] |= {"max": 5 * float(np.ceil(20 * classes["high"].max())) if classes["high"].notna().any() else 100}
    return option | {"series": [series]}


def part_bars(parts: pd.DataFrame) -> dict[str, Any]:
    """Give, for each part of the split, the share (per cent) of each body part, from `survey.parts_by_split`."""
    colours = (BLUE, VERMILION, "#1fa181", "#c27ba8")
    series = [
        {"type": "bar", "name": name, "data": (100 * parts[name]).round(1).tolist(), "color": colour}
        for name, colour in zip(parts.columns, colours, strict=False)
    ]
    return _sideways([str(name) for name in parts.index], "% of the radiographs") | {
        "series": series,
        "legend": {"top": 0},
    }


def size_bars(sizes: pd.DataFrame) -> dict[str, Any]:
    """Give the number of pictures of each size, on a logarithmic axis, because two sizes have most of them."""
    series = {
        "type": "bar",
        "name": "pictures",
        "data": sizes["n"].tolist(),
        "color": BLUE,
        "label": {"show": True, "position": "right", "color": "inherit"},
    }
    option = _sideways(sizes["size"].tolist(), "pictures (logarithmic)")
    option["xAxis"] |= {"type": "log", "min": 0.5}
    return option | {"series": [series]}


def box_size_bars(box_sizes: Sequence[float]) -> dict[str, Any]:
    """Give how many radiographs have a largest box of each size, in steps of 2 % of the picture's side."""
    shares = 100 * np.asarray(box_sizes, float)
    shares = shares[np.isfinite(shares)]
    edges = np.arange(0, max(shares.max(initial=2), 2) + 2, 2)
    counts, _ = np.histogram(shares, edges)
    names = [f"{low:.0f}–{low + 2:.0f}" for low in edges[:-1]]
    axis = {"type": "category", "data": names, "name": "side of the box, % of the picture's side"}
    return _BASE | {
        "grid": {"left": 48, "right": 16, "top": 16, "bottom": 48},
        "xAxis": axis | {"nameLocation": "middle", "nameGap": 28},
        "yAxis": {"type": "value", "name": "radiographs", "nameLocation": "middle", "nameGap": 34},
        "series": [{"type": "bar", "name": "radiographs", "data": counts.tolist(), "color": BLUE, "barCategoryGap": 1}],
    }


def place_map(places: np.ndarray) -> dict[str, Any]:
    """Give how many boxes cover each cell of the picture, from `survey.box_places`; top row on top."""
    rows, columns = places.shape
    cells = [[x, rows - 1 - y, int(places[y, x])] for y in range(rows) for x in range(columns)]
    side = {"type": "category", "axisTick": {"show": False}, "axisLabel": {"show": False}}
    return _BASE | {
        "grid": {"left": 28, "right": 8, "top": 8, "bottom": 64},
        "xAxis": side | {"data": list(range(columns)), "name": "left to right", "nameLocation": "middle", "nameGap": 8},
        "yAxis": side | {"data": list(range(rows)), "name": "bottom to top", "nameLocation": "middle", "nameGap": 8},
        "visualMap": {"min": 0, "max": int(places.max(initial=1)), "calculable": False, "orient": "horizontal"}
        | {"left": "center", "bottom": 0, "inRange": {"color": _SEQUENCE}, "text": ["boxes", ""]},
        "series": [{"type": "heatmap", "name": "boxes that cover this place", "data": cells}],
    }


def pointing_dots(rows: Sequence[PointingRow], method: str) -> dict[str, Any]:
    """Give how often (per cent, with 95 % interval) the hottest point and the picture's middle lie in a box."""
    names = [name for row in rows for name in (f"{row.name}, n = {row.n}", "middle")]
    places = range(0, len(names), 2)
    series = [
        _dots(method, [row.pointing for row in rows], VERMILION, places),
        _dots("the picture's middle", [row.centre_pointing for row in rows], GREY, [place + 1 for place in places]),
    ]
    option = _sideways(names, "% in a box, with 95 % interval")
    option["xAxis"] |= {"max": 100}
    return option | {"series": series, "legend": {"top": 0}}


def _dots(name: str, rates: Sequence[IntervalEstimate], colour: str, places: Sequence[int]) -> dict[str, Any]:
    """Dots with whiskers on the given places of a category axis, in per cent; what is undefined is not drawn."""
    known = [(place, rate) for place, rate in zip(places, rates, strict=True) if rate.defined]
    bars = [[{"coord": [round(100 * edge, 1), place]} for edge in (rate.low, rate.high)] for place, rate in known]
    style = {"color": colour, "type": "solid", "width": 2.5, "opacity": 0.6}
    return {
        "type": "scatter",
        "name": name,
        "data": [[round(100 * rate.value, 1), place] for place, rate in known],
        "color": colour,
        "symbolSize": 12,
        "tooltip": {"formatter": f"{name}: {{@[0]}} %"},
        "markLine": {"symbol": "none", "silent": True, "animation": False, "data": bars, "lineStyle": style}
        | {"label": {"show": False}},
    }


def _sideways(names: Sequence[str], figure: str) -> dict[str, Any]:
    """A category axis top to bottom, the figure left to right."""
    return _BASE | {
        "grid": {"left": 8, "right": 40, "top": 34, "bottom": 30, "containLabel": True},
        "yAxis": {"type": "category", "data": list(names), "inverse": True},
        "xAxis": {"type": "value", "min": 0, "name": figure, "nameLocation": "middle", "nameGap": 26},
    }
