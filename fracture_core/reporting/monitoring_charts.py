"""Draw an audit log month by month: films a day, the share of each answer, and the stability of scores."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from fracture_core.evaluation.monitoring import ANSWERS
from fracture_core.reporting.chart_theme import BLUE, GREEN, GREY, PURPLE, VERMILION, chart, line, rounded

_COLOURS = dict(zip(ANSWERS, (GREEN, BLUE, VERMILION, GREY), strict=True))
#: By custom: below the first the scores are stable, above the second they have moved.
STABLE, MOVED = 0.1, 0.25


def films_chart(months: pd.DataFrame, marks: Sequence[pd.Timestamp] = ()) -> go.Figure:
    """Draw the films per day of each month.

    Args:
        months: What `monitoring.monthly` returned.
        marks: Times of changes, drawn as lines across.

    Returns:
        The chart.
    """
    bars = go.Bar(x=months.index, y=rounded(months["films_a_day"]), marker_color=BLUE, name="films a day")
    return _marked(chart([bars], "", "films a day", legend=False), marks)


def answers_chart(months: pd.DataFrame, marks: Sequence[pd.Timestamp] = ()) -> go.Figure:
    """Draw the share of each category by month, stacked.

    Args:
        months: What `monitoring.monthly` returned.
        marks: Times of changes, drawn as lines across.

    Returns:
        The chart.
    """
    bars = [
        go.Bar(
            x=months.index,
            y=rounded(months[answer]),
            name=answer,
            marker_color=_COLOURS[answer],
            hovertemplate="%{x|%b %Y}<br>%{y:.1%}",
        )
        for answer in ANSWERS
    ]
    figure = chart(bars, "", "share of films", y_range=(0, 1)).update_layout(barmode="stack")
    return _marked(figure.update_yaxes(tickformat=".0%"), marks)


def stability_chart(months: pd.DataFrame, marks: Sequence[pd.Timestamp] = ()) -> go.Figure:
    """Draw the population stability index by month.

    Args:
        months: What `monitoring.monthly` returned.
        marks: Times of changes, drawn as lines across.

    Returns:
        The chart.
    """
    psi = line("PSI", range(len(months)), months["psi"], PURPLE, mode="lines+markers")
    psi.x = list(months.index)
    figure = chart([psi], "", "stability index", legend=False).update_yaxes(rangemode="tozero")
    for level in (STABLE, MOVED):
        figure.add_hline(y=level, line={"color": GREY, "width": 1, "dash": "dash"})
    return _marked(figure, marks)


def _marked(figure: go.Figure, marks: Sequence[pd.Timestamp]) -> go.Figure:
    for mark in marks:
        figure.add_vline(x=mark.tz_localize(None), line={"color": VERMILION, "width": 2})
    return figure
