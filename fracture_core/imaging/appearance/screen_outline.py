"""Where a photo shows a screen or a film at an angle: its four corners, so that the photo can be straightened.

Only an outline that lies wholly within the image, with sides that converge, is believed: collimated fields and films
laid down askew have parallel sides. How often that is right, `python -m studies.screen_photos` prints.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from fracture_core.imaging.letterbox import halved

PERSPECTIVE_WARNING = (
    "The image looks like a photo of a screen or a film taken at an angle. Straighten it or crop it, or upload the "
    "original file if you can."
)

#: Longest side of the image while it is looked at, in pixels.
_LONGEST = 512
#: Smallest and largest part of the image that an outline takes, and how much of its contour's hull it covers at least.
_SMALLEST, _LARGEST, _STRAIGHT = 0.25, 0.97, 0.97
#: How far corners are from the image's edges at least, as a share of the longer side.
_MARGIN = 0.015
#: Least and most angle between opposite sides, in degrees: what parallel sides measure, and what nobody photographs.
_CONVERGE, _ABSURD = 2.0, 15.0
#: How far from the surroundings' grey something else is, in grey levels.
_STEPS = (6, 12, 20)

Corners = tuple[tuple[float, float], ...]


def screen_corners(pixels: np.ndarray) -> Corners | None:
    """Return the corners of a screen or film that was photographed at an angle.

    Args:
        pixels: uint8 (H, W).

    Returns:
        Four points (x, y) in pixels, clockwise from the top left; None where no such outline is seen.
    """
    height, width = pixels.shape
    scale = min(1.0, _LONGEST / max(pixels.shape))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.GaussianBlur(cv2.resize(halved(pixels, _LONGEST), size, interpolation=cv2.INTER_AREA), (5, 5), 0)
    outline = max(_quadrilaterals(small), key=cv2.contourArea, default=None)
    if outline is None:
        return None
    corners = _clockwise(outline) / scale
    margin = _MARGIN * max(height, width)
    inside = (corners >= margin).all() and (corners <= (width - 1 - margin, height - 1 - margin)).all()
    if not inside or not _CONVERGE <= _convergence(corners) <= _ABSURD:
        return None
    return tuple((float(x), float(y)) for x, y in corners)


def straightened(pixels: np.ndarray, corners: Corners) -> np.ndarray:
    """Return what lies between four corners as a rectangle.

    Args:
        pixels: uint8 (H, W).
        corners: Four points (x, y), clockwise from the top left.

    Returns:
        uint8, as wide and high as the longer of opposite sides.
    """
    points = np.array(corners, np.float32)
    sides = np.hypot(*(np.roll(points, -1, axis=0) - points).T)
    width, height = max(1, round(max(sides[0], sides[2]))), max(1, round(max(sides[1], sides[3])))
    rectangle = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float32)
    return cv2.warpPerspective(pixels, cv2.getPerspectiveTransform(points, rectangle), (width, height))


def _quadrilaterals(grey: np.ndarray) -> Iterator[np.ndarray]:
    """Yield outlines with four straight sides, float32 (4, 2)."""
    for mask in _masks(grey):
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for contour in sorted(contours, key=cv2.contourArea)[-3:]:
            hull = cv2.convexHull(contour)
            area = cv2.contourArea(hull)
            if not _SMALLEST * grey.size <= area <= _LARGEST * grey.size:
                continue
            outline = cv2.approxPolyDP(hull, 0.02 * cv2.arcLength(hull, True), True)
            if len(outline) == 4 and cv2.contourArea(outline) >= _STRAIGHT * area:
                yield outline[:, 0].astype(np.float32)


def _masks(grey: np.ndarray) -> Iterator[np.ndarray]:
    """Yield what differs from the image's surroundings, more and more clearly, and what has edges."""
    ring = np.concatenate([grey[:4].ravel(), grey[-4:].ravel(), grey[:, :4].ravel(), grey[:, -4:].ravel()])
    around = float(np.median(ring))
    noise = 2 * float(np.median(np.abs(ring - around)))
    apart = np.abs(grey.astype(np.float32) - around)
    close = np.ones((7, 7), np.uint8)
    for step in _STEPS:
        yield cv2.morphologyEx((apart > step + noise).astype(np.uint8), cv2.MORPH_CLOSE, close)
    edges = cv2.dilate(cv2.Canny(grey, 20, 60), np.ones((3, 3), np.uint8))
    yield cv2.morphologyEx(edges, cv2.MORPH_CLOSE, close)


def _clockwise(points: np.ndarray) -> np.ndarray:
    """Return corners (4, 2) clockwise, beginning with the one nearest to the top left."""
    away = points - points.mean(axis=0)
    points = points[np.argsort(np.arctan2(away[:, 1], away[:, 0]))]
    return np.roll(points, -int(points.sum(axis=1).argmin()), axis=0)


def _convergence(corners: np.ndarray) -> float:
    """Return the larger of the angles between opposite sides, in degrees."""
    sides = np.roll(corners, -1, axis=0) - corners
    angles = np.degrees(np.arctan2(sides[:, 1], sides[:, 0]))
    return max(abs((angles[k] - angles[k + 2] + 90) % 180 - 90) for k in (0, 1))
