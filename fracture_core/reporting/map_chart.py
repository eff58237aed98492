"""The map of the radiographs, coloured by what is known of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fracture_core.data.catalogue import PART_NAMES, PARTS, SPLITS
from fracture_core.evaluation.feature_map import FeatureMap
from fracture_core.reporting.chart_theme import BLUE, GREEN, GREY, PURPLE, VERMILION, chart

#: What the map can be coloured by, and the colour of each value, in the order of the legend.
COLOURINGS: Mapping[str, Mapping[str, str]] = {
    "Reference label": {"no fracture": BLUE, "fracture": VERMILION},
    "Body part": {
        **{PART_NAMES[part]: colour for part, colour in zip(PARTS, (BLUE, VERMILION, GREEN, PURPLE), strict=True)},
        "several or none": GREY,
    },
    "Split": dict(zip(SPLITS, (GREY, GREEN, BLUE, PURPLE), strict=True)),
    "Model's answer": {"correct": GREEN, "wrong": VERMILION, "indeterminate": BLUE, "no prediction": GREY},
}


def map_chart(
    found: FeatureMap, table: pd.DataFrame, method: str, colouring: str, others: Mapping[str, np.ndarray]
) -> go.Figure:
    """Return the map; each point's customdata is its image id, and a lasso selects points.

    Args:
        found: Where each image lies.
        table: A catalogue with outcomes.
        method: One of `feature_map.METHODS`.
        colouring: One of COLOURINGS.
        others: Features of other films by name, such as those open on the Diagnose page.
    """
    values = _values(table.loc[list(found.ids)], colouring)
    places, ids = found.places[method], np.array(found.ids)
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
        spots = np.array([found.place(features, method) for features in others.values()])
        mark = {"color": PURPLE, "size": 15, "symbol": "star", "line": {"color": "#ffffff", "width": 1}}
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
    made = chart(traces, "", "").update_layout(dragmode="lasso")
    return made.update_xaxes(showticklabels=False).update_yaxes(showticklabels=False)


def _values(table: pd.DataFrame, colouring: str) -> np.ndarray:
    if colouring == "Reference label":
        return np.where(table["label"] == 1, "fracture", "no fracture")
    if colouring == "Split":
        return table["split"].to_numpy(str)
    if colouring == "Body part":
        shown = table[list(PARTS)].to_numpy() > 0
        names = np.array([PART_NAMES[part] for part in PARTS])[shown.argmax(axis=1)]
        return np.where(shown.sum(axis=1) == 1, names, "several or none")
    outcome = table["outcome"].to_numpy(str) if "outcome" in table else np.full(len(table), "")
    return np.where(outcome == "", "no prediction", outcome)
