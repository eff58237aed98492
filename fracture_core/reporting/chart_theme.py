"""Style all charts alike: colours that colour-blind people can tell apart, and a common frame.

`in_theme` gives a chart the page's colours. On the page its background is clear; a PNG of it has the page's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from fracture_core.metrics.intervals import IntervalEstimate

# Okabe and Ito (2008), a little lighter or darker so that each stands out on a dark and on a light page.
BLUE, VERMILION, GREEN, PURPLE, GREY = "#3d94cf", "#e0692a", "#1fa181", "#c27ba8", "#8a959e"
AMBER = "#e69f00"
#: For several runs or models on one chart, in this order; then again with the next dash.
SERIES = (BLUE, VERMILION, GREEN, PURPLE, GREY)
DASHES = ("solid", "dash", "dot", "dashdot")
#: Few to many, for maps of counts.
SEQUENCE = ((0.0, "#f3e9c6"), (0.35, "#f0b354"), (0.7, "#e0692a"), (1.0, "#7d2f0b"))
#: What the charts offer in the browser: a PNG of what is seen, and the way back after a zoom.
CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "displayNotifier": False,  # its words are too faint on a light page
    "modeBarButtons": [["toImage", "resetScale2d"]],
    "toImageButtonOptions": {"format": "png", "scale": 2},
    "doubleClick": "reset",
}
#: Colour of text and of the background on a dark and on a light page, as in .streamlit/.
INK = {"dark": "#e3e9ee", "light": "#0b131a"}
PAPER = {"dark": "#0f1418", "light": "#fbfcfd"}
#: Name of annotations that stand on the page's colour, because points lie under them.
FILM_NAME = "film"
_GRID, _CLEAR = "rgba(138, 149, 158, 0.25)", "rgba(0, 0, 0, 0)"


def chart(
    traces: Sequence[go.Scatter | go.Bar | go.Heatmap],
    x: str,
    y: str,
    *,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    legend: bool = True,
) -> go.Figure:
    """Return a figure of the traces in the shared frame.

    Args:
        traces: What is drawn, in this order.
        x: Title of the horizontal axis.
        y: Title of the vertical axis; empty where its ticks say enough.
        x_range: Ends of the horizontal axis, or None to fit the data.
        y_range: Ends of the vertical axis, or None to fit the data.
        legend: Whether the traces' names stand below the chart.

    Returns:
        A figure without a background. A drag does not zoom: on a phone it scrolls the page.
    """
    figure = go.Figure(data=list(traces))
    axis = {"gridcolor": _GRID, "zeroline": False, "fixedrange": True, "automargin": True, "title_standoff": 8}
    figure.update_layout(
        template="none",
        paper_bgcolor=_CLEAR,
        plot_bgcolor=_CLEAR,
        margin={"l": 8, "r": 12, "t": 30, "b": 8},  # above the plot lie the buttons
        xaxis=axis | {"title_text": x, "range": x_range},
        yaxis=axis | {"title_text": y or None, "range": y_range},
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.2, "yanchor": "top", "itemwidth": 30},
        dragmode=False,
        hovermode="closest",
        hoverlabel={"align": "left"},
        bargap=0.25,
        uirevision="kept",
    )
    return figure


def in_theme(figure: go.Figure, theme: str) -> go.Figure:
    """Return a figure with the colours of a page.

    Args:
        figure: The figure, changed in place.
        theme: "dark" or "light".

    Returns:
        The figure.
    """
    ink = INK.get(theme, INK["dark"])
    hover = {"bgcolor": "#182027" if theme == "dark" else "#ffffff", "font_color": ink, "bordercolor": GREY}
    font = {"color": ink, "family": "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif", "size": 12}
    paper = PAPER.get(theme, PAPER["dark"])
    figure.update_annotations(bgcolor=paper, selector={"name": FILM_NAME})
    return figure.update_layout(font=font, hoverlabel=hover, paper_bgcolor=paper)


def line(name: str, x: ArrayLike, y: ArrayLike, colour: str, *, dash: str = "solid", **options: Any) -> go.Scatter:
    """Return a line.

    Args:
        name: Name of the trace.
        x: Values along x.
        y: Values along y.
        colour: Of the line.
        dash: Plotly's dash style.
        **options: Further options of plotly's Scatter.

    Returns:
        The trace.
    """
    options = {"mode": "lines", "line": {"color": colour, "width": 2, "dash": dash}} | options
    return go.Scatter(name=name, x=rounded(x), y=rounded(y), **options)


def diagonal(name: str, start: Sequence[float] = (0, 0), end: Sequence[float] = (1, 1)) -> go.Scatter:
    """Return a thin dashed line without hover and legend.

    Args:
        name: Name of the trace.
        start: (x, y).
        end: (x, y).

    Returns:
        The trace.
    """
    across, up = np.array([start, end], float).T
    style = {"color": GREY, "width": 1, "dash": "dash"}
    return line(name, across, up, GREY, line=style, hoverinfo="skip", showlegend=False)


def estimate_dots(name: str, groups: Sequence[str], rates: Sequence[IntervalEstimate], colour: str) -> go.Scatter:
    """Return dots with whiskers, one line per group; what is undefined is not drawn.

    Args:
        name: Name of the trace.
        groups: Name of each group.
        rates: Estimate of each group, 0..1, drawn as percentages.
        colour: Of dots and whiskers.

    Returns:
        The trace.
    """
    known = [(group, rate) for group, rate in zip(groups, rates, strict=True) if rate.defined]
    percent = 100 * np.array([(rate.value, rate.low, rate.high) for _, rate in known], float).reshape(-1, 3)
    values, low, high = percent.round(1).T
    whiskers = {"type": "data", "array": (high - values).tolist(), "arrayminus": (values - low).tolist()}
    return go.Scatter(
        name=name,
        x=values.tolist(),
        y=[group for group, _ in known],
        mode="markers",
        marker={"color": colour, "size": 10},
        cliponaxis=False,  # a dot at 100 % is a whole one
        error_x=whiskers | {"color": colour, "thickness": 2, "width": 0},
        customdata=np.stack([low, high], 1).tolist(),
        hovertemplate=f"{name}: %{{x}} % (%{{customdata[0]}} to %{{customdata[1]}})<extra></extra>",
    )


def downwards(figure: go.Figure) -> go.Figure:
    """Order the groups of a horizontal chart from top to bottom.

    Args:
        figure: The figure, changed in place.

    Returns:
        The figure.
    """
    return figure.update_yaxes(autorange="reversed", type="category", showgrid=False)


def upright(figure: go.Figure, places: dict[str, float]) -> go.Figure:
    """Draw a green line across the chart at each named place along x.

    Args:
        figure: The figure, changed in place.
        places: Positions by name.

    Returns:
        The figure.
    """
    for name, place in places.items():
        figure.add_vline(
            x=place, line={"color": GREEN, "width": 2}, annotation={"text": name, "yanchor": "bottom", "yshift": -4}
        )
    figure.update_layout(margin_t=40 if places else 30)
    return figure


def rounded(values: ArrayLike) -> list[float | None]:
    """Round to five digits.

    Args:
        values: Numbers.

    Returns:
        The rounded numbers; None for what is not finite, which is not drawn.
    """
    numbers = np.asarray(values, float).tolist()
    return [round(number, 5) if np.isfinite(number) else None for number in numbers]
