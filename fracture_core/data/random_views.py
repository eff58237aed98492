"""Random views of a training radiograph: whole, shrunk, or a close-up from its own pixels, turned and mirrored.

The label belongs to the view: a fracture counts where enough of its box is in view, and a view whose boxes all left
is no positive. What happens to the grey values is in `data.film_appearance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fracture_core.data.film_appearance import change_appearance
from fracture_core.data.image_pyramid import ImagePyramid, image_pyramid

#: Share of a box that must be in view for it to count, and the share up to which it does not.
SEEN, UNSEEN = 0.5, 0.2
#: How small and how large the anatomy is shown; 1 fits the whole radiograph.
ZOOMS = (0.5, 3.0)
_ATTEMPTS = 6


@dataclass(frozen=True)
class View:
    """One training image: uint8 (size, size), the boxes in view float32 (n, 4), and whether it shows a fracture."""

    square: np.ndarray
    boxes: np.ndarray
    fractured: bool


def random_view(
    source: ImagePyramid,
    fractured: bool,
    size: int,
    rng: np.random.Generator,
    *,
    whole: float = 0.5,
    unchanged: float = 0.0,
    beside: Sequence[tuple[ImagePyramid, bool]] = (),
) -> View:
    """Cut and change one view at random; the same `rng` state gives the same view.

    Args:
        source: the radiograph.
        fractured: whether it shows a fracture.
        size: side of the view, in pixels.
        rng: what decides.
        whole: share, 0..1, of the views that show the whole radiograph at about its own scale.
        unchanged: share, 0..1, of those that keep the radiograph's grey values, as the network will read them.
        beside: further radiographs, laid next to the first one, as several are on one film.

    Returns:
        The view; it is fractured where enough of a box is in view, or the radiograph is fractured and has no boxes.
    """
    if beside:
        source, fractured = _joined([(source, fractured), *beside], rng)
    close = rng.random() >= whole
    for attempt in range(_ATTEMPTS):
        matrix = _geometry(source, fractured, size, rng, close=close and attempt < _ATTEMPTS - 1)
        boxes, shares = _moved(source.boxes, matrix, size)
        if not len(boxes):
            label = fractured
            break
        label = bool((shares >= SEEN).any())
        if label or bool((shares <= UNSEEN).all()):
            boxes = boxes[shares >= SEEN]
            break
    else:
        boxes, label = boxes[shares > 0], fractured
    square, inside = _warped(source, matrix, size)
    if close or not unchanged or rng.random() >= unchanged:
        square = change_appearance(square, inside, boxes, rng)
    return View(square=square, boxes=boxes, fractured=label)


def _geometry(source: ImagePyramid, fractured: bool, size: int, rng: np.random.Generator, *, close: bool) -> np.ndarray:
    """Return the affine matrix (2, 3) from the radiograph's pixels (centres at half-integers) to the view's."""
    height, width = source.shape
    fit = size / max(height, width)
    centre = np.array([width / 2, height / 2])
    if close:
        # Close-ups are what other collections show most, and what the dataset itself has least of.
        least, most = ZOOMS
        zoom = float(np.exp(rng.uniform(0.0, np.log(most)))) if rng.random() < 0.75 else rng.uniform(least, 1.0)
    else:
        zoom = float(np.exp(rng.normal(0.0, 0.09)))
    reach = size / (fit * zoom)
    if zoom > 1.15:
        centre = _centre(source, fractured, reach, rng)
        # A close-up that shows mostly what lies beyond the radiograph's edge teaches nothing.
        for axis, side in ((0, width), (1, height)):
            low, high = min(reach / 2, side / 2), max(side - reach / 2, side / 2)
            centre[axis] = np.clip(centre[axis], low - 0.1 * reach, high + 0.1 * reach)
    else:
        centre = centre + rng.uniform(-0.07, 0.07, 2) * reach
    angle = np.deg2rad(rng.normal(0, 10) if rng.random() < 0.8 else rng.uniform(-35, 35))
    if rng.random() < 0.12:
        angle += np.pi / 2 * rng.integers(1, 4)
    stretch = np.exp(rng.normal(0, 0.04))
    shear = np.tan(np.deg2rad(rng.uniform(-5, 5)))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, shear], [0, 1]]) @ np.diag([mirror, 1.0])
    linear = fit * zoom * linear @ np.diag([stretch, 1 / stretch])
    return np.column_stack([linear, size / 2 - linear @ centre])


def _centre(source: ImagePyramid, fractured: bool, reach: float, rng: np.random.Generator) -> np.ndarray:
    """Where a close-up looks: at a fracture, or anywhere there is anatomy."""
    height, width = source.shape
    if fractured and len(source.boxes) and rng.random() < 0.8:
        x, y, w, h = source.boxes[rng.integers(len(source.boxes))]
        return np.array([x + w / 2, y + h / 2]) + rng.uniform(-0.35, 0.35, 2) * reach
    rows, columns = source.interest.shape
    cell = rng.choice(rows * columns, p=source.interest.ravel() / source.interest.sum())
    row, column = divmod(int(cell), columns)
    return (np.array([column, row]) + rng.random(2)) * (width / columns, height / rows)


def _moved(boxes: np.ndarray, matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the boxes in the view, float32 (n, 4), and the share of each that is in view, (n,)."""
    if not len(boxes):
        return np.empty((0, 4), np.float32), np.empty(0)
    x, y, w, h = boxes.T
    centre = np.stack([x + w / 2, y + h / 2])
    middle = matrix[:, :2] @ centre + matrix[:, 2:]
    # The hull of a turned box is larger than what was drawn, the hull of the ellipse within it smaller: between them.
    half = np.stack([w / 2, h / 2])
    ellipse = np.sqrt((matrix[:, :2] ** 2) @ half**2)
    hull = np.abs(matrix[:, :2]) @ half
    extent = (ellipse + hull) / 2
    low, high = middle - extent, middle + extent
    seen_low, seen_high = np.clip(low, 0, size), np.clip(high, 0, size)
    share = np.prod(np.maximum(seen_high - seen_low, 0), 0) / np.maximum(np.prod(high - low, 0), 1e-6)
    return np.concatenate([seen_low, seen_high - seen_low]).T.astype(np.float32), share


