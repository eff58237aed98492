"""Turn samples of any kind into 8 bit grey: window high bit depths, flatten colour and transparency."""

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
    """Window unsigned 16 bit greys of unknown meaning to 8 bit.

    Black is 0 and white the maximum of the smallest depth (8 to 16 bit) that contains the brightest value, if the image
    uses at least half of that range; so 12 bit stored in 16 is not dark, and an 8 bit image widened to 16 stays as it
    was. An image that uses less is scaled between its 0.1 and 99.9 percentiles, with a warning.

    Args:
        deep: uint16 (H, W).

    Returns:
        uint8 (H, W), and warnings.
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
    """Count each of the 65,536 values of an image.

    Args:
        deep: uint16 (H, W).

    Returns:
        int64 (65536,).
    """
    counts = np.zeros(65_536, np.int64)
    # In strips, because bincount widens what it counts to 8 bytes a pixel; so does take in look_up.
    for strip in _strips(deep):
        counts += np.bincount(strip.ravel(), minlength=65_536)
    return counts


def look_up(table: np.ndarray, deep: np.ndarray) -> np.ndarray:
    """Map values through a table.

    Args:
        table: uint8 (65536,).
        deep: uint16 (H, W).

    Returns:
        uint8 (H, W).
    """
    grey = np.empty(deep.shape, np.uint8)
    for strip, into in zip(_strips(deep), _strips(grey), strict=True):
        np.take(table, strip, out=into)
    return grey


def _strips(image: np.ndarray) -> Iterator[np.ndarray]:
    rows = max(1_000_000 // image.shape[1], 1)
    return (image[start : start + rows] for start in range(0, len(image), rows))


def percentile_window(counts: np.ndarray) -> tuple[int, int]:
    """Return the values at the WINDOW_TAIL and 1 - WINDOW_TAIL quantiles of a histogram.

    Args:
        counts: The histogram.

    Returns:
        The two values.
    """
    cumulative = np.cumsum(counts)
    total = int(cumulative[-1])
    low = int(np.searchsorted(cumulative, WINDOW_TAIL * total, side="right"))
    high = int(np.searchsorted(cumulative, (1 - WINDOW_TAIL) * total, side="left"))
    return low, high


def window_floats(values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Window real or wide-integer greys to 8 bit.

    Values within 0..1 are used as they are; others are scaled between their 0.1 and 99.9 percentiles. What is not
    finite is shown black.

    Args:
        values: (H, W), any finite range.

    Returns:
        uint8 (H, W), and warnings.

    Raises:
        UnreadableRadiograph: No value is finite.
    """
    step = max(int((values.size / 1_000_000) ** 0.5), 1)
    with np.errstate(invalid="ignore"):
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
    """Scale unsigned integers to 8 bit.

    Args:
        values: Any shape.
        bits: 1 to 8.

    Returns:
        uint8, of the same shape.
    """
    top = (1 << bits) - 1
    table = to_grey(np.clip(np.arange(256) / top, 0, 1))
    return table[values]


def pixel_shape_warnings(height_by_width: float) -> tuple[str, ...]:
    """Return a warning if pixels are not square.

    Args:
        height_by_width: Height of a pixel divided by its width.

    Returns:
        The warning, or none.
    """
    if 1 / _SQUARE <= height_by_width <= _SQUARE:
        return ()
    shape = f"{height_by_width:.3g} times as high as wide"
    return (f"The file says that its pixels are {shape}; they are shown square.",)


def to_grey(levels: np.ndarray) -> np.ndarray:
    """Round grey levels to 8 bit.

    Args:
        levels: 0..1, any shape.

    Returns:
        uint8, of the same shape.
    """
    return (levels * 255 + 0.5).astype(np.uint8)


def flatten(samples: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Convert colour to luma (BT.601) and transparent parts to black; the depth stays.

    Args:
        samples: uint8 or uint16 (H, W, 2 to 4): grey and alpha, RGB or RGBA.

    Returns:
        (H, W), and warnings.
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
            # Programs that know nothing of transparency leave it at zero.
            warnings.append(ALL_TRANSPARENT_WARNING)
        elif alpha.min() < top:
            warnings.append(TRANSPARENT_WARNING)
            grey = cv2.multiply(grey, alpha, scale=1 / top)
    return grey, tuple(warnings)


def is_colour(samples: np.ndarray) -> bool:
    """Return whether an image is in colour: channels differ by more than COLOUR_TOLERANCE in 0.1 % of it.

    Args:
        samples: (H, W, 3 or more).

    Returns:
        Whether it is.
    """
    step = max(1, int((samples.shape[0] * samples.shape[1] / 500_000) ** 0.5))
    red, green, blue = (samples[::step, ::step, channel] for channel in range(3))
    scale = 1 if samples.dtype == np.uint8 else 257
    apart = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return np.count_nonzero(apart > COLOUR_TOLERANCE * scale) > 0.001 * apart.size
