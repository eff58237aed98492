"""Learning curves as they are drawn."""

from __future__ import annotations

from fracture_core.reporting.training_charts import auc_chart, loss_chart, overlaid
from tests.support.runs import HISTORY


def test_learning_curves_draw_every_epoch_and_no_broken_figure():
    chart = loss_chart([*HISTORY, {"epoch": 4.0, "loss": float("nan"), "val_loss": 0.1}], [(0.1, 2.0), (0.2, 1.5)])
    lines = {one.name: list(zip(one.x, one.y, strict=True)) for one in chart.data}
    assert lines["batches"] == [(0.1, 2.0), (0.2, 1.5)]
    assert lines["training objective"][-1] == (4.0, None) and lines["validation cross-entropy"][1] == (2.0, 0.6)
    assert "NaN" not in chart.to_json()
    (batches,) = loss_chart([], [(k / 100, 1.0) for k in range(5000)]).data
    assert batches.name == "batches" and len(batches.x) <= 400
    auc = auc_chart(HISTORY)
    assert list(auc.data[0].y) == [0.6, 0.9, 0.8] and auc.layout.yaxis.range == (0, 1)
    both = overlaid({"a": HISTORY, "b": HISTORY[:1]}, "val_auc", "AUC")
    assert [len(one.x) for one in both.data] == [3, 1] and both.layout.yaxis.range == (0, 1)
    assert len({(one.line.color, one.line.dash) for one in both.data}) == 2
