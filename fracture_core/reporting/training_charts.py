"""Learning curves of a run, and of several runs on one chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from fracture_core.reporting.chart_theme import BLUE, DASHES, GREEN, GREY, SERIES, VERMILION, chart, line

_MOST_POINTS = 400
#: Figures between 0 and 1, drawn on an axis from 0 to 1, so that a rise of a hundredth does not look like a leap.
_SHARES = ("val_auc", "val_ap")

History = Sequence[Mapping[str, float]]


def loss_chart(history: History, live: Sequence[tuple[float, float]] = ()) -> go.Figure:
    """Draw the loss by epoch, of batches as they come and of validation after each epoch.

    They are not the same metric: training's is the whole objective, including boxes and smoothing, validation's only
    the cross-entropy of the image, so that recipes can be compared.

    Args:
        history: One row per epoch, with "epoch", "loss" and "val_loss".
        live: (epochs so far, loss) of each training step.

    Returns:
        The chart.
    """
    step = -(-len(live) // _MOST_POINTS) or 1
    batches = list(live)[::step]
    traces = [
        line("batches", [x for x, _ in batches], [y for _, y in batches], GREY, line={"color": GREY, "width": 1}),
        _of(history, "loss", "training objective", BLUE),
        _of(history, "val_loss", "validation cross-entropy", VERMILION, "dash"),
    ]
    figure = chart([trace for trace in traces if trace.x], "epoch", "loss")
    return figure.update_yaxes(rangemode="tozero").update_xaxes(rangemode="tozero")


def auc_chart(history: History) -> go.Figure:
    """Draw validation AUC and average precision by epoch, on an axis from 0 to 1.

    Args:
        history: One row per epoch.

    Returns:
        The chart.
    """
    traces = [
        _of(history, "val_auc", "AUC", BLUE),
        _of(history, "val_ap", "average precision", GREEN, "dash"),
    ]
    return chart(traces, "epoch", "validation", y_range=(0, 1)).update_xaxes(rangemode="tozero")


def overlaid(histories: Mapping[str, History], key: str, title: str) -> go.Figure:
    """Draw one metric of several runs by epoch.

    Args:
        histories: Histories by the runs' names.
        key: Column of the history, such as "val_auc".
        title: Title of the vertical axis.

    Returns:
        The chart.
    """
    traces = [
        _of(history, key, name, SERIES[place % len(SERIES)], DASHES[place // len(SERIES) % len(DASHES)])
        for place, (name, history) in enumerate(histories.items())
    ]
    figure = chart(traces, "epoch", title, y_range=(0, 1) if key in _SHARES else None).update_xaxes(rangemode="tozero")
    return figure if key in _SHARES else figure.update_yaxes(rangemode="tozero")


def _of(history: History, key: str, name: str, colour: str, dash: str = "solid") -> go.Scatter:
    rows = [row for row in history if key in row]
    return line(
        name, [row["epoch"] for row in rows], [row[key] for row in rows], colour, dash=dash, mode="lines+markers",
        marker={"size": 5}, hovertemplate="epoch %{x}<br>%{y:.3f}",
    )  # fmt: skip
