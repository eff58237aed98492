"""Does the heatmap point at the fracture? Heatmaps against the radiologists' boxes, beside a centre baseline.

`heatmap` is float32 (H, W) in units of evidence; `boxes` float32 (n, 4), x, y, width, height in pixels of the
radiograph, of which a pixel belongs to a box when its centre does. Fractures are often near the middle of the
picture, so each figure stands beside the one a map gets that knows the middle and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.metrics.confusion import MetricsError
from fracture_core.metrics.intervals import IntervalEstimate, mean_estimate, wilson

#: A map is compared with the boxes where it is above this share of its own greatest value.
LEVEL = 0.5


def _checked_map(heatmap: ArrayLike) -> NDArray[np.floating]:
    heatmap = np.asarray(heatmap)
    if heatmap.ndim != 2 or not heatmap.size or not np.isfinite(heatmap).all():
        raise MetricsError("A heatmap must be a picture of finite numbers.")
    return heatmap


def _checked_boxes(boxes: ArrayLike) -> NDArray[np.float64]:
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4) if np.size(boxes) else np.empty((0, 4))
    if not np.isfinite(boxes).all() or (boxes[:, 2:] < 0).any():
        raise MetricsError("A box must be four finite numbers, x, y, width and height, and not turned inside out.")
    return boxes


def boxes_mask(shape: tuple[int, int], boxes: ArrayLike) -> NDArray[np.bool_]:
    """Give the union of the boxes as bool (H, W); a box thinner than a pixel still covers one, outside parts none."""
    mask = np.zeros(shape, dtype=bool)
    boxes = _checked_boxes(boxes)
    starts = np.ceil(boxes[:, :2] - 0.5)
    stops = np.maximum(np.ceil(boxes[:, :2] + boxes[:, 2:] - 0.5), starts + 1)
    limits = np.array([shape[1], shape[0]])
    starts, stops = (np.clip(edges, 0, limits).astype(int) for edges in (starts, stops))
    for (left, top), (right, bottom) in zip(starts, stops, strict=True):
        mask[top:bottom, left:right] = True
    return mask


def hottest_point(heatmap: ArrayLike) -> tuple[int, int] | None:
    """Give the (x, y) pixel of greatest evidence; None where nothing is above zero, or all of it is the same.

    Of several equal pixels it is the one nearest to their mean position: the middle of a plateau.
    """
    heatmap = _checked_map(heatmap)
    top = heatmap.max()
    if top <= 0 or top == heatmap.min():
        return None
    points = np.argwhere(heatmap == top)
    y, x = points[np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1))]
    return int(x), int(y)


def hottest_point_in_box(heatmap: ArrayLike, boxes: ArrayLike) -> bool:
    """Play the pointing game (Zhang et al. 2018, without a margin): a map that points nowhere has missed."""
    heatmap = _checked_map(heatmap)
    point = hottest_point(heatmap)
    return point is not None and bool(boxes_mask(heatmap.shape, boxes)[point[1], point[0]])


def centre_in_box(shape: tuple[int, int], boxes: ArrayLike) -> bool:
    """Whether the middle pixel of a picture of `shape` (H, W) lies in a box: the pointing game's baseline."""
    return bool(boxes_mask(shape, boxes)[shape[0] // 2, shape[1] // 2])


def energy_in_boxes(heatmap: ArrayLike, boxes: ArrayLike) -> float:
    """Give the share, 0..1, of the positive evidence that lies in the boxes (Wang et al. 2020, Score-CAM).

    A map without positive evidence puts none of it there: 0, not a case to leave out.
    """
    heatmap = _checked_map(heatmap)
    positive = np.maximum(heatmap, 0)
    total = positive.sum(dtype=np.float64)
    return float(positive[boxes_mask(heatmap.shape, boxes)].sum(dtype=np.float64) / total) if total else 0.0


def iou_above(heatmap: ArrayLike, boxes: ArrayLike, level: float) -> float:
    """Give intersection over union, 0..1, of {evidence > level} with the union of the boxes; 0 where both are empty.

    `level` is in the map's own units of evidence.
    """
    heatmap = _checked_map(heatmap)
    inside, above = boxes_mask(heatmap.shape, boxes), heatmap > level
    union = (inside | above).sum()
    return float((inside & above).sum() / union) if union else 0.0


def iou(heatmap: ArrayLike, boxes: ArrayLike, level: float = LEVEL) -> float:
    """Give `iou_above` a share `level` (0..1) of the map's own greatest value; 0 where nothing is above zero."""
    top = float(_checked_map(heatmap).max())
    return iou_above(heatmap, boxes, level * top) if top > 0 else 0.0


def centre_map(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Give the baseline map: a bell round the picture's middle, its sigma a quarter of each side; float32 (H, W)."""
    down, across = (np.exp(-8 * ((np.arange(side) - side // 2) / side) ** 2) for side in shape)
    return np.outer(down, across).astype(np.float32)


def box_size(shape: tuple[int, int], boxes: ArrayLike) -> float:
    """Give the side of the largest box as a share of the picture's: sqrt(box area / picture area)."""
    boxes = _checked_boxes(boxes)
    return float(np.sqrt((boxes[:, 2] * boxes[:, 3]).max(initial=0) / (shape[0] * shape[1])))


@dataclass(frozen=True)
class Localization:
    """How one heatmap did against the boxes of its radiograph, beside the centre map."""

    image_id: str
    box_size: float
    hit: bool
    energy: float
    iou: float
    centre_hit: bool
    centre_energy: float
    centre_iou: float


def localization(image_id: str, heatmap: ArrayLike, boxes: ArrayLike, level: float = LEVEL) -> Localization:
    """Score one heatmap; raise MetricsError where there are no boxes to hold it against."""
    heatmap, boxes = _checked_map(heatmap), _checked_boxes(boxes)
    if not len(boxes):
        raise MetricsError(f"{image_id} has no boxes to hold a heatmap against.")
    centre = centre_map(heatmap.shape)
    return Localization(
        image_id,
        box_size(heatmap.shape, boxes),
        hottest_point_in_box(heatmap, boxes),
        energy_in_boxes(heatmap, boxes),
        iou(heatmap, boxes, level),
        centre_in_box(heatmap.shape, boxes),
        energy_in_boxes(centre, boxes),
        iou(centre, boxes, level),
    )


@dataclass(frozen=True)
class LocalizationRow:
    """The figures of `n` radiographs with boxes of sizes `smallest` to `largest` (shares of the picture's side)."""

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


def _row(name: str, scored: Sequence[Localization]) -> LocalizationRow:
    sizes = [one.box_size for one in scored]
    hits, centre_hits = (sum(getattr(one, of) for one in scored) for of in ("hit", "centre_hit"))

    def mean(of: str) -> IntervalEstimate:
        return mean_estimate([getattr(one, of) for one in scored])

    return LocalizationRow(
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


def size_terciles(sizes: ArrayLike) -> list[tuple[str, NDArray[np.bool_]]]:
    """Give ("small", mask), ("medium", mask), ("large", mask) over box sizes (n,), cut at the thirds."""
    sizes = np.asarray(sizes, dtype=np.float64)
    low, high = np.quantile(sizes, [1 / 3, 2 / 3]) if sizes.size else (0.0, 0.0)
    return [("small", sizes <= low), ("medium", (sizes > low) & (sizes <= high)), ("large", sizes > high)]


def summarize(scored: Sequence[Localization]) -> list[LocalizationRow]:
    """Give the row of all radiographs, then of small, medium and large boxes.

    Rates of hits with Wilson intervals; mean energy and IoU with percentile bootstraps over radiographs.
    """
    parts = size_terciles([one.box_size for one in scored])
    return [_row("all", scored)] + [_row(name, [scored[i] for i in np.flatnonzero(mask)]) for name, mask in parts]


@dataclass(frozen=True)
class PointingRow:
    """How often the hottest point, and the picture's middle, lay in a box, for boxes of one size."""

    name: str
    n: int
    smallest: float
    largest: float
    pointing: IntervalEstimate
    centre_pointing: IntervalEstimate


def pointing_by_size(hits: ArrayLike, centre_hits: ArrayLike, sizes: ArrayLike) -> list[PointingRow]:
    """Give the pointing game from a bundle's own columns: hits 0/1 (n,), centre_hits 0/1 (n,), box sizes (n,)."""
    hits, centre_hits, sizes = (np.asarray(a, dtype=np.float64) for a in (hits, centre_hits, sizes))
    if not hits.shape == centre_hits.shape == sizes.shape:
        raise MetricsError("Hits, centre hits and box sizes must be columns of one table.")
    rows = []
    for name, mask in [("all", np.ones(sizes.shape, dtype=bool)), *size_terciles(sizes)]:
        n, inside = int(mask.sum()), sizes[mask]
        smallest, largest = (inside.min(), inside.max()) if n else (np.nan, np.nan)
        found, middle = wilson(int(hits[mask].sum()), n), wilson(int(centre_hits[mask].sum()), n)
        rows.append(PointingRow(name, n, float(smallest), float(largest), found, middle))
    return rows
