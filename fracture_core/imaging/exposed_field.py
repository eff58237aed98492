"""Find the exposed field of a radiograph, without unexposed borders and empty margins.

A fracture is small and the network's square is smaller still, so every row of nothing costs detail. The search works
on a thumbnail of the radiograph, so that it costs little and finds the same at every resolution. Where it is in doubt
it keeps: air that is not even, and anatomy that fills the image, stay.
"""

from __future__ import annotations

import cv2
import numpy as np

from fracture_core.imaging.letterbox import Placement, letterbox, shrink

Field = tuple[int, int, int, int]

_THUMBNAIL = 256  # pixels along the longer side
_FRAME = 0.03  # of the longer side: the lines that readers of imaging plates draw along the edges
_DEEPEST_BORDER = 0.15  # of a side: whatever is white further in is anatomy
_LIGHT, _LIGHT_SHARE = 0.9, 0.75  # of the brightest grey, and of a row: from there on no ray reached it
_BLUR = 2  # rows of the thumbnail beside a border that are neither
_AIR, _BONE = 5, 99  # percentiles of the field's grey
_SKIN = 0.25  # of the way from air to bone: brighter than this is anatomy
_OUTLINE = 0.08  # of the same way, between neighbours: fainter anatomy shows by its outline
_SPECK = 0.002  # of the image's area: dust and single letters are smaller, fingertips larger
_MARGIN = 0.04  # of the longer side, kept round what was found
_NARROWEST = 0.35  # of a side: a thinner field is widened to it


def fit(pixels: np.ndarray, size: int, *, crop_to_field: bool) -> tuple[np.ndarray, Placement]:
    """Letterbox a radiograph, complete or its exposed field only.

    Args:
        pixels: uint8 (H, W).
        size: Side of the square, in pixels.
        crop_to_field: Whether only the exposed field is kept.

    Returns:
        uint8 (size, size), and the placement.
    """
    return letterbox(pixels, size, exposed_field(pixels) if crop_to_field else None)


def exposed_field(pixels: np.ndarray) -> Field:
    """Find the part of a radiograph that shows anatomy.

    It lies within the radiograph and has at least one pixel. It is the whole radiograph if nothing is certainly empty,
    or if nothing can be told from air.

    Args:
        pixels: uint8 (H, W).

    Returns:
        x, y, width, height in pixels.
    """
    height, width = pixels.shape
    small = shrink(pixels, _THUMBNAIL)
    frame = max(1, round(_FRAME * max(small.shape)))
    if min(small.shape) < 4 * frame + 8:
        return 0, 0, width, height
    # Halfway to the eye's own scale: overexposed bone would otherwise push faint fingers down to the air.
    grey = np.sqrt(cv2.GaussianBlur(small, (3, 3), 0) * np.float32(255)).astype(np.uint8)
    white = _LIGHT**0.5 * np.percentile(grey[frame:-frame, frame:-frame], 99.5)
    rows, columns = (_within_borders(turned >= white, frame) for turned in (grey, grey.T))
    extent = _anatomy(grey[slice(*rows), slice(*columns)], small.size)
    if extent is None:
        return 0, 0, width, height
    margin = _MARGIN * max(small.shape)
    x, across = _widened(extent[0], columns, frame, margin, small.shape[1], width)
    y, down = _widened(extent[1], rows, frame, margin, small.shape[0], height)
    return x, y, across, down


def _within_borders(light: np.ndarray, frame: int) -> tuple[int, int]:
    """First row and the one past the last that lie within the frame and within bands of mostly light rows."""
    share = light.mean(1)
    first, last = (_depth(side >= _LIGHT_SHARE) for side in (share, share[::-1]))
    return max(first, frame), len(share) - max(last, frame)


def _depth(light: np.ndarray) -> int:
    """How many rows a band of light ones reaches in; it may begin and go on behind a thin line."""
    depth = 0
    for row in np.flatnonzero(light[: round(_DEEPEST_BORDER * len(light))]):
        if row - depth > _FRAME * len(light):
            break
        depth = int(row) + 1
    return depth + _BLUR if depth else 0


def _anatomy(grey: np.ndarray, area: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """From and to, along x and along y, of everything that is no air and no speck; None where there is nothing."""
    air, bone = np.percentile(grey, [_AIR, _BONE])
    span = bone - air
    outline = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    solid = (grey > air + _SKIN * span) | ((outline > _OUTLINE * span) & (grey > air))
    solid = cv2.morphologyEx(solid.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, parts, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    parts = parts[1:][parts[1:, cv2.CC_STAT_AREA] >= _SPECK * area]
    if span <= 0 or not len(parts):
        return None
    starts, ends = parts[:, :2].min(0), (parts[:, :2] + parts[:, 2:4]).max(0)
    return (int(starts[0]), int(ends[0])), (int(starts[1]), int(ends[1]))


def _widened(
    extent: tuple[int, int], within: tuple[int, int], frame: int, margin: float, side: int, full: int
) -> tuple[int, int]:
    """Start and length of one axis in the radiograph's pixels: the margin added, a border never taken back in."""
    # A frame is given back with what touches it: it is thin, and its line may be the image's own end.
    low = within[0] - 1 if within[0] > frame else 0
    high = within[1] + 1 if within[1] < side - frame else side
    start, end = max(within[0] + extent[0] - margin, low), min(within[0] + extent[1] + margin, high)
    lacking = max(0.0, _NARROWEST * side - (end - start)) / 2
    start, end = max(0.0, start - lacking), min(float(side), end + lacking)
    first, last = int(np.floor(start * full / side)), int(np.ceil(end * full / side))
    return first, min(last, full) - first
