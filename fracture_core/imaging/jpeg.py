"""JPEG and JPEG-LS files to grey: all depths, lossless or not, and how much of a truncated file is missing."""

from __future__ import annotations

import io

import numpy as np
from PIL import JpegImagePlugin

from fracture_core.imaging.appearance.screen_photo import tint_warnings
from fracture_core.imaging.codestreams import Samples, decode_jpeg
from fracture_core.imaging.exif import turned
from fracture_core.imaging.greyscale import (
    COLOUR_WARNING,
    flatten,
    is_colour,
    pixel_shape_warnings,
    scaled_integers,
    window_integers,
)
from fracture_core.imaging.jpeg_damage import is_in_step, rows_present
from fracture_core.imaging.jpeg_header import END_OF_IMAGE, JpegHeader, read_header
from fracture_core.imaging.limits import DecodedImage, UnreadableRadiograph, check_size, size_warnings
from fracture_core.imaging.truncation import blacken_missing, lacks_detail

#: A progressive file repeats its passes over the whole image; passes x pixels beyond this would take seconds.
MAX_SCANNED_PIXELS = 400_000_000
#: Frame headers that every program decodes: baseline, extended and progressive, Huffman coded.
_EVERYWHERE = (0xC0, 0xC1, 0xC2)
DAMAGED = "The JPEG image is damaged and cannot be decoded."


def read_jpeg(data: bytes, *, accept_cut_short: bool = False) -> DecodedImage:
    """Decode a JPEG or JPEG-LS file to grey.

    Args:
        data: The file.
        accept_cut_short: Read a truncated or damaged file as far as it goes, its missing rows black (air).

    Returns:
        The image.

    Raises:
        UnreadableRadiograph: The file contains no image, is too large, or is truncated and that was not accepted.
    """
    header = read_header(data)
    _check(header)
    (grey, present, sound), warnings = _decode(data, header)
    missing, truncated = blacken_missing(
        grey, present, accept=accept_cut_short, damaged=bool(header.flaws), sound=sound
    )
    if not header.complete:
        missing, truncated = lacks_detail(header.height, missing, truncated, accept=accept_cut_short)
    grey = turned(grey, header.orientation)
    warnings = size_warnings(*grey.shape[::-1]) + truncated + pixel_shape_warnings(header.pixel_shape) + warnings
    return DecodedImage(pixels=grey, warnings=warnings, missing=missing)


def shows_as_read(data: bytes) -> bool:
    """Return whether other programs show the same pixels of this JPEG file as `read_jpeg` returns.

    This holds for a complete 8 bit grey image (baseline or progressive), upright, with square pixels, without a colour
    profile that a display would apply.

    Args:
        data: The file.

    Returns:
        Whether they do.
    """
    try:
        header = read_header(data)
    except UnreadableRadiograph:
        return False
    plain = header.components == 1 and header.precision == 8 and header.frame in _EVERYWHERE
    upright = header.orientation == 1 and header.pixel_shape == 1.0
    return plain and upright and header.complete and not header.flaws and b"ICC_PROFILE\0" not in data[: 2**16]


def _check(header: JpegHeader) -> None:
    if not 1 <= header.components <= 4 or (header.components == 4 and header.precision != 8):
        raise UnreadableRadiograph(
            f"JPEG images of {header.components} samples of {header.precision} bits are not supported. "
            "Please export it as greyscale."
        )
    # A progressive decoder keeps every coefficient (2 bytes) beside the image; ink passes through RGB.
    bytes_per_sample = 3 if header.progressive else 2 if header.components == 4 or header.precision > 8 else 1
    check_size(header.width, header.height, header.components * bytes_per_sample)
    if header.scans * header.width * header.height > MAX_SCANNED_PIXELS:
        raise UnreadableRadiograph(
            f"The JPEG image has {header.scans} passes over {header.width:,} x {header.height:,} pixels, too many to "
            "be read. Please export it again as an ordinary (baseline) JPEG."
        )


def _decode(data: bytes, header: JpegHeader) -> tuple[Samples, tuple[str, ...]]:
    """Decode to grey uint8 (H, W), as stored and writable; and warnings."""
    try:
        if header.components == 4:
            stored = _decode_ink(data)
            present = rows_present(data, header, _decode_ink, stored)
            sound = is_in_step(data, header, _decode_ink, stored)
            grey, warnings = flatten(stored)
            return Samples(grey, present, sound), warnings
        # YCbCr carries its own grey: the colour channels are not even transformed.
        colour = None if header.lossless else "GRAY"
        stored, present, sound = decode_jpeg(data, header, colour=colour)
    except (UnreadableRadiograph, MemoryError):
        raise
    except Exception as error:  # whatever the decoder trips over, the reader is told one thing
        raise UnreadableRadiograph(DAMAGED) from error
    if stored.ndim == 3:
        stored, warnings = flatten(np.ascontiguousarray(stored))
    else:
        warnings = _colour_warnings(data, header) if header.components == 3 else ()
    if stored.dtype != np.uint8:
        # What decoders put where data are missing is no grey of the image.
        stored[~present] = 0
        stored, more = window_integers(stored)
        warnings += more
    elif header.precision < 8:
        stored = scaled_integers(stored, header.precision)
    return Samples(stored, present, sound), warnings


def _decode_ink(data: bytes) -> np.ndarray:
    """Decode ink to RGB, uint8 (H, W, 3); Pillow knows Adobe's inverted inks."""
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data + END_OF_IMAGE)) as image:
        return np.array(image.convert("RGB"))


def _colour_warnings(data: bytes, header: JpegHeader) -> tuple[str, ...]:
    """Look at the image at an eighth of its size, which needs no inverse transform."""
    try:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
            image.draft("RGB", (max(header.width // 8, 1), max(header.height // 8, 1)))
            small = np.asarray(image)
    except Exception:  # a damaged end: what is missing is said elsewhere
        return ()
    return (COLOUR_WARNING, *tint_warnings(small)) if small.ndim == 3 and is_colour(small) else ()
