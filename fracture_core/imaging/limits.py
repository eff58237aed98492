"""What every reader of radiograph files shares: the limits, the refusal, and the picture handed back.

The limits hold a file to about 2 s and 500 MB on one slow core. They are checked against what a file's header
claims, before a single pixel is decoded, and again against what was decoded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fracture_core.errors import FractureCoreError

#: Largest file, in bytes: an uncompressed 16 bit picture of the largest flat-panel detectors (4,336 x 4,336) fits.
MAX_BYTES = 64 * 2**20
#: Largest picture, in pixels (rows x columns).
MAX_PIXELS = 32_000_000
#: Largest picture once decoded, in bytes (pixels x samples x bytes a sample): the bound on memory.
MAX_DECODED_BYTES = 160 * 2**20
#: Longest side, in pixels.
MAX_SIDE = 16_384
#: Shortest side, in pixels: below this there is no anatomy to speak of.
MIN_SIDE = 16
#: Below this side, in pixels, a radiograph is read with a warning.
TINY_SIDE = 128


class UnreadableRadiograph(FractureCoreError):  # noqa: N818 (it reads as what it says)
    """A file that cannot be read as a radiograph; the message is a sentence that a clinician understands."""


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """What a reader found in a file.

    `pixels`: uint8 (H, W), 0 black (air) to 255 white (bone), upright. `missing`: share of the rows, counted from
    the bottom, that the file does not hold. `warnings`: sentences.
    """

    pixels: np.ndarray
    warnings: tuple[str, ...] = ()
    missing: float = 0.0


def check_size(width: int, height: int, bytes_a_pixel: int = 1, *, max_pixels: int = MAX_PIXELS) -> None:
    """Raise UnreadableRadiograph where a picture of this size (pixels) is too large or too small to be read."""
    if width < 1 or height < 1:
        raise UnreadableRadiograph("The file says that its picture has no pixels.")
    if min(width, height) < MIN_SIDE:
        raise UnreadableRadiograph(
            f"The picture is {width:,} x {height:,} pixels; a radiograph needs at least {MIN_SIDE} on each side."
        )
    if max(width, height) > MAX_SIDE:
        raise UnreadableRadiograph(
            f"The picture is {width:,} x {height:,} pixels; at most {MAX_SIDE:,} on a side can be read here."
        )
    if width * height > max_pixels:
        raise UnreadableRadiograph(
            f"The picture is {width:,} x {height:,} pixels; at most {max_pixels / 1e6:.0f} million can be read here. "
            "Please export it at a smaller size."
        )
    if width * height * bytes_a_pixel > MAX_DECODED_BYTES:
        raise UnreadableRadiograph(
            f"The picture ({width:,} x {height:,} pixels, {bytes_a_pixel} bytes each) needs more than "
            f"{MAX_DECODED_BYTES // 2**20} MB of memory. Please export it as 8 bit greyscale or at a smaller size."
        )


def size_warnings(width: int, height: int) -> tuple[str, ...]:
    """Give the warning that a tiny picture deserves, or none."""
    if min(width, height) >= TINY_SIDE:
        return ()
    return (f"The picture is tiny ({width} x {height} pixels): a fracture may be too small to be seen in it.",)


def percent(share: float) -> str:
    """Print a share (0..1) as whole per cent, never rounding something to nothing or to all."""
    if 0 < share < 0.01:
        return "less than 1 %"
    return f"{min(round(100 * share), 99)} %" if share < 1 else "100 %"
