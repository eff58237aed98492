"""Compressed streams to samples, and which of their rows were really in them.

JPEG and JPEG-LS streams occur as files of their own, within DICOM files and within TIFF files; they are decoded here
for all three. Every decoder writes into memory that was set to zero before, so that nothing read earlier can show.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import imagecodecs
import numpy as np

from fracture_core.imaging.jpeg_damage import is_in_step, rows_present
from fracture_core.imaging.jpeg_header import END_OF_IMAGE, JpegHeader
from fracture_core.imaging.limits import UnreadableRadiograph

#: Bytes that are inflated at a time, and how many times those that are wanted a stream may unpack to while its end is
#: looked for.
_STEP, _MOST_SURPLUS = 65_536, 4


class Samples(NamedTuple):
    """Decoded samples of a stream.

    Attributes:
        values: uint8 or uint16, (H, W) or (H, W, n).
        present: Which rows are in the stream, bool (H,).
        sound: False where data within it are wrong, so that which rows are right cannot be told.
    """

    values: np.ndarray
    present: np.ndarray
    sound: bool = True


def decode_jpeg(data: bytes, header: JpegHeader, *, colour: str | None, tables: bytes = b"") -> Samples:
    """Decode a JPEG or JPEG-LS stream.

    Args:
        data: The stream, from its start-of-image marker.
        header: Of the stream.
        colour: What its samples are, where the stream itself does not say: "RGB" or "YCBCR"; both give RGB. None
            leaves them as they are coded. "GRAY" gives the grey of YCbCr.
        tables: Quantisation and Huffman tables that the stream leaves out.

    Returns:
        The samples.

    Raises:
        ValueError: The decoded image is not of the size that its header gives.
        Exception: Whatever the decoder raises for damage.
    """
    if header.jpeg_ls:
        return decode_jpeg_ls(data, header)
    options = _colour_options(header, colour)

    def decode(stream: bytes) -> np.ndarray:
        return imagecodecs.jpeg8_decode(stream, tables=tables or None, **options)

    whole = True
    try:
        samples = decode(data)
    except MemoryError:
        raise
    except Exception:
        if data[header.end : header.end + 2] == END_OF_IMAGE:
            raise
        # What follows the coded data is no JPEG; the data before it are.
        data, whole = data[: header.end] + END_OF_IMAGE, False
        samples = decode(data)
    if samples.shape[:2] != (header.height, header.width):
        raise ValueError("The image is not of the size that its header gives.")
    sound = not whole or is_in_step(data, header, decode, samples, tables=tables)
    return Samples(samples, rows_present(data, header, decode, samples), sound)


def _colour_options(header: JpegHeader, colour: str | None) -> dict[str, str]:
    if header.components == 1 or colour == "GRAY":
        return {"outcolorspace": "gray"} if header.components == 3 else {}
    if header.components != 3:
        return {}
    if header.lossless or colour is None:
        return {"colorspace": "RGB", "outcolorspace": "RGB"}
    # A stream that says what it is is believed before the file around it.
    stated = "RGB" if header.says_rgb else "YCBCR" if header.jfif or header.transform == 1 else colour
    return {"colorspace": stated, "outcolorspace": "RGB"}


def decode_jpeg_ls(data: bytes, header: JpegHeader) -> Samples:
    """Decode a JPEG-LS stream as far as it goes.

    Args:
        data: The stream, from its start-of-image marker.
        header: Its header.

    Returns:
        The samples.

    Raises:
        UnreadableRadiograph: Its components differ in size, which no decoder here knows.
    """
    if header.subsampled:
        raise UnreadableRadiograph(
            "JPEG-LS images whose colours are stored at a smaller size are not supported. Please export it again as "
            "JPEG or PNG."
        )
    by_plane = header.components > 1 and header.scans == header.components
    shape: tuple[int, ...] = header.shape[:2] if header.components == 1 else header.shape
    if by_plane:
        shape = (header.components, header.height, header.width)
    dtype = np.uint8 if header.precision <= 8 else np.uint16
    samples = np.zeros(shape, dtype)
    goes_on = data.rstrip(b"\0").endswith(END_OF_IMAGE)
    # A stream that just stops keeps CharLS searching for seconds; one that ends with a marker does not.
    data += END_OF_IMAGE
    whole = _written(data, samples)
    if not whole:
        # The decoder writes row by row: what two runs over unlike memory have in common was really decoded.
        other = np.full(shape, np.iinfo(dtype).max, dtype)
        whole = _written(data, other)
    rows_first = samples.transpose(1, 2, 0) if by_plane else samples
    if whole:
        return Samples(np.ascontiguousarray(rows_first), np.ones(header.height, bool))
    same = samples == other
    same = same.all(axis=(0, 2)) if by_plane else same.reshape(header.height, -1).all(axis=1)
    # A row after the end of the data may be the same by chance.
    present = np.logical_and.accumulate(same)
    values = np.where(present.reshape(-1, *[1] * (rows_first.ndim - 1)), rows_first, 0)
    # The decoder notices wrong data some way after them.
    return Samples(np.ascontiguousarray(values), present, sound=not goes_on)


def _written(data: bytes, into: np.ndarray) -> bool:
    """Decode JPEG-LS into memory; return whether the stream went on to the end."""
    try:
        imagecodecs.jpegls_decode(data, out=into)
    except imagecodecs.JpeglsError:
        return False
    return True


def inflate(stored: bytes, size: int, *, raw: bool = False) -> tuple[bytes, bool]:
    """Inflate the first bytes of a stream, and follow it to its end.

    Args:
        stored: The stream; it may be cut off, or go on beyond what is wanted.
        size: Most bytes that are wanted.
        raw: Whether it is without the header and the checksum of zlib.

    Returns:
        At most `size` bytes, and whether they are sound: False where codes that follow or the checksum are wrong, or
        the stream ends before what was stored does.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS)
    parts, held = [], 0
    try:
        for start in range(0, len(stored), _STEP):
            data = stored[start : start + _STEP]
            while data and not inflater.eof and held < _MOST_SURPLUS * size:
                part = inflater.decompress(data, _MOST_SURPLUS * size - held)
                parts.append(part[: max(size - held, 0)])
                held, data = held + len(part), inflater.unconsumed_tail
    except zlib.error:
        return b"".join(parts), False
    # A stream that seems to end early was led there by wrong data.
    return b"".join(parts), not (inflater.eof and held < size and holds_more(inflater.unused_data))


def holds_more(rest: bytes) -> bool:
    """Return whether bytes that follow those that are wanted are data, too.

    Args:
        rest: The bytes.

    Returns:
        Whether they differ from each other: one byte, or one value throughout, is padding.
    """
    return len(rest.strip(rest[:1])) > 0
