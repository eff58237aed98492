"""What all readers of radiograph files share: the limits, the error, and the decoded image.

The limits hold a file to about 2 s and 500 MB on one slow core. They are checked against what a file's header
claims, before a single pixel is decoded, and again against what was decoded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fracture_core.errors import FractureCoreError

#: Largest file, in bytes: an uncompressed 16 bit image of the largest flat-panel detectors (4,336 x 4,336) fits.
MAX_BYTES = 64 * 2**20
#: Largest image, in pixels (rows x columns).
MAX_PIXELS = 32_000_000
#: Largest image once decoded, in bytes (pixels x samples x bytes per sample): the bound on memory.
MAX_DECODED_BYTES = 160 * 2**20
#: Longest side, in pixels.
MAX_SIDE = 16_384
#: Shortest side, in pixels: below this there is no anatomy to speak of.
MIN_SIDE = 16
#: Below this side, in pixels, a radiograph is read with a warning.
TINY_SIDE = 128


class UnreadableRadiograph(FractureCoreError):  # noqa: N818 (it reads as what it says)
    """A file that cannot be read as a radiograph; the message is written for clinicians.

    Attributes:
        missing: Share of the image, 0 to 1, that the file lacks, where reading it with `accept_cut_short` gives the
            rest; None where that would not help.
        lasting: Whether it is due to what the file contains, and the same file will be refused again: not where it
            could not be opened, or nothing was there to decode it.
    """

    def __init__(self, message: str, missing: float | None = None, *, lasting: bool = True) -> None:
        super().__init__(message)
        self.missing = missing
        self.lasting = lasting

    def __reduce__(self) -> tuple[type[UnreadableRadiograph], tuple[str, float | None], dict[str, bool]]:
        return type(self), (str(self), self.missing), {"lasting": self.lasting}


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """What a reader found in a file.

    Attributes:
        pixels: uint8 (H, W), 0 black (air) to 255 white (bone), upright.
        warnings: Sentences.
        missing: Share of the rows, 0 to 1, that the file does not hold; they are black.
    """

    pixels: np.ndarray
    warnings: tuple[str, ...] = ()
    missing: float = 0.0


def check_size(width: int, height: int, bytes_per_pixel: int = 1, *, max_pixels: int = MAX_PIXELS) -> None:
    """Check that an image of this size can be read.

    Args:
        width: Pixels.
        height: Pixels.
        bytes_per_pixel: Bytes that a pixel takes while it is decoded.
        max_pixels: Maximum number of pixels, if MAX_PIXELS is too many for the decoder.

    Raises:
        UnreadableRadiograph: It is too large or too small.
    """
    if width < 1 or height < 1:
        raise UnreadableRadiograph("The file says that its image has no pixels.")
    size = f"The image is {width:,} x {height:,} pixels"
    if min(width, height) < MIN_SIDE:
        raise UnreadableRadiograph(f"{size}; a radiograph needs at least {MIN_SIDE} per side.")
    if max(width, height) > MAX_SIDE:
        raise UnreadableRadiograph(f"{size}; the limit is {MAX_SIDE:,} per side.")
    if width * height > max_pixels:
        raise UnreadableRadiograph(
            f"{size}; the limit is {max_pixels / 1e6:.0f} million. Please export it at a smaller size."
        )
    if width * height * bytes_per_pixel > MAX_DECODED_BYTES:
        raise UnreadableRadiograph(
            f"{size} of {bytes_per_pixel} bytes and needs more than {MAX_DECODED_BYTES // 2**20} MB of memory. "
            "Please export it as 8 bit greyscale or at a smaller size."
        )


def size_warnings(width: int, height: int) -> tuple[str, ...]:
    """Return a warning if an image is tiny.

    Args:
        width: Pixels.
        height: Pixels.

    Returns:
        The warning, or none.
    """
    if min(width, height) >= TINY_SIDE:
        return ()
    return (f"The image is tiny ({width} x {height} pixels): a fracture may be too small to be visible.",)
