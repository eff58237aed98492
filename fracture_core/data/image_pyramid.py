"""A training radiograph at several resolutions, in memory near its own, so that close-ups are cut from true pixels."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from fracture_core.concurrency import processors
from fracture_core.data.dataset import Dataset
from fracture_core.imaging.radiograph import read_radiograph

#: Pixels of a radiograph's longer side, at most: a view of 448 pixels at zoom 3 needs no more.
LONGEST = 1344


@dataclass(frozen=True)
class ImagePyramid:
    """A radiograph: `levels` uint8 (H, W), each half of the one before, and the boxes of the first.

    `boxes` float32 (n, 4) x, y, width, height. `interest` float32 (h, w), summing to 1, says where there is anatomy.
    """

    levels: tuple[np.ndarray, ...]
    boxes: np.ndarray
    interest: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the first level, in pixels."""
        return self.levels[0].shape


def image_pyramid(pixels: np.ndarray, boxes: np.ndarray) -> ImagePyramid:
    """Prepare a radiograph and its boxes for cutting views.

    Args:
        pixels: uint8 (H, W).
        boxes: float32 (n, 4).

    Returns:
        The pyramid.
    """
    levels = [pixels]
    while min(levels[-1].shape) >= 128 and max(levels[-1].shape) > 300:
        height, width = levels[-1].shape
        levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    return ImagePyramid(levels=tuple(levels), boxes=boxes, interest=_interest(pixels))


def load_pyramids(dataset: Dataset, image_ids: Sequence[str], longest: int = LONGEST) -> dict[str, ImagePyramid]:
    """Decode radiographs, truncated ones as far as they go; about 250 kB each for FracAtlas, half a minute for all.

    Args:
        dataset: The dataset.
        image_ids: The images.
        longest: Maximum length of the longer side, in pixels.

    Returns:
        Pyramids by image id.

    Raises:
        UnreadableRadiograph: A file is not a radiograph.
    """

    def pyramid(image_id: str) -> ImagePyramid:
        pixels = read_radiograph(dataset.path(image_id), accept_cut_short=True).pixels
        boxes = dataset.boxes(image_id)
        scale = longest / max(pixels.shape)
        if scale < 1:
            height, width = (max(1, round(side * scale)) for side in pixels.shape)
            pixels, boxes = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), boxes * scale
        return image_pyramid(pixels, boxes)

    with ThreadPoolExecutor(processors()) as pool:
        return dict(zip(image_ids, pool.map(pyramid, image_ids), strict=True))


def _interest(pixels: np.ndarray) -> np.ndarray:
    """Return where there is bone rather than air, float32 (16, 16): local contrast, as shares that sum to 1."""
    height, width = pixels.shape
    side = 96 / max(height, width)
    size = max(8, round(width * side)), max(8, round(height * side))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    small = np.sqrt(small.astype(np.float32))
    contrast = np.abs(small - cv2.GaussianBlur(small, (0, 0), 4))
    spread = cv2.GaussianBlur(contrast * small, (0, 0), 2)
    edge = max(2, round(0.06 * max(small.shape)))
    spread[:edge] *= 0.1
    spread[-edge:] *= 0.1
    spread[:, :edge] *= 0.1
    spread[:, -edge:] *= 0.1
    grid = cv2.resize(spread, (16, 16), interpolation=cv2.INTER_AREA) + 1e-6
    grid = np.maximum(grid - 0.3 * grid.mean(), 0) + 1e-6
    return (grid / grid.sum()).astype(np.float32)
