"""Compressed streams to samples, and which of their rows were really in them.

JPEG and JPEG-LS streams occur as files of their own, within DICOM files and within TIFF files; they are decoded here
for all three. Every decoder writes into memory that was set to zero before, so that nothing read earlier can show.
"""

from __future__ import annotations

import imagecodecs
import numpy as np

from fracture_core.imaging.jpeg_damage import rows_present
from fracture_core.imaging.jpeg_header import END_OF_IMAGE, JpegHeader
from fracture_core.imaging.limits import UnreadableRadiograph

Samples = tuple[np.ndarray, np.ndarray]


def decode_jpeg(data: bytes, header: JpegHeader, *, colour: str | None, tables: bytes = b"") -> Samples:
    """Decode a JPEG or JPEG-LS stream.

    Args:
        data: The stream, from its start-of-image marker.
        header: Of the stream.
        colour: What its samples are, where the stream itself does not say: "RGB" or "YCBCR"; both give RGB. None
            leaves them as they are coded. "GRAY" gives the grey of YCbCr.
        tables: Quantisation and Huffman tables that the stream leaves out.

    Returns:
        Samples, uint8 or uint16, (H, W) or (H, W, n); and which rows are there, bool (H,).

    Raises:
        ValueError: The decoded image is not of the size that its header gives.
        Exception: Whatever the decoder raises for damage.
    """
    if header.jpeg_ls:
        return decode_jpeg_ls(data, header)
    options = _colour_options(header, colour)

    def decode(stream: bytes) -> np.ndarray:
        return imagecodecs.jpeg8_decode(stream, tables=tables or None, **options)

    try:
        samples = decode(data)
    except Exception:
        if data[header.end : header.end + 2] == END_OF_IMAGE:
            raise
        # What follows the coded data is no JPEG; the data before it are.
        data = data[: header.end] + END_OF_IMAGE
        samples = decode(data)
    if samples.shape[:2] != (header.height, header.width):
        raise ValueError("The image is not of the size that its header gives.")
    return samples, rows_present(data, header, decode, samples)


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
        Samples, uint8 or uint16, (H, W) or (H, W, n); and which rows are present, bool (H,).

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
    # A stream that just stops keeps CharLS searching for seconds; one that ends with a marker does not.
    data += END_OF_IMAGE
    whole = _written(data, samples)
    if not whole:
        # The decoder writes row by row: what two runs over unlike memory have in common was really decoded.
        other = np.full(shape, np.iinfo(dtype).max, dtype)
        whole = _written(data, other)
    rows_first = samples.transpose(1, 2, 0) if by_plane else samples
    if whole:
        return np.ascontiguousarray(rows_first), np.ones(header.height, bool)
    same = samples == other
    same = same.all(axis=(0, 2)) if by_plane else same.reshape(header.height, -1).all(axis=1)
    # A row after the end of the data may be the same by chance.
    present = np.logical_and.accumulate(same)
    return np.ascontiguousarray(np.where(present.reshape(-1, *[1] * (rows_first.ndim - 1)), rows_first, 0)), present


def is_damaged(data: bytes, header: JpegHeader) -> bool:
    """Tell whether rows that a stream lacks are damaged, not cut off.

    Args:
        data: The stream.
        header: Of the stream.

    Returns:
        True where it has markers that cannot be there, or, of JPEG-LS, where it goes on to its end.
    """
    return bool(header.flaws) or (header.jpeg_ls and data.rstrip(b"\0").endswith(END_OF_IMAGE))


def _written(data: bytes, into: np.ndarray) -> bool:
    """Decode JPEG-LS into memory; return whether the stream went on to the end."""
    try:
        imagecodecs.jpegls_decode(data, out=into)
    except imagecodecs.JpeglsError:
        return False
    return True
