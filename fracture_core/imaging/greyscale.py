"""From whatever a file holds to 8 bit grey: deep greys are windowed, colour and transparency flattened."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from fracture_core.imaging.limits import UnreadableRadiograph

#: Largest difference between channels, in grey levels of 255, that is still no colour (rounding, chroma noise).
COLOUR_TOLERANCE = 16
#: Share of the pixels allowed beyond either end of an estimated window: hot pixels and burnt-in text.
WINDOW_TAIL = 0.001

COLOUR_WARNING = "The image is in colour and was converted to grey."
TRANSPARENT_WARNING = "The image has transparent parts; they are shown black."
ALL_TRANSPARENT_WARNING = "The image is marked as wholly transparent; it is shown without its transparency."
BILEVEL_WARNING = "The image holds only black and white, no shades of grey: little can be seen in it."
#: How far from square a pixel may be, as a ratio, before it is worth a word.
_SQUARE = 1.02


def window_integers(deep: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Window unsigned 16 bit greys of unknown meaning to 8 bit: uint16 (H, W) -> uint8 (H, W), and warnings.

    Black is 0 and white the top of the smallest depth (8 to 16 bit) that holds the brightest value, as long as the
    image uses at least half of that range; so 12 bit kept in 16 is not dark, and an 8 bit image widened to 16
    stays what it was. An image that uses less is stretched between its 0.1 and 99.9 percentiles, with a warning.
    """
    counts = histogram(deep)
    low, high = percentile_window(counts)
    top = max(int(np.flatnonzero(counts)[-1]), 1)
    full = (1 << max(top.bit_length(), 8)) - 1
    warnings: tuple[str, ...] = ()
    if high - low < full / 2 and high > low:
        warnings = (f"The image uses only values {low} to {high}; they were rescaled to the full grey range.",)
        start, span = low, high - low
    else:
        start, span = 0, full
    levels = np.clip((np.arange(65_536, dtype=np.float64) - start) / span, 0, 1)
    return look_up(to_grey(levels), deep), warnings


def histogram(deep: np.ndarray) -> np.ndarray:
    """Count each of the 65,536 values of a uint16 (H, W) image: int64 (65536,)."""
    counts = np.zeros(65_536, np.int64)
    # In strips, because bincount widens what it counts to 8 bytes a pixel; so does take in look_up.
    for strip in _strips(deep):
        counts += np.bincount(strip.ravel(), minlength=65_536)
    return counts


def look_up(table: np.ndarray, deep: np.ndarray) -> np.ndarray:
    """Put uint16 (H, W) values through a table (65536,) of uint8: uint8 (H, W)."""
    grey = np.empty(deep.shape, np.uint8)
    for strip, into in zip(_strips(deep), _strips(grey), strict=True):
        np.take(table, strip, out=into)
    return grey


def _strips(picture: np.ndarray) -> Iterator[np.ndarray]:
    rows = max(1_000_000 // picture.shape[1], 1)
    return (picture[start : start + rows] for start in range(0, len(picture), rows))


def percentile_window(counts: np.ndarray) -> tuple[int, int]:
    """Values at the WINDOW_TAIL and 1 - WINDOW_TAIL quantiles of a histogram."""
    cumulative = np.cumsum(counts)
    total = int(cumulative[-1])
    low = int(np.searchsorted(cumulative, WINDOW_TAIL * total, side="right"))
    high = int(np.searchsorted(cumulative, (1 - WINDOW_TAIL) * total, side="left"))
    return low, high


def window_floats(values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Window real or wide-integer greys to 8 bit: (H, W), any finite range -> uint8 (H, W), and warnings.

    Values that lie within 0..1 are taken as they are; others are stretched between their 0.1 and 99.9 percentiles.
    What is not a number, or infinite, is shown black.
    """
    step = max(int((values.size / 1_000_000) ** 0.5), 1)
    sample = values[::step, ::step].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        raise UnreadableRadiograph("The image contains no numbers that could be shown as grey levels.")
    warnings: list[str] = []
    low, high = 0.0, 1.0
    if sample.min() < 0 or sample.max() > 1 or sample.max() <= 1 / 255:
        low, high = map(float, np.quantile(sample, [WINDOW_TAIL, 1 - WINDOW_TAIL]))
        warnings.append(f"The image's values run from {low:g} to {high:g}; they were rescaled to the full grey range.")
    grey = np.empty(values.shape, np.uint8)
    whole = True
    for strip, into in zip(_strips(values), _strips(grey), strict=True):
        finite = np.isfinite(strip)
        whole = whole and bool(finite.all())
        levels = (np.where(finite, strip, low).astype(np.float64) - low) / max(high - low, 1e-300)
        into[:] = to_grey(np.clip(levels, 0, 1))
        into[~finite] = 0
    if not whole:
        warnings.insert(0, "Some of the image's values are not numbers; they are shown black.")
    return grey, tuple(warnings)


def scaled_integers(values: np.ndarray, bits: int) -> np.ndarray:
    """Return unsigned integers of 1 to 8 bits, any shape, as uint8 0 to 255."""
    top = (1 << bits) - 1
    table = to_grey(np.clip(np.arange(256) / top, 0, 1))
    return table[values]


def pixel_shape_warnings(height_by_width: float) -> tuple[str, ...]:
    """Return the warning that pixels deserve that are not square, or none; height of a pixel by its width."""
    if 1 / _SQUARE <= height_by_width <= _SQUARE:
        return ()
    shape = f"{height_by_width:.3g} times as high as wide"
    return (f"The file says that its pixels are {shape}; they are shown square.",)


def to_grey(levels: np.ndarray) -> np.ndarray:
    """Round grey levels 0..1 (float, any shape) to uint8 0..255."""
    return (levels * 255 + 0.5).astype(np.uint8)


def flatten(samples: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Flatten colour and transparency: uint8 or uint16 (H, W, 2 to 4) as grey+alpha, RGB or RGBA -> (H, W).

    Colour becomes luma (BT.601); transparent parts become black. The depth stays. Gives the warnings as well.
    """
    channels = samples.shape[2]
    top = np.iinfo(samples.dtype).max
    warnings: list[str] = []
    if channels in (3, 4):
        grey = cv2.cvtColor(samples, cv2.COLOR_RGB2GRAY if channels == 3 else cv2.COLOR_RGBA2GRAY)
        if is_colour(samples):
            warnings.append(COLOUR_WARNING)
    else:
        grey = np.ascontiguousarray(samples[:, :, 0])
    if channels in (2, 4):
        alpha = np.ascontiguousarray(samples[:, :, -1])
        if not alpha.any():
            # Programs that know nothing of transparency leave it at nought.
            warnings.append(ALL_TRANSPARENT_WARNING)
        elif alpha.min() < top:
            warnings.append(TRANSPARENT_WARNING)
            grey = cv2.multiply(grey, alpha, scale=1 / top)
    return grey, tuple(warnings)


def is_colour(samples: np.ndarray) -> bool:
    """Whether (H, W, >= 3) samples show colour: channels apart by more than COLOUR_TOLERANCE somewhere in 0.1 %."""
    step = max(1, int((samples.shape[0] * samples.shape[1] / 500_000) ** 0.5))
    red, green, blue = (samples[::step, ::step, channel] for channel in range(3))
    scale = 1 if samples.dtype == np.uint8 else 257
    apart = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return np.count_nonzero(apart > COLOUR_TOLERANCE * scale) > 0.001 * apart.size
