"""Compare predicted boxes with the radiologists': average precision, as for detectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Points of recall at which precision is read off (Lin et al. 2014, COCO).
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class ImageBoxes:
    """One image: boxes `predicted` float (n, 4) x, y, width, height with `scores` (n,), and those `drawn` (m, 4)."""

    predicted: np.ndarray
    scores: np.ndarray
    drawn: np.ndarray


def overlaps(first: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Compute the intersection over union of every pair of boxes.

    Args:
        first: x, y, width, height, shape (n, 4).
        other: x, y, width, height, shape (m, 4).

    Returns:
        float64 (n, m).
    """
    a, b = np.asarray(first, np.float64).reshape(-1, 1, 4), np.asarray(other, np.float64).reshape(1, -1, 4)
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    union = np.prod(a[..., 2:], axis=-1) + np.prod(b[..., 2:], axis=-1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def average_precision_at(images: Sequence[ImageBoxes], least_overlap: float = 0.5) -> float:
    """Return the average precision of boxes over all images, mAP50 by default; there is one class, fracture.

    Every predicted box, the surest first, takes the drawn box of its image that it overlaps most and that none took
    before; it is right if they overlap by `least_overlap` (0..1) at least. Precision is made to fall with recall and
    averaged over 101 points of recall.

    Args:
        images: Images with and without drawn boxes: a box predicted in an image without any is wrong.
        least_overlap: Intersection over union at which a box counts.

    Returns:
        0..1; not a number if nothing is drawn on any image.
    """
    drawn = sum(len(image.drawn) for image in images)
    if not drawn:
        return float("nan")
    scores = np.concatenate([np.asarray(image.scores, np.float64) for image in images])
    right = np.concatenate([_right(image, least_overlap) for image in images])
    hits = np.cumsum(right[np.argsort(-scores, kind="stable")])
    recall, precision = hits / drawn, hits / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.append(falling, 0.0)[at].mean())


def _right(image: ImageBoxes, least_overlap: float) -> np.ndarray:
    """Whether each predicted box is right: bool (n,)."""
    right = np.zeros(len(image.scores), bool)
    shared = overlaps(image.predicted, image.drawn)
    free = np.ones(len(image.drawn), bool)
    for row in np.argsort(-np.asarray(image.scores), kind="stable"):
        candidates = np.where(free, shared[row], -1.0)
        if len(candidates) and candidates.max() >= least_overlap:
            right[row], free[candidates.argmax()] = True, False
    return right


def boxes_text(boxes: Sequence[Sequence[float]]) -> str:
    """Write boxes as one cell of a table: "x y w h score;x y w h score".

    Args:
        boxes: Rows of numbers.

    Returns:
        The text; "" for none.
    """
    return ";".join(" ".join(f"{value:.5g}" for value in row) for row in boxes)


def boxes_from_text(text: object, columns: int) -> np.ndarray:
    """Read what `boxes_text` wrote.

    Args:
        text: The cell.
        columns: Numbers per row.

    Returns:
        float64 (n, columns); (0, columns) for an empty or missing cell.

    Raises:
        ValueError: The text is not such a cell.
    """
    if not isinstance(text, str) or not text:
        return np.empty((0, columns))
    rows = np.array([[float(value) for value in row.split()] for row in text.split(";")])
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise ValueError("the boxes are invalid")
    return rows
