"""What shows that an image is a photo of a screen or of a film, not the radiograph itself: a tint, and moiré.

Only what can be seen well is said. A photo loses grey levels and detail, and its network answer is worth less.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

_ORIGINAL = "Upload the original file if you can."
TINT_WARNING = f"The image has a colour cast, as photos of a screen or a film have. {_ORIGINAL}"
MOIRE_WARNING = f"A fine regular pattern (moiré) lies over the image, as in a photo of a screen. {_ORIGINAL}"

#: Darker pixels carry no colour to speak of, in grey levels.
_DARK = 24
#: Least mean distance from grey, in grey levels, and least agreement of its direction (1: one hue) of a cast.
_CAST, _ONE_HUE = 5.0, 0.9
#: Side, in pixels, of the parts of an image that are looked at for a pattern, and how many of the five must show it.
_PART, _ENOUGH = 256, 2
#: Frequencies, in cycles per pixel, that moiré has. Anti-scatter grids and the blocks of JPEG lie on the axes.
_LOWEST, _HIGHEST, _OFF_AXIS = 0.10, 0.48, 1.5 / _PART
#: How far a frequency stands out of its surroundings, as a logarithm. A straight edge stands out too, but along a line
#: through the middle: what counts is by how much a frequency surpasses those nearer to it and farther out. How often
#: that is right, `python -m studies.screen_photos` prints.
_EXCESS = 1.2
_SURROUNDINGS, _ALONG = 21, 7
#: A screen repeats in two directions, an anti-scatter grid in one; degrees between the two.
_APART = 25
#: How much weaker the second may be, as a logarithm: the harmonics of a grid are weaker still.
_WEAKER = 1.8
#: Least standard deviation of a part that shows anything, in grey levels.
_FLAT = 2.0


def tint_warnings(colours: np.ndarray) -> tuple[str, ...]:
    """Return the warning that an image in one hue deserves, or none.

    Args:
        colours: RGB uint8 (H, W, 3), a small copy of the image.

    Returns:
        The warning, or none.
    """
    values = colours.astype(np.float32)
    luma = values @ np.array([0.299, 0.587, 0.114], np.float32)
    lit = luma > _DARK
    if lit.mean() < 0.2:
        return ()
    offsets = np.stack([values[:, :, 2] - luma, values[:, :, 0] - luma], axis=2)[lit]
    distance = float(np.hypot(offsets[:, 0], offsets[:, 1]).mean())
    together = float(np.hypot(*offsets.mean(axis=0)))
    return (TINT_WARNING,) if distance > _CAST and together > _ONE_HUE * distance else ()


def shows_moire(pixels: np.ndarray) -> bool:
    """Return whether a fine pattern that repeats in two directions lies over an image.

    Args:
        pixels: uint8 (H, W).

    Returns:
        Whether it does; False for images smaller than 256 pixels.
    """
    repeats = left = 0
    parts = list(_parts(pixels))
    for left, part in zip(range(len(parts) - 1, -1, -1), parts, strict=True):
        repeats += _repeats(part)
        if repeats >= _ENOUGH:
            return True
        if repeats + left < _ENOUGH:
            return False
    return False


def _parts(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the middle of an image and four parts around it."""
    height, width = pixels.shape
    if min(height, width) < _PART:
        return
    for down, across in ((0.5, 0.5), (0.25, 0.25), (0.75, 0.75), (0.25, 0.75), (0.75, 0.25)):
        top, left = round((height - _PART) * down), round((width - _PART) * across)
        yield pixels[top : top + _PART, left : left + _PART]


def _repeats(part: np.ndarray) -> bool:
    """Return whether two frequencies in different directions stand out of a part, uint8 (256, 256)."""
    smooth = part.astype(np.float32)
    if smooth.std() < _FLAT:
        return False
    plane = _plane()
    smooth -= cv2.GaussianBlur(smooth, (0, 0), 8)
    strength = np.log(np.abs(np.fft.rfft2(smooth * plane.window)) + 1).astype(np.float32)
    # Half of the plane holds all that is known of a real image; its rows in order of frequency.
    strength = np.fft.fftshift(strength, axes=0)
    low, scale = float(strength.min()), 255 / max(float(np.ptp(strength)), 1e-6)
    levels = ((strength - low) * scale).astype(np.uint8)
    excess = strength - (cv2.medianBlur(levels, _SURROUNDINGS) / scale + low).astype(np.float32)
    wide = cv2.dilate(excess, np.ones((3, 3), np.uint8))
    beside = np.maximum.reduce([cv2.remap(wide, *place, cv2.INTER_LINEAR) for place in plane.along])
    peaks = np.where(plane.looked_at, excess - np.maximum(beside, 0), 0)
    strongest = int(np.argmax(peaks))
    if peaks.flat[strongest] <= _EXCESS:
        return False
    turned = np.abs((plane.angle - plane.angle.flat[strongest] + np.pi / 2) % np.pi - np.pi / 2)
    other = (turned > np.deg2rad(_APART)) & (strength > strength.flat[strongest] - _WEAKER)
    return bool((peaks[other] > _EXCESS).any())


class _Plane(NamedTuple):
    """Of the half plane of frequencies (256, 129): the window, what is looked at, directions, and places along them."""

    window: np.ndarray
    looked_at: np.ndarray
    angle: np.ndarray
    along: tuple[tuple[np.ndarray, np.ndarray], ...]


@functools.cache
def _plane() -> _Plane:
    down, across = np.mgrid[-_PART // 2 : _PART // 2, 0 : _PART // 2 + 1].astype(np.float32)
    radius = np.hypot(down, across) + 1e-6
    frequency = radius / _PART
    off_axis = (np.abs(down) > _OFF_AXIS * _PART) & (across > _OFF_AXIS * _PART)
    along = tuple((across * (1 + step / radius), down * (1 + step / radius) + _PART // 2) for step in (_ALONG, -_ALONG))
    return _Plane(
        window=cv2.createHanningWindow((_PART, _PART), cv2.CV_32F),
        looked_at=(frequency > _LOWEST) & (frequency < _HIGHEST) & off_axis,
        angle=np.arctan2(down, across),
        along=along,
    )
