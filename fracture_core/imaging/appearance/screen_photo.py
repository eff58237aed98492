"""What shows that an image is a photo of a screen or of a film, not the radiograph itself: a tint, and moiré.

Only what can be seen well is said. A photo loses grey levels and detail, and its network answer is worth less.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

_ORIGINAL = "Upload the original file if you can."
TINT_WARNING = f"The image has a colour cast, as photos of a screen or a film have. {_ORIGINAL}"
MOIRE_WARNING = f"A fine regular pattern (moiré) lies over the image, as in a photo of a screen. {_ORIGINAL}"

#: Darker pixels carry no colour to speak of, in grey levels.
_DARK = 24
#: Least mean distance from grey, in grey levels, and least agreement of its direction (1: one hue) of a cast.
_CAST, _ONE_HUE = 5.0, 0.9
#: Side, in pixels, of the middle of the image that is looked at for a pattern.
_WINDOW = 512
#: Frequencies, in cycles per pixel, that moiré has; anti-scatter grids and blocks of JPEG lie on the axes.
_LOWEST, _HIGHEST, _OFF_AXIS = 0.12, 0.45, 0.03
#: How far the strongest frequencies stand out of those of their radius, in standard deviations and as a logarithm.
#: None of 503 radiographs of FracAtlas reaches both; somewhat more than half of those seen through a made-up screen do.
_DEVIATIONS, _EXCESS = 4.4, 4.2
_STRONGEST = 6


def tint_warnings(colours: np.ndarray) -> tuple[str, ...]:
    """Warn of an image in a single hue.

    Args:
        colours: RGB uint8 (H, W, 3), a small copy of the image.

    Returns:
        One warning, or none.
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


def moire_warnings(pixels: np.ndarray) -> tuple[str, ...]:
    """Warn of a regular pattern over an image, as in a photograph of a screen.

    Args:
        pixels: uint8 (H, W).

    Returns:
        One warning, or none.
    """
    side = min(_WINDOW, *pixels.shape) // 2 * 2
    if side < 128:
        return ()
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    part = pixels[top : top + side, left : left + side].astype(np.float32)
    window, radius, looked_at = _rings(side)
    strength = np.log(np.abs(np.fft.fftshift(np.fft.fft2((part - part.mean()) * window))) + 1)
    count = np.bincount(radius)
    mean = np.bincount(radius, strength.ravel()) / count
    spread = np.sqrt(np.maximum(np.bincount(radius, strength.ravel() ** 2) / count - mean**2, 1e-6))
    excess = (strength.ravel() - mean[radius])[looked_at]
    deviations = excess / spread[radius][looked_at]
    strongest = (float(np.sort(values)[-_STRONGEST:].mean()) for values in (deviations, excess))
    return (MOIRE_WARNING,) if next(strongest) > _DEVIATIONS and next(strongest) > _EXCESS else ()


@functools.lru_cache(maxsize=4)
def _rings(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a smooth window (side, side), each frequency's radius in whole steps, and which are looked at (flat)."""
    window = cv2.createHanningWindow((side, side), cv2.CV_32F)
    rows, columns = np.mgrid[-side // 2 : side // 2, -side // 2 : side // 2]
    radius = np.hypot(rows, columns)
    within = (radius > _LOWEST * side) & (radius < _HIGHEST * side)
    off_axis = (np.abs(rows) > _OFF_AXIS * side) & (np.abs(columns) > _OFF_AXIS * side)
    return window, radius.astype(int).ravel(), (within & off_axis).ravel()
