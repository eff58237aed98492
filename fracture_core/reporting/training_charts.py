"""Learning curves as Apache ECharts options; colours and dress as in `fracture_core.reporting.threshold_charts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fracture_core.reporting.threshold_charts import BLUE, GREEN, GREY, PURPLE, VERMILION

_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, GREY)
_DASHES = ("solid", "dashed", "dotted")
_MOST_POINTS = 400

History = Sequence[Mapping[str, float]]


def loss_chart(history: History, live: Sequence[tuple[float, float]] = ()) -> dict[str, Any]:
    """Give the loss by epoch: live (epochs so far, loss) as it comes, and val's after each epoch.

    They are not one figure: training's is the whole objective, boxes and smoothing included, val's the image's
    cross-entropy alone, so that recipes can be compared.
    """
    train = [[row["epoch"], _short(row["loss"])] for row in history if "loss" in row]
    val = [[row["epoch"], _short(row["val_loss"])] for row in history if "val_loss" in row]
    series = [
        _line("batches", [[_short(x), _short(y)] for x, y in _thinned(live)], GREY, width=1, symbol=False),
        _line("training objective", train, BLUE),
        _line("validation cross-entropy", val, VERMILION, dash="dashed"),
    ]
    return _frame("epoch", "loss", [one for one in series if one["data"]])


def auc_chart(history: History) -> dict[str, Any]:
    """Give val's AUC and average precision by epoch."""
    names = {"val_auc": ("AUC", BLUE, "solid"), "val_ap": ("average precision", GREEN, "dashed")}
    series = [
        _line(name, [[row["epoch"], _short(row[key])] for row in history if key in row], colour, dash=dash)
        for key, (name, colour, dash) in names.items()
    ]
    return _frame("epoch", "validation", series)


def overlaid(histories: Mapping[str, History], key: str, title: str) -> dict[str, Any]:
    """Give one figure of several runs by epoch, by the runs' names."""
    series = []
    for place, (name, history) in enumerate(histories.items()):
        data = [[row["epoch"], _short(row[key])] for row in history if key in row]
        dash = _DASHES[place // len(_COLOURS) % len(_DASHES)]
        series.append(_line(name, data, _COLOURS[place % len(_COLOURS)], dash=dash))
    return _frame("epoch", title, series)


def _line(
    name: str, data: list, colour: str, *, dash: str = "solid", width: int = 2, symbol: bool = True
) -> dict[str, Any]:
    style = {"width": width, "type": dash}
    shown = {"showSymbol": symbol, "symbol": "circle", "symbolSize": 6}
    return {"type": "line", "name": name, "data": data, "color": colour, "lineStyle": style, **shown}


def _frame(x: str, y: str, series: list[dict[str, Any]]) -> dict[str, Any]:
    names = [one["name"] for one in series]
    bottom = 40 + 22 * (1 + len(names) // 3)  # room for the legend's lines
    return {
        "animation": False,
        "grid": {
            "left": 62,
            "right": 16,
            "top": 18,
            "bottom": bottom,
            "outerBoundsMode": "none",
        },
        "tooltip": {"trigger": "item", "confine": True},
        "xAxis": {"type": "value", "min": 0, "minInterval": 1, "name": x, "nameLocation": "middle", "nameGap": 24},
        "yAxis": {"type": "value", "scale": True, "name": y, "nameLocation": "middle", "nameGap": 40},
        "legend": {"data": names, "bottom": 0, "itemWidth": 14, "type": "plain"},
        "series": series,
    }


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """At most some hundreds, evenly taken: a plot has no more pixels."""
    step = -(-len(points) // _MOST_POINTS)
    return points[:: max(step, 1)]


def _short(value: float) -> float | None:
    """Five digits, or None, which is not drawn, where it is no number."""
    return round(float(value), 5) if value == value else None
