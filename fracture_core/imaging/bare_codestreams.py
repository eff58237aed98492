"""Files that are one compressed stream: JPEG 2000 and JPEG XL, to grey."""

from __future__ import annotations

import io
from dataclasses import replace

import imagecodecs
import numpy as np
from PIL import Jpeg2KImagePlugin

from fracture_core.imaging.greyscale import flatten, scaled_integers, window_floats, window_integers
from fracture_core.imaging.jpeg_2000 import (
    SampleFormat,
    decode_jpeg_2000,
    jpeg_2000_samples,
    jpeg_2000_shape,
)
from fracture_core.imaging.limits import DecodedImage, UnreadableRadiograph, check_size, size_warnings
from fracture_core.imaging.raster.reader import pillow_to_grey
from fracture_core.imaging.truncation import blacken_missing, lacks_detail

#: Largest image, in pixels.
MAX_COMPRESSED_PIXELS = 20_000_000


def read_jpeg_2000(data: bytes, *, accept_cut_short: bool = False) -> DecodedImage:
    """Decode a JPEG 2000 file, bare or in its box, to grey.

    Args:
        data: The file.
        accept_cut_short: Read a truncated file as far as whole tiles and packets go.

    Returns:
        The image.

    Raises:
        UnreadableRadiograph: The file contains no image, or one that is too large, damaged or truncated.
    """
    height, width, samples = jpeg_2000_shape(data)
    check_size(width, height, samples * 2, max_pixels=MAX_COMPRESSED_PIXELS)
    form = jpeg_2000_samples(data)
    if form.ink or form.unusual_steps:
        return _converted_jpeg_2000(data, (height, width), form)
    try:
        stream = decode_jpeg_2000(data)
    except (UnreadableRadiograph, MemoryError):
        raise
    except Exception:  # samples of unlike sizes or depths are not damage
        return _converted_jpeg_2000(data, (height, width), form)
    image = _decoded(_at_full_depth(stream.values, form), (height, width))
    missing, truncated = blacken_missing(image.pixels, stream.present, accept=accept_cut_short)
    if stream.coarse:
        missing, truncated = lacks_detail(height, missing, truncated, accept=accept_cut_short)
    return replace(image, warnings=truncated + image.warnings, missing=missing)


def _at_full_depth(values: np.ndarray, form: SampleFormat) -> np.ndarray:
    """Return samples of at most 16 bits as unsigned ones, those of less than 8 bits scaled to 8.

    Signed samples that use little of their range stay as they are: their values may mean something.
    """
    if not 0 < form.bits <= 16:
        return values
    half = 1 << (form.bits - 1)
    if form.signed:
        if int(values.max()) - int(values.min()) < half:
            return values
        moved = np.clip(values.astype(np.int32) + half, 0, 2 * half - 1)
        values = moved.astype(np.uint8 if form.bits <= 8 else np.uint16)
    return scaled_integers(values, form.bits) if form.bits < 8 else values


def _converted_jpeg_2000(data: bytes, shape: tuple[int, int], form: SampleFormat) -> DecodedImage:
    """Decode with Pillow, which knows inks, and samples of unlike sizes and depths."""
    try:
        with Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(data)) as image:
            if image.size != shape[::-1]:
                raise _damaged("JPEG 2000")
            grey, warnings = pillow_to_grey(image)
    except (UnreadableRadiograph, MemoryError):
        raise
    except Exception as error:
        if form.ink or form.unusual_steps:
            what = "in ink (CMYK)" if form.ink else "whose samples are stored at a reduced size"
            raise UnreadableRadiograph(
                f"JPEG 2000 images {what} are not supported in this form. Please export it again as JPEG or PNG."
            ) from error
        raise _damaged("JPEG 2000") from error
    return DecodedImage(pixels=grey, warnings=size_warnings(*grey.shape[::-1]) + warnings)


