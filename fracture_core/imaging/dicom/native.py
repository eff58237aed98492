"""Pixels that a DICOM file stores as they are, or in runs (RLE): as far as the file goes, and which rows those are.

Memory that a frame is put into is set to zero before, so what the file lacks can never show anything else.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from fracture_core.imaging.limits import UnreadableRadiograph
from fracture_core.imaging.packbits import unpack_bits

Samples = tuple[np.ndarray, np.ndarray]
Shape = tuple[int, int, int]

_RLE_HEADER = 64


def native_samples(
    data: bytes,
    shape: Shape,
    frame: int,
    *,
    allocated: int,
    big_endian: bool = False,
    swapped: bool = False,
    by_plane: bool = False,
    halved: bool = False,
) -> Samples:
    """Return one frame of uncompressed pixel data.

    Args:
        data: Of all frames.
        shape: Rows, columns and samples.
        frame: Which, from 0.
        allocated: Bits of a stored sample: 1, 8, 12, 16 or 32.
        big_endian: Whether words are stored with their high byte first.
        swapped: Whether bytes are stored in such words, two by two.
        by_plane: Whether samples are stored one after the other, not pixel by pixel.
        halved: Whether two pixels share their colour (YBR_FULL_422).

    Returns:
        Samples (H, W, n), unsigned; and which rows are there, bool (H,).
    """
    rows, columns, samples = shape
    per_row = columns * (2 if halved else samples) * allocated
    start = frame * rows * per_row
    if swapped:
        words = np.frombuffer(data, np.uint8, len(data) // 2 * 2).reshape(-1, 2)
        data = words[:, ::-1].tobytes()
    if allocated in (1, 12):
        return _packed(data, shape, start, allocated)
    part = data[start // 8 : (start + rows * per_row) // 8]
    dtype = np.dtype(f"{'>' if big_endian else '<'}u{allocated // 8}")
    flat = np.zeros(rows * per_row // allocated, dtype.newbyteorder("="))
    held = np.frombuffer(part, dtype, len(part) // dtype.itemsize)
    flat[: len(held)] = held
    if halved:
        present = np.arange(1, rows + 1) * columns * 2 <= len(held)
        return _full_colour(flat.reshape(rows, -1, 4)), present
    if by_plane and samples > 1:
        last = len(held) - (samples - 1) * rows * columns
        present = np.arange(1, rows + 1) * columns <= last
        return np.ascontiguousarray(flat.reshape(samples, rows, columns).transpose(1, 2, 0)), present
    present = np.arange(1, rows + 1) * columns * samples <= len(held)
    return flat.reshape(shape), present


def _packed(data: bytes, shape: Shape, start: int, allocated: int) -> Samples:
    """Return samples of 1 or 12 bits, which follow each other without gaps, the low bits first."""
    rows, columns, samples = shape
    count = rows * columns * samples
    bits = np.unpackbits(
        np.frombuffer(data, np.uint8)[start // 8 : -(-(start + count * allocated) // 8)], bitorder="little"
    )[start % 8 :]
    held = min(len(bits) // allocated, count)
    flat = np.zeros(count, np.uint16 if allocated > 8 else np.uint8)
    weights = 1 << np.arange(allocated)
    flat[:held] = bits[: held * allocated].reshape(held, allocated) @ weights
    return flat.reshape(shape), np.arange(1, rows + 1) * columns * samples <= held


def _full_colour(pairs: np.ndarray) -> np.ndarray:
    """Give each of two pixels (Y, Y, Cb, Cr) its own colour: (H, W / 2, 4) -> (H, W, 3)."""
    rows, half = pairs.shape[:2]
    full = np.empty((rows, half, 2, 3), pairs.dtype)
    full[..., 0] = pairs[:, :, :2]
    full[..., 1:] = pairs[:, :, None, 2:]
    return full.reshape(rows, half * 2, 3)


def rle_samples(data: bytes, shape: Shape, allocated: int) -> Samples:
    """Decode a frame of run-length encoded pixel data (PS3.5, annex G).

    Args:
        data: The frame's bytes.
        shape: Rows, columns and samples per pixel.
        allocated: Bits allocated per sample, a multiple of 8.

    Returns:
        Unsigned samples, (rows, columns, samples), and which rows are present, bool (rows,).

    Raises:
        UnreadableRadiograph: The frame's header is not one, or does not fit the image.
    """
    rows, columns, samples = shape
    size = allocated // 8
    if len(data) < _RLE_HEADER:
        raise UnreadableRadiograph("The file is truncated: it contains no image data.")
    count, *offsets = struct.unpack_from("<16I", data)
    if count != samples * size or list(offsets[:count]) != sorted(offsets[:count]) or offsets[0] < _RLE_HEADER:
        raise UnreadableRadiograph("The DICOM file is damaged: its run-length header does not fit the image.")
    values = np.zeros((samples, size, rows * columns), np.uint8)
    held = rows * columns
    limits = (*offsets[1:count], len(data))
    for number, (start, end) in enumerate(zip(offsets[:count], limits, strict=True)):
        segment = unpack_bits(data[start:end], rows * columns)
        sample, significance = divmod(number, size)
        # The most significant byte comes first; memory here keeps it last.
        values[sample, size - 1 - significance, : len(segment)] = segment
        held = min(held, len(segment))
    interleaved = np.ascontiguousarray(values.transpose(2, 0, 1)).view(f"<u{size}")
    return interleaved.reshape(shape), np.arange(1, rows + 1) * columns <= held


def deflated_samples(data: bytes, shape: Shape, allocated: int, *, by_plane: bool) -> Samples:
    """Decode a frame that is deflated by itself.

    Args:
        data: The frame's bytes.
        shape: Rows, columns and samples per pixel.
        allocated: Bits allocated per sample.
        by_plane: Whether the samples are stored plane by plane.

    Returns:
        Samples, (rows, columns, samples), and which rows are present, bool (rows,), as from `native_samples`.
    """
    size = int(np.prod(shape)) * allocated // 8
    inflater, parts, left = zlib.decompressobj(-zlib.MAX_WBITS), [], size
    for start in range(0, len(data), 65_536):
        try:
            parts.append(inflater.decompress(data[start : start + 65_536], left))
        except zlib.error:
            break
        left -= len(parts[-1])
        if left <= 0:
            break
    return native_samples(b"".join(parts), shape, 0, allocated=allocated, by_plane=by_plane)
