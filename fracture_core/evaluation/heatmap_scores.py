"""Score heatmaps against the radiologists' boxes, beside the image-centre baseline, and summarise by box size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fracture_core.metrics.confusion import MetricsError
from fracture_core.metrics.intervals import IntervalEstimate, mean_estimate, wilson
from fracture_core.metrics.localisation import (
    LEVEL,
    box_size,
    centre_in_box,
    centre_map,
    checked_boxes,
    checked_map,
    energy_in_boxes,
    hottest_point_in_box,
    iou,
    size_terciles,
)


@dataclass(frozen=True)
class LocalisationScore:
    """How well one heatmap matches the boxes of its radiograph, beside the centre map."""

    image_id: str
    box_size: float
    hit: bool
    energy: float
    iou: float
    centre_hit: bool
    centre_energy: float
    centre_iou: float


def score_heatmap(image_id: str, heatmap: ArrayLike, boxes: ArrayLike, level: float = LEVEL) -> LocalisationScore:
    """Score one heatmap.

    Args:
        image_id: Name of the radiograph.
        heatmap: Evidence, float (H, W).
        boxes: x, y, width, height in pixels, shape (n, 4), at least one.
        level: Share of the maximum for the IoU, 0..1.

    Returns:
        The scores of the heatmap and of the centre map.

    Raises:
        MetricsError: There are no boxes, or the heatmap or the boxes are invalid.
    """
    heatmap, boxes = checked_map(heatmap), checked_boxes(boxes)
    if not len(boxes):
        raise MetricsError(f"{image_id} has no boxes to compare a heatmap with.")
    centre = centre_map(heatmap.shape)
    return LocalisationScore(
        image_id=image_id,
        box_size=box_size(heatmap.shape, boxes),
        hit=hottest_point_in_box(heatmap, boxes),
        energy=energy_in_boxes(heatmap, boxes),
        iou=iou(heatmap, boxes, level),
        centre_hit=centre_in_box(heatmap.shape, boxes),
        centre_energy=energy_in_boxes(centre, boxes),
        centre_iou=iou(centre, boxes, level),
    )


@dataclass(frozen=True)
class LocalisationRow:
    """Metrics of `n` radiographs whose boxes measure `smallest` to `largest` (share of the image side)."""

    name: str
    n: int
    smallest: float
    largest: float
    pointing: IntervalEstimate
    energy: IntervalEstimate
    iou: IntervalEstimate
    centre_pointing: IntervalEstimate
    centre_energy: IntervalEstimate
    centre_iou: IntervalEstimate


def _row(name: str, scored: Sequence[LocalisationScore]) -> LocalisationRow:
    sizes = [score.box_size for score in scored]
    hits, centre_hits = (sum(getattr(score, field) for score in scored) for field in ("hit", "centre_hit"))

    def mean(field: str) -> IntervalEstimate:
        return mean_estimate([getattr(score, field) for score in scored])

    return LocalisationRow(
        name=name,
        n=len(scored),
        smallest=min(sizes, default=np.nan),
        largest=max(sizes, default=np.nan),
        pointing=wilson(hits, len(scored)),
        energy=mean("energy"),
        iou=mean("iou"),
        centre_pointing=wilson(centre_hits, len(scored)),
        centre_energy=mean("centre_energy"),
        centre_iou=mean("centre_iou"),
    )


def summarise(scored: Sequence[LocalisationScore]) -> list[LocalisationRow]:
    """Summarise all radiographs, then those with small, medium and large boxes.

    Hit rates get Wilson intervals; mean energy and IoU percentile bootstraps over radiographs.

    Args:
        scored: The scores of each radiograph.

    Returns:
        Four rows.
    """
    parts = size_terciles([score.box_size for score in scored])
    return [_row("all", scored)] + [
        _row(name, [scored[i] for i in np.flatnonzero(mask).tolist()]) for name, mask in parts
    ]
