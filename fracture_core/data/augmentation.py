"""Random changes to training images, the same for every training engine, and repeatable by seed."""

from __future__ import annotations

import cv2
import numpy as np

from fracture_core.recipe import Augmentation

#: The boxes of a fractured radiograph that nobody has outlined.
UNKNOWN = np.full((1, 4), np.nan, np.float32)


def augment(
    square: np.ndarray, boxes: np.ndarray, size: int, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Change a letterboxed image at random, and its boxes with it. The same `rng` state gives the same image.

    Args:
        square: uint8 (S, S); it may be larger than `size`, so that zooming in loses nothing.
        boxes: x, y, width, height in its pixels, shape (n, 4).
        size: Side of the result, in pixels.
        augmentation: What to change.
        rng: Random generator.

    Returns:
        The image, uint8 (size, size), and its boxes, float32 (n, 4) (the upright hull of a rotated box).
    """
    matrix = _geometry(square.shape[0], size, augmentation, rng)
    border = cv2.BORDER_REPLICATE if augmentation.nearest_fill else cv2.BORDER_CONSTANT
    changed = cv2.warpAffine(square, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
    return _photometry(changed, augmentation, rng), _move_boxes(boxes, matrix, size)


def _geometry(source: int, size: int, a: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Affine matrix (2, 3) from the source square's pixels to the result's."""
    angle, shear = np.deg2rad(rng.uniform(-1, 1, 2) * (a.rotation, a.shear))
    zoom = size / source * (1 + rng.uniform(-1, 1) * a.zoom)
    shift = rng.uniform(-1, 1, 2) * a.shift * size
    mirror = np.array([-1.0 if on and rng.random() < 0.5 else 1.0 for on in (a.horizontal_flip, a.vertical_flip)])
    cos, sin = np.cos(angle), np.sin(angle)
    linear = zoom * np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, np.tan(shear)], [0, 1]]) @ np.diag(mirror)
    # Everything turns about the centre; pixel centres lie at half-integers.
    middle, centre = np.full(2, source / 2 - 0.5), np.full(2, size / 2 - 0.5)
    return np.column_stack([linear, centre + shift - linear @ middle])


def _photometry(image: np.ndarray, a: Augmentation, rng: np.random.Generator) -> np.ndarray:
    brightness, contrast, gamma = (
        1 + rng.uniform(-1, 1) * a.brightness,
        1 + rng.uniform(-1, 1) * a.contrast,
        1.0,
    )
    gamma = float(np.exp(rng.uniform(-1, 1) * a.gamma))
    if (brightness, contrast, gamma) != (1.0, 1.0, 1.0):
        # One table serves all three: 256 values are fewer than an image's pixels.
        mean = float(image.mean())
        levels = 255 * (np.arange(256) / 255) ** gamma
        levels = (levels * brightness - mean) * contrast + mean
        # What is black stays black: the letterbox's own border must not move with the exposure.
        levels[0] = 0
        image = cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    if a.noise and (sigma := rng.uniform(0, a.noise)) > 0.5:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * sigma
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if a.erase and rng.random() < a.erase:
        side = image.shape[0]
        height, width = (int(side * rng.uniform(0.05, 0.25)) for _ in range(2))
        top, left = rng.integers(0, side - height), rng.integers(0, side - width)
        image = image.copy()
        image[top : top + height, left : left + width] = rng.integers(0, 256)
    return image


def _move_boxes(boxes: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    if not len(boxes):
        return boxes
    x, y, w, h = boxes.T
    # A box is an outline in the coordinates where a pixel spans [i, i + 1]; the matrix maps pixel centres.
    corners = np.stack([np.stack([x, y]), np.stack([x + w, y]), np.stack([x, y + h]), np.stack([x + w, y + h])]) - 0.5
    moved = np.einsum("ij,kjn->kin", matrix[:, :2], corners) + matrix[:, 2][None, :, None] + 0.5
    low = np.clip(moved.min(0), 0, size)
    high = np.clip(moved.max(0), 0, size)
    visible = ~((high - low) <= 1).any(0)  # UNKNOWN is not a number, and stays
    return np.concatenate([low, high - low]).T[visible].astype(np.float32)


def cell_targets(boxes: np.ndarray, size: int, cell: int) -> np.ndarray:
    """Return the share of each cell that lies in a box.

    A box smaller than a cell still marks the cell of its centre fully, or the smallest fractures would teach nothing.

    Args:
        boxes: x, y, width, height in pixels, shape (n, 4), or UNKNOWN.
        size: Side of the image, in pixels.
        cell: Side of a cell, in pixels.

    Returns:
        float32 (size / cell, size / cell), 0..1; all nan for UNKNOWN.
    """
    n = size // cell
    if np.isnan(boxes).any():
        return np.full((n, n), np.nan, np.float32)
    target = np.zeros((n, n), np.float32)
    edges = np.arange(n + 1) * cell
    for x, y, w, h in np.asarray(boxes, np.float32).reshape(-1, 4):
        across = np.clip(np.minimum(edges[1:], x + w) - np.maximum(edges[:-1], x), 0, cell) / cell
        down = np.clip(np.minimum(edges[1:], y + h) - np.maximum(edges[:-1], y), 0, cell) / cell
        target = np.maximum(target, np.outer(down, across).astype(np.float32))
        column, row = (int(np.clip((a + b / 2) // cell, 0, n - 1)) for a, b in ((x, w), (y, h)))
        target[row, column] = 1.0
    return target
