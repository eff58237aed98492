"""Localisation accuracy of heatmaps: compared with the radiologists' boxes and with an image-centre baseline.

`heatmap` is float32 (H, W) in units of evidence; `boxes` float32 (n, 4), x, y, width, height in pixels of the
radiograph; a pixel belongs to a box if its centre does. Fractures are often near the image centre, so each metric is
reported beside that of a map that knows the centre and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.metrics.confusion import MetricsError
from fracture_core.metrics.intervals import IntervalEstimate, wilson

#: A map counts as positive above this share of its maximum.
LEVEL = 0.5


def checked_map(heatmap: ArrayLike) -> NDArray[np.floating]:
    """Validate a heatmap.

    Args:
        heatmap: Evidence, float (H, W).

    Returns:
        The heatmap as an array.

    Raises:
        MetricsError: It is not a finite two-dimensional array.
    """
    heatmap = np.asarray(heatmap)
    if heatmap.ndim != 2 or not heatmap.size or not np.isfinite(heatmap).all():
        raise MetricsError("A heatmap must be a two-dimensional array of finite numbers.")
    return heatmap


def checked_boxes(boxes: ArrayLike) -> NDArray[np.float64]:
    """Validate boxes.

    Args:
        boxes: x, y, width, height in pixels, shape (n, 4); an empty list means none.

    Returns:
        float64 (n, 4).

    Raises:
        MetricsError: A box is not finite or has a negative size.
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4) if np.size(boxes) else np.empty((0, 4))
    if not np.isfinite(boxes).all() or (boxes[:, 2:] < 0).any():
        raise MetricsError("A box must be four finite numbers, x, y, width and height, without negative sizes.")
    return boxes


def boxes_mask(shape: tuple[int, int], boxes: ArrayLike) -> NDArray[np.bool_]:
    """Return the union of boxes as a mask.

    Args:
        shape: (H, W) in pixels.
        boxes: x, y, width, height in pixels, shape (n, 4).

    Returns:
        bool (H, W). A box thinner than a pixel still covers one; parts outside the image cover none.

    Raises:
        MetricsError: A box is not finite or has a negative size.
    """
    mask = np.zeros(shape, dtype=bool)
    boxes = checked_boxes(boxes)
    starts = np.ceil(boxes[:, :2] - 0.5)
    stops = np.maximum(np.ceil(boxes[:, :2] + boxes[:, 2:] - 0.5), starts + 1)
    limits = np.array([shape[1], shape[0]])
    starts, stops = (np.clip(edges, 0, limits).astype(int) for edges in (starts, stops))
    for (left, top), (right, bottom) in zip(starts, stops, strict=True):
        mask[top:bottom, left:right] = True
    return mask


def hottest_point(heatmap: ArrayLike) -> tuple[int, int] | None:
    """Return the pixel of greatest evidence; of several equal pixels the one nearest to their mean position.

    Args:
        heatmap: Evidence, float (H, W).

    Returns:
        (x, y); None if nothing is above zero or the map is constant.

    Raises:
        MetricsError: The heatmap is not a finite two-dimensional array.
    """
    heatmap = checked_map(heatmap)
    top = heatmap.max()
    if top <= 0 or top == heatmap.min():
        return None
    points = np.argwhere(heatmap == top)
    y, x = points[np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1))]
    return int(x), int(y)


def hottest_point_in_box(heatmap: ArrayLike, boxes: ArrayLike) -> bool:
    """Play the pointing game (Zhang et al. 2018, without a margin): does the hottest point lie in a box?

    Args:
        heatmap: Evidence, float (H, W).
        boxes: x, y, width, height in pixels, shape (n, 4).

    Returns:
        Whether it does; False if the map has no hottest point.

    Raises:
        MetricsError: The heatmap or the boxes are invalid.
    """
    heatmap = checked_map(heatmap)
    point = hottest_point(heatmap)
    return point is not None and bool(boxes_mask(heatmap.shape, boxes)[point[1], point[0]])


