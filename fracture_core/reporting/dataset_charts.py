"""Charts of the dataset: classes, splits, sizes, boxes, and how often the heatmap points at the fracture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fracture_core.data.catalogue import PART_NAMES, PARTS, SPLITS, choice_name
from fracture_core.evaluation.feature_map import FeatureMap
from fracture_core.metrics.intervals import IntervalEstimate
from fracture_core.metrics.localisation import PointingRow
from fracture_core.reporting.chart_theme import (
    BLUE,
    FILM_NAME,
    GREEN,
    GREY,
    PURPLE,
    SEQUENCE,
    VERMILION,
    chart,
    downwards,
    estimate_dots,
)

#: What the map can be coloured by, and the colour of each value, in the order of the legend.
COLOURINGS: Mapping[str, Mapping[str, str]] = {
    "Reference label": {"no fracture": BLUE, "fracture": VERMILION},
    "Body part": {
        **{PART_NAMES[part]: colour for part, colour in zip(PARTS, (BLUE, VERMILION, GREEN, PURPLE), strict=True)},
        "several or none": GREY,
    },
    "Split": dict(zip(map(choice_name, SPLITS), (GREY, GREEN, BLUE, PURPLE), strict=True)),
    # FracAtlas does not name the hospital: files of one origin have one size.
    "Source (image size)": {"373 x 454": BLUE, "2304 x 2880": VERMILION, "1760 x 2140": GREEN, "other": GREY},
    "Model's answer": {"no prediction": GREY, "indeterminate": BLUE, "correct": GREEN, "wrong": VERMILION},
}
#: More films than these are named by the pointer only.
_NAMED = 8
#: A longer name is told in full by the pointer.
_LETTERS = 26


def class_bars(classes: pd.DataFrame) -> go.Figure:
    """Draw stacked bars of both classes, one bar per group. Each bar's customdata is (group, class), for a click.

    Args:
        classes: What `classes_by` returned.

    Returns:
        The chart.
    """
    counted = zip(classes["group"], classes["fractured"], classes["n"], strict=True)
    names = [f"{choice_name(group)}: {fractured:,} of {n:,}" for group, fractured, n in counted]
    bars = [
        go.Bar(
            name=name,
            y=names,
            x=classes[name].tolist(),
            orientation="h",
            marker_color=colour,
            customdata=[(str(group), name) for group in classes["group"]],
            hovertemplate=f"%{{y}}<br>{name}: %{{x:,}}<extra></extra>",
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1}},
        )
        for name, colour in (("fractured", VERMILION), ("not fractured", BLUE))
    ]
    return downwards(chart(bars, "radiographs", "")).update_layout(barmode="stack", legend_traceorder="normal")


def share_dots(classes: pd.DataFrame) -> go.Figure:
    """Draw the fractured share of each group (percentage) with its 95 % interval; groups without a rate stay empty.

    Args:
        classes: What `classes_by` returned.

    Returns:
        The chart.
    """
    rates = [IntervalEstimate(*row) for row in classes[["share", "low", "high"]].itertuples(index=False)]
    groups = [choice_name(group) for group in classes["group"]]
    dots = estimate_dots("fractured", groups, rates, VERMILION)
    figure = downwards(chart([dots], "% fractured, with 95 % interval", "", legend=False)).update_xaxes(
        rangemode="tozero"
    )
    return figure.update_yaxes(categoryorder="array", categoryarray=groups, range=(len(groups) - 0.5, -0.5))


def part_bars(parts: pd.DataFrame) -> go.Figure:
    """Draw, for each split, the share (percentage) of each body part.

    Args:
        parts: What `parts_by_split` returned.

    Returns:
        The chart.
    """
    colours = (BLUE, VERMILION, GREEN, PURPLE)
    splits = [choice_name(name) for name in parts.index]
    bars = [
        go.Bar(
            name=choice_name(name),
            y=splits,
            x=(100 * parts[name]).round(1).tolist(),
            orientation="h",
            marker_color=colour,
        )
        for name, colour in zip(parts.columns, colours, strict=False)
    ]
    return downwards(chart(bars, "% of the radiographs", ""))


def size_bars(sizes: pd.DataFrame) -> go.Figure:
    """Draw the number of images of each size, on a logarithmic axis, because two sizes dominate.

    Args:
        sizes: What `sizes` returned.

    Returns:
        The chart.
    """
    counts = sizes["n"].tolist()
    bars = go.Bar(
        name="images", y=sizes["size"].tolist(), x=counts, orientation="h", marker_color=BLUE, text=counts,
        textposition="auto",
    )  # fmt: skip
    figure = downwards(chart([bars], "images (logarithmic)", "", legend=False))
    return figure.update_xaxes(type="log", dtick=1, range=(np.log10(0.5), np.log10(2 * max(counts, default=1))))


def box_size_bars(box_sizes: Sequence[float]) -> go.Figure:
    """Draw how many radiographs have a largest box of each size, in steps of 2 % of the image's side.

    Args:
        box_sizes: Shares 0..1.

    Returns:
        The chart.
    """
    shares = 100 * np.asarray(box_sizes, float)
    shares = shares[np.isfinite(shares)]
    edges = np.arange(0, max(shares.max(initial=2), 2) + 2, 2)
    counts, _ = np.histogram(shares, edges)
    bars = go.Bar(
        name="radiographs",
        x=(edges[:-1] + 1).tolist(),
        y=counts.tolist(),
        marker_color=BLUE,
        customdata=[f"{low:.0f} to {low + 2:.0f} %" for low in edges[:-1]],
        hovertemplate="%{customdata}: %{y} radiographs<extra></extra>",
    )
    return chart([bars], "side of the box, % of the image's side", "radiographs", legend=False).update_layout(
        bargap=0.05
    )


def place_map(places: np.ndarray) -> go.Figure:
    """Draw how many boxes cover each cell of the image, top row first.

    Args:
        places: What `box_places` returned.

    Returns:
        The chart.
    """
    cells = go.Heatmap(
        z=np.asarray(places, int).tolist(),
        colorscale=[list(stop) for stop in SEQUENCE],
        zmin=0,
        colorbar={"title": {"text": "boxes"}, "thickness": 12},
        hovertemplate="%{z} boxes cover this place<extra></extra>",
    )
    figure = chart([cells], "left to right", "bottom to top", legend=False)
    return figure.update_yaxes(autorange="reversed", showticklabels=False).update_xaxes(showticklabels=False)


def pointing_dots(rows: Sequence[PointingRow], method: str) -> go.Figure:
    """Draw how often (percentage with 95 % interval) the hottest point and the image centre lie in a box.

    Args:
        rows: The rows of one method.
        method: Its title.

    Returns:
        The chart.
    """
    names = [f"{row.name}, n = {row.n}" for row in rows]
    dots = [
        estimate_dots(method, names, [row.pointing for row in rows], VERMILION),
        estimate_dots("image centre", names, [row.centre_pointing for row in rows], GREY),
    ]
    figure = downwards(chart(dots, "% in a box, with 95 % interval", ""))
    return figure.update_xaxes(range=(0, 100)).update_layout(scattermode="group")


def map_chart(
    feature_map: FeatureMap, table: pd.DataFrame, method: str, colouring: str, others: Mapping[str, np.ndarray]
) -> go.Figure:
    """Draw the map of the images.

    Args:
        feature_map: Where each image lies.
        table: A catalogue with outcomes; to be coloured by source, with width and height in pixels too.
        method: One of `feature_map.METHODS`.
        colouring: One of COLOURINGS.
        others: Features of other films by name, such as those open on the Diagnose page.

    Returns:
        The chart; each point's customdata is its image id, and a lasso selects points.
    """
    values = _values(table.loc[list(feature_map.ids)], colouring)
    places, ids = feature_map.places[method], np.array(feature_map.ids)
    traces = []
    for value, colour in COLOURINGS[colouring].items():
        chosen = np.flatnonzero(values == value)
        traces.append(
            go.Scattergl(
                name=value,
                x=places[chosen, 0].round(3).tolist(),
                y=places[chosen, 1].round(3).tolist(),
                mode="markers",
                marker={"color": colour, "size": 5, "opacity": 0.75},
                customdata=ids[chosen].tolist(),
                hovertemplate=f"%{{customdata}}<br>{value}<extra></extra>",
            )
        )
    if others:
        spots = np.array([feature_map.place(features, method) for features in others.values()])
        mark = {"color": PURPLE, "size": 17, "symbol": "star", "line": {"color": "#ffffff", "width": 1}}
        traces.append(
            go.Scattergl(
                name="your films",
                x=spots[:, 0].tolist(),
                y=spots[:, 1].tolist(),
                mode="markers",
                marker=mark,
                text=list(others),
                hovertemplate="%{text}<extra></extra>",
            )
        )
    figure = chart(traces, "", "").update_layout(dragmode="lasso", legend_y=-0.02)
    if 0 < len(others) <= _NAMED:
        _name_films(figure, list(others), spots, places)
    return figure.update_xaxes(showticklabels=False).update_yaxes(showticklabels=False)


def _name_films(figure: go.Figure, names: Sequence[str], spots: np.ndarray, places: np.ndarray) -> None:
    """Write each film's name above its star, towards the middle of the chart, so that no edge cuts it off."""
    left, right = places[:, 0].min(), places[:, 0].max()
    for name, (x, y) in zip(names, spots.tolist(), strict=True):
        along = (x - left) / (right - left or 1)
        figure.add_annotation(
            name=FILM_NAME,
            x=x,
            y=y,
            text=escape(name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"),
            showarrow=False,
            xanchor="left" if along < 1 / 3 else "right" if along > 2 / 3 else "center",
            yshift=18,
            borderpad=2,
        )


def _values(table: pd.DataFrame, colouring: str) -> np.ndarray:
    if colouring == "Reference label":
        return np.where(table["label"] == 1, "fracture", "no fracture")
    if colouring == "Split":
        return table["split"].map(choice_name).to_numpy(str)
    if colouring == "Body part":
        shown = table[list(PARTS)].to_numpy() > 0
        names = np.array([PART_NAMES[part] for part in PARTS])[shown.argmax(axis=1)]
        return np.where(shown.sum(axis=1) == 1, names, "several or none")
    if colouring == "Source (image size)":
        sides = np.sort(table[["width", "height"]].to_numpy(int), axis=1)
        names = np.array([f"{short} x {long}" for short, long in sides])
        return np.where(np.isin(names, list(COLOURINGS[colouring])), names, "other")
    outcome = table["outcome"].to_numpy(str) if "outcome" in table else np.full(len(table), "")
    return np.where(outcome == "", "no prediction", outcome)
