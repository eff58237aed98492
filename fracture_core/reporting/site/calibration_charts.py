"""Draw a calibration to a site: answers and probabilities of the films that took no part, before and after."""

from __future__ import annotations

import plotly.graph_objects as go

from fracture_core.evaluation.site_calibration import SiteCalibration
from fracture_core.reporting.chart_theme import BLUE, GREY, PURPLE, VERMILION, chart, diagonal, line

_UNIT = (-0.02, 1.02)


def answers_chart(calibration: SiteCalibration) -> go.Figure:
    """Draw how many held-out films each answer holds, fractured and not, before and after.

    Args:
        calibration: The calibration.

    Returns:
        The chart.
    """
    pairs = list(zip(calibration.before, calibration.after, strict=True))
    names = [[before.triage.capitalize() for before, _ in pairs for _ in range(2)], ["before", "after"] * len(pairs)]
    groups = [group for pair in pairs for group in pair]
    kinds = (
        ("fractured", [group.fractured for group in groups], VERMILION),
        ("not fractured", [group.n - group.fractured for group in groups], BLUE),
    )
    bars = [
        go.Bar(x=names, y=counts, name=name, marker_color=colour, hovertemplate="%{x}<br>%{y} films " + name)
        for name, counts, colour in kinds
    ]
    return chart(bars, "", "held-out films").update_layout(barmode="stack")


def reliability_chart(calibration: SiteCalibration) -> go.Figure:
    """Draw predicted probability against the share that is fractured, before and after.

    Args:
        calibration: The calibration.

    Returns:
        The chart.
    """
    traces = [diagonal("perfect")]
    kinds = (("before", PURPLE, "square"), ("after", BLUE, "circle"))
    for (name, colour, symbol), bins in zip(kinds, calibration.reliability, strict=True):
        traces.append(
            line(
                name,
                [point.mean_probability for point in bins],
                [point.rate.value for point in bins],
                colour,
                mode="lines+markers",
                line={"color": colour, "width": 1.5},
                marker={"symbol": symbol, "size": 9, "line": {"color": GREY, "width": 1}},
                customdata=[point.n for point in bins],
                hovertemplate="predicted %{x:.2f}<br>fractured %{y:.2f}<br>of %{customdata} films",
            )
        )
    return chart(traces, "probability", "share fractured", x_range=_UNIT, y_range=_UNIT)
