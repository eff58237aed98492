"""Draw an audit log month by month: films per day, the share of each answer, the stability of scores and features."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from fracture_core.evaluation.monitoring.audit_history import ANSWERS
from fracture_core.reporting.chart_theme import AMBER, BLUE, GREY, PURPLE, VERMILION, chart, line, rounded

#: The colours of the answers on the Diagnose page.
_COLOURS = dict(zip(ANSWERS, (BLUE, AMBER, VERMILION, PURPLE), strict=True))
#: Width of a month's bar, in milliseconds, and the months that have their name below the chart, at most.
_BAR, _NAMED = 24 * 86_400_000, 8
#: By custom: below the first the scores are stable, above the second they have moved.
STABLE, MOVED = 0.1, 0.25


def films_chart(months: pd.DataFrame, marks: Sequence[pd.Timestamp] = ()) -> go.Figure:
    """Draw the films per day of each month.

    Args:
        months: What `audit_history.monthly` returned.
        marks: Times of changes, drawn as lines across.

    Returns:
        The chart.
    """
    bars = go.Bar(x=months.index, y=rounded(months["films_a_day"]), marker_color=BLUE, width=_BAR, name="films per day")
    return _by_month(chart([bars], "", "films per day", legend=False), months, marks)


def answers_chart(months: pd.DataFrame, marks: Sequence[pd.Timestamp] = ()) -> go.Figure:
    """Draw the share of each category by month, stacked.

    Args:
        months: What `audit_history.monthly` returned.
        marks: Times of changes, drawn as lines across.

    Returns:
        The chart.
    """
    bars = [
        go.Bar(
            x=months.index,
            y=rounded(100 * months[answer]),
            name=answer,
            marker_color=_COLOURS[answer],
            width=_BAR,
            hovertemplate="%{x|%b %Y}<br>%{y:.1f} %",
        )
        for answer in ANSWERS
    ]
    figure = chart(bars, "", "share of films, %", y_range=(0, 100)).update_layout(barmode="stack")
    return _by_month(figure, months, marks)


def stability_chart(months: pd.DataFrame, marks: Sequence[pd.Timestamp] = ()) -> go.Figure:
    """Draw the population stability index by month, of scores and of the feature that moved most.

    Months in which a test shows that something moved have a large diamond.

    Args:
        months: What `audit_history.monthly` returned.
        marks: Times of changes, drawn as lines across.

    Returns:
        The chart.
    """
    drawn = []
    for name, column, colour in (("scores", "psi", PURPLE), ("features", "feature_psi", BLUE)):
        if months[column].notna().any():
            psi = line(name, range(len(months)), months[column], colour, mode="lines+markers")
            psi.x = list(months.index)
            marked = months["moved"].str.contains(name)
            psi.marker = {"symbol": ["diamond" if moved else "circle" for moved in marked], "size": 6 + 6 * marked}
            drawn.append(psi)
    figure = chart(drawn, "", "stability index", legend=len(drawn) > 1).update_yaxes(rangemode="tozero")
    for level in (STABLE, MOVED):
        figure.add_hline(y=level, line={"color": GREY, "width": 1, "dash": "dash"})
    return _by_month(figure, months, marks)


def _by_month(figure: go.Figure, months: pd.DataFrame, marks: Sequence[pd.Timestamp]) -> go.Figure:
    """Name the months below a chart, however few they are, and draw a line at each mark."""
    around = pd.Timedelta(days=20)
    named = months.index[:: -(-len(months) // _NAMED)]
    figure.update_xaxes(
        range=[months.index[0] - around, months.index[-1] + around],
        tickvals=named,
        ticktext=[f"{month:%b %Y}" for month in named],
    )
    for mark in marks:
        figure.add_vline(x=mark.tz_localize(None), line={"color": VERMILION, "width": 2})
    return figure