def _warped(source: ImagePyramid, matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the view, uint8 (size, size), and where the radiograph is in it, bool (size, size)."""
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    level = 0
    while level + 1 < len(source.levels) and scale * 2 ** (level + 1) <= 1.1:
        level += 1
    pixels = source.levels[level]
    height, width = source.shape
    factor = np.array([width / pixels.shape[1], height / pixels.shape[0]])
    linear = matrix[:, :2] * factor
    # OpenCV maps pixel centres at whole numbers; here they lie at halves.
    shift = linear @ np.full(2, 0.5) + matrix[:, 2] - 0.5
    flags = cv2.INTER_CUBIC if scale * factor[0] > 1.5 else cv2.INTER_LINEAR
    square = cv2.warpAffine(pixels, np.column_stack([linear, shift]), (size, size), flags=flags)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    polygon = np.rint(corners @ matrix[:, :2].T + matrix[:, 2]).astype(np.int32)
    mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(mask, polygon, 1)
    return square, mask.astype(bool)


def _joined(images: Sequence[tuple[ImagePyramid, bool]], rng: np.random.Generator) -> tuple[ImagePyramid, bool]:
    """Lay several radiographs side by side, or one above the other, at one height (width), with a gap between them."""
    across = rng.random() < 0.75
    side = int(rng.integers(300, 500))
    gap = int(rng.integers(0, 16))
    parts, boxes, at = [], [], 0
    for image, _ in images:
        scale = side / image.shape[0 if across else 1]
        height, width = (max(8, round(length * scale)) for length in image.shape)
        part = cv2.resize(image.levels[0], (width, height), interpolation=cv2.INTER_AREA)
        boxes.append(image.boxes * np.float32(scale) + np.array([at, 0, 0, 0] if across else [0, at, 0, 0], np.float32))
        parts += [part, np.zeros((height, gap) if across else (gap, width), np.uint8)]
        at += (width if across else height) + gap
    pixels = np.concatenate(parts[:-1], 1 if across else 0)
    return image_pyramid(pixels, np.concatenate(boxes)), any(label for _, label in images)