def centre_in_box(shape: tuple[int, int], boxes: ArrayLike) -> bool:
    """Return whether the centre pixel lies in a box: the baseline of the pointing game.

    Args:
        shape: (H, W) in pixels.
        boxes: x, y, width, height in pixels, shape (n, 4).

    Returns:
        Whether it does.

    Raises:
        MetricsError: A box is not finite or has a negative size.
    """
    return bool(boxes_mask(shape, boxes)[shape[0] // 2, shape[1] // 2])


def energy_in_boxes(heatmap: ArrayLike, boxes: ArrayLike) -> float:
    """Compute the share of the positive evidence that lies in the boxes (Wang et al. 2020, Score-CAM).

    Args:
        heatmap: Evidence, float (H, W).
        boxes: x, y, width, height in pixels, shape (n, 4).

    Returns:
        The share, 0..1; a map without positive evidence scores 0 rather than being left out.

    Raises:
        MetricsError: The heatmap or the boxes are invalid.
    """
    heatmap = checked_map(heatmap)
    positive = np.maximum(heatmap, 0)
    total = positive.sum(dtype=np.float64)
    return float(positive[boxes_mask(heatmap.shape, boxes)].sum(dtype=np.float64) / total) if total else 0.0


def iou_above(heatmap: ArrayLike, boxes: ArrayLike, level: float) -> float:
    """Compute intersection over union of {evidence > level} with the union of the boxes.

    Args:
        heatmap: Evidence, float (H, W).
        boxes: x, y, width, height in pixels, shape (n, 4).
        level: In the map's units of evidence.

    Returns:
        0..1; 0 if both are empty.

    Raises:
        MetricsError: The heatmap or the boxes are invalid.
    """
    heatmap = checked_map(heatmap)
    inside, above = boxes_mask(heatmap.shape, boxes), heatmap > level
    union = (inside | above).sum()
    return float((inside & above).sum() / union) if union else 0.0


def iou(heatmap: ArrayLike, boxes: ArrayLike, level: float = LEVEL) -> float:
    """Compute `iou_above` at a share of the map's maximum.

    Args:
        heatmap: Evidence, float (H, W).
        boxes: x, y, width, height in pixels, shape (n, 4).
        level: Share of the maximum, 0..1.

    Returns:
        0..1; 0 if nothing is above zero.

    Raises:
        MetricsError: The heatmap or the boxes are invalid.
    """
    top = float(checked_map(heatmap).max())
    return iou_above(heatmap, boxes, level * top) if top > 0 else 0.0


def centre_map(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the baseline map: a Gaussian at the image centre, its sigma a quarter of each side.

    Args:
        shape: (H, W) in pixels.

    Returns:
        float32 (H, W), 0..1.
    """
    down, across = (np.exp(-8 * ((np.arange(side) - side // 2) / side) ** 2) for side in shape)
    return np.outer(down, across).astype(np.float32)


def box_size(shape: tuple[int, int], boxes: ArrayLike) -> float:
    """Return the side of the largest box relative to the image: sqrt(box area / image area).

    Args:
        shape: (H, W) in pixels.
        boxes: x, y, width, height in pixels, shape (n, 4).

    Returns:
        0..1.

    Raises:
        MetricsError: A box is not finite or has a negative size.
    """
    boxes = checked_boxes(boxes)
    return float(np.sqrt((boxes[:, 2] * boxes[:, 3]).max(initial=0) / (shape[0] * shape[1])))


def size_terciles(sizes: ArrayLike) -> list[tuple[str, NDArray[np.bool_]]]:
    """Divide box sizes into thirds.

    Args:
        sizes: Box sizes, shape (n,).

    Returns:
        ("small", mask), ("medium", mask), ("large", mask), each mask bool (n,).
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    low, high = np.quantile(sizes, [1 / 3, 2 / 3]) if sizes.size else (0.0, 0.0)
    return [("small", sizes <= low), ("medium", (sizes > low) & (sizes <= high)), ("large", sizes > high)]


@dataclass(frozen=True)
class PointingRow:
    """How often the hottest point and the image centre lie in a box, for boxes of one size group."""

    name: str
    n: int
    smallest: float
    largest: float
    pointing: IntervalEstimate
    centre_pointing: IntervalEstimate


def pointing_by_size(hits: ArrayLike, centre_hits: ArrayLike, sizes: ArrayLike) -> list[PointingRow]:
    """Summarise the pointing game by box size, from the columns of a bundle's predictions.

    Args:
        hits: Whether the hottest point lies in a box, 0/1 (n,).
        centre_hits: Whether the image centre does, 0/1 (n,).
        sizes: Box sizes, shape (n,).

    Returns:
        Rows for all, small, medium and large boxes.

    Raises:
        MetricsError: The three have different lengths.
    """
    hits, centre_hits, sizes = (np.asarray(a, dtype=np.float64) for a in (hits, centre_hits, sizes))
    if not hits.shape == centre_hits.shape == sizes.shape:
        raise MetricsError("Hits, centre hits and box sizes must have the same length.")
    rows = []
    for name, mask in [("all", np.ones(sizes.shape, dtype=bool)), *size_terciles(sizes)]:
        n, inside = int(mask.sum()), sizes[mask]
        smallest, largest = (inside.min(), inside.max()) if n else (np.nan, np.nan)
        pointing, centre = wilson(int(hits[mask].sum()), n), wilson(int(centre_hits[mask].sum()), n)
        rows.append(PointingRow(name, n, float(smallest), float(largest), pointing, centre))
    return rows