def read_jpeg_xl(data: bytes) -> DecodedImage:
    """Decode a JPEG XL file to grey; the decoder applies the orientation.

    Args:
        data: The file.

    Returns:
        The image.

    Raises:
        UnreadableRadiograph: The file contains no image, or one that is too large, damaged or truncated.
    """
    width, height, bits = _jpeg_xl_size(data)
    check_size(width, height, 6, max_pixels=MAX_COMPRESSED_PIXELS)
    try:
        stored = imagecodecs.jpegxl_decode(data, index=0, numthreads=1)
    except MemoryError:
        raise
    except Exception as error:
        if "NEED_MORE_INPUT" in str(error):
            raise UnreadableRadiograph(
                "The file is truncated, and JPEG XL cannot be read in part. Please export or send it again."
            ) from error
        raise _damaged("JPEG XL") from error
    if stored.shape[:2] not in ((height, width), (width, height)):
        raise _damaged("JPEG XL")
    if bits < 8 and stored.dtype == np.uint8:
        stored = scaled_integers(stored, bits)
    return _decoded(stored, stored.shape[:2])


def _damaged(kind: str) -> UnreadableRadiograph:
    return UnreadableRadiograph(f"The {kind} image is damaged and cannot be decoded. Please export or send it again.")


def _decoded(stored: np.ndarray, shape: tuple[int, int]) -> DecodedImage:
    """Turn samples (H, W) or (H, W, n) of any depth into a decoded image."""
    if stored.shape[:2] != shape or stored.ndim not in (2, 3) or not stored.size:
        raise _damaged("compressed")
    warnings: tuple[str, ...] = ()
    if stored.dtype.kind not in "u" or stored.dtype.itemsize > 2:
        stored, warnings = window_floats(_luma(stored))
    if stored.ndim == 3:
        stored = stored[:, :, 0] if stored.shape[2] == 1 else stored[:, :, :4]
        if stored.ndim == 3:
            stored, warnings = flatten(np.ascontiguousarray(stored))
    if stored.dtype == np.uint16:
        stored, more = window_integers(np.ascontiguousarray(stored))
        warnings += more
    grey = np.ascontiguousarray(stored)
    return DecodedImage(pixels=grey, warnings=size_warnings(*grey.shape[::-1]) + warnings)


def _luma(samples: np.ndarray) -> np.ndarray:
    """Return the grey (BT.601) of samples (H, W) or (H, W, n) that are not unsigned numbers of 8 or 16 bits."""
    if samples.ndim == 2 or samples.shape[2] < 3:
        return samples if samples.ndim == 2 else samples[:, :, 0]
    return samples[:, :, :3].astype(np.float64) @ (0.299, 0.587, 0.114)


def _jpeg_xl_size(data: bytes) -> tuple[int, int, int]:
    """Return width, height and bits of a JPEG XL image (ISO/IEC 18181-1, its first headers), before it is decoded.

    Bits are 8 where the header goes on to other things before it says them.
    """
    start = 0 if data[:2] == b"\xff\x0a" else _jpeg_xl_stream(data)
    bits = int.from_bytes(data[start + 2 : start + 18], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    small = take(1)

    def side() -> int:
        if small:
            return 8 * (take(5) + 1)
        return take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    ratio = take(3)
    across, down = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    width = height * across // down if ratio else side()
    everything_usual, more = take(1), take(1)
    if everything_usual or more or take(1):  # the last: samples are real numbers
        return width, height, 8
    return width, height, (8, 10, 12, 0)[choice] if (choice := take(2)) < 3 else 1 + take(6)


def _jpeg_xl_stream(data: bytes) -> int:
    """Return where the stream begins in a file made of boxes; other boxes may hold its first bytes by chance."""
    place = 0
    while place + 8 <= len(data):
        kind, length = data[place + 4 : place + 8], int.from_bytes(data[place : place + 4], "big")
        if kind in (b"jxlc", b"jxlp"):
            return place + (8 if length != 1 else 16) + (4 if kind == b"jxlp" else 0)
        if length == 1:
            length = int.from_bytes(data[place + 8 : place + 16], "big")
        if length < 8:
            break
        place += length
    return 0
