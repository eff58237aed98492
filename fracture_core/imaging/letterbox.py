"""Fitting a radiograph into the network's square, and back.

The radiograph is scaled to fit, centred, and the rest is black; nothing is stretched. A `Placement` remembers where
it went, so that boxes follow into the square and heatmaps come back out of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np


@dataclass(frozen=True)
class Placement:
    """Where a radiograph lies in the letterboxed square.

    The part `x, y, width, height` of the radiograph (in its pixels) fills `left, top, fitted_width, fitted_height` (in
    pixels of the square, whose side is `size`).
    """

    size: int
    height: int
    width: int
    left: int
    top: int
    fitted_width: int
    fitted_height: int
    x: int = 0
    y: int = 0

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the square per pixel of the radiograph, along x and along y."""
        return self.fitted_width / self.width, self.fitted_height / self.height

    def reduced(self, scale: float) -> Placement:
        """Return the placement of the same radiograph, scaled down, for maps that need less detail.

        Args:
            scale: 0 to 1.

        Returns:
            The new placement.
        """

        def shrunk(pixels: int) -> int:
            return max(1, round(pixels * scale))

        x, y = round(self.x * scale), round(self.y * scale)
        return replace(self, x=x, y=y, width=shrunk(self.width), height=shrunk(self.height))

    def limited(self, shape: tuple[int, ...], longest: int | None) -> tuple[Placement, tuple[int, int]]:
        """Return the placement of the same radiograph, scaled down to a longest side.

        Args:
            shape: (H, W) of the radiograph, in pixels.
            longest: Of the longer side, in pixels; None leaves it as it is.

        Returns:
            The placement, and (H, W) of the smaller radiograph.
        """
        height, width = shape
        scale = min(1.0, longest / max(height, width)) if longest else 1.0
        if scale == 1:
            return self, (height, width)
        small = self.reduced(scale)
        # The part that the network saw lies inside, however its edges were rounded.
        rows = max(round(height * scale), small.y + small.height)
        return small, (rows, max(round(width * scale), small.x + small.width))

    def boxes_in_square(self, boxes: np.ndarray) -> np.ndarray:
        """Convert boxes from the radiograph's pixels to the square's.

        Args:
            boxes: x, y, width, height, float32 (n, 4).

        Returns:
            float32 (n, 4).
        """
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        sx, sy = self.scale
        shift = np.array([self.left - self.x * sx, self.top - self.y * sy, 0, 0], np.float32)
        return boxes * np.array([sx, sy, sx, sy], np.float32) + shift

    def map_to_radiograph(self, heatmap: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Convert a map over the square to the radiograph's own shape.

        Values are interpolated (bilinear), never rescaled; outside the part that the network saw the map is 0.

        Args:
            heatmap: float (h, w) of any resolution.
            shape: (H, W).

        Returns:
            float (H, W).
        """
        h, w = heatmap.shape
        sx, sy = self.scale
        # Pixel centres: square = radiograph * scale + offset, and a map cell covers size / w pixels of the square.
        to_map = np.array(
            [
                [sx * w / self.size, 0, ((0.5 - self.x) * sx + self.left) * w / self.size - 0.5],
                [0, sy * h / self.size, ((0.5 - self.y) * sy + self.top) * h / self.size - 0.5],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (self.width, self.height)
        shift = np.array([[0, 0, to_map[0, 0] * self.x], [0, 0, to_map[1, 1] * self.y]])
        part = cv2.warpAffine(
            np.ascontiguousarray(heatmap, np.float32),
            to_map + shift,
            size,
            flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if (self.height, self.width) == tuple(shape):
            return part
        whole = np.zeros(shape, np.float32)
        whole[self.y : self.y + self.height, self.x : self.x + self.width] = part
        return whole


def shrink(pixels: np.ndarray, side: int) -> np.ndarray:
    """Scale an image or a map down so that its longer side has a given length; smaller ones stay as they are.

    Args:
        pixels: uint8 or float32 (H, W) or (H, W, C).
        side: In pixels.

    Returns:
        The image, each of its sides at least 1; averaged over areas, so that thin lines survive.
    """
    scale = side / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    height, width = (max(1, round(n * scale)) for n in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def halved(pixels: np.ndarray, least: int) -> np.ndarray:
    """Halve an image until its longer side would be shorter than a given length; the fast way to shrink it first.

    The mean of two by two pixels takes a tenth of the time of averaging over areas by any other factor.

    Args:
        pixels: uint8 (H, W).
        least: In pixels.

    Returns:
        uint8, a last odd row or column left out at each step.
    """
    while max(pixels.shape) >= 2 * least and min(pixels.shape) > 1:
        height, width = (n // 2 for n in pixels.shape)
        even = pixels[: 2 * height, : 2 * width]
        pixels = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
    return pixels


def letterbox(
    pixels: np.ndarray, size: int, field: tuple[int, int, int, int] | None = None
) -> tuple[np.ndarray, Placement]:
    """Fit a radiograph into a square. Shrinking averages areas, so that thin lines survive; enlarging is bilinear.

    Args:
        pixels: uint8 (H, W).
        size: Side of the square, in pixels.
        field: x, y, width, height to crop first, or None.

    Returns:
        uint8 (size, size), and the placement.
    """
    x, y, width, height = field or (0, 0, pixels.shape[1], pixels.shape[0])
    part = pixels[y : y + height, x : x + width]
    scale = size / max(height, width)
    fitted_width, fitted_height = (max(1, min(size, round(n * scale))) for n in (width, height))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted = cv2.resize(part, (fitted_width, fitted_height), interpolation=interpolation)
    left, top = (size - fitted_width) // 2, (size - fitted_height) // 2
    square = np.zeros((size, size), np.uint8)
    square[top : top + fitted_height, left : left + fitted_width] = fitted
    return square, Placement(size, height, width, left, top, fitted_width, fitted_height, x, y)
