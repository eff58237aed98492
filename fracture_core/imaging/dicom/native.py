"""Pixels that a DICOM file stores as they are, or in runs (RLE): as far as the file goes, and which rows those are.

Memory that a frame is put into is set to zero before, so what the file lacks can never show anything else.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from fracture_core.imaging.codestreams import holds_more, inflate
from fracture_core.imaging.limits import UnreadableRadiograph
from fracture_core.imaging.packbits import unpack_bits

Shape = tuple[int, int, int]

_RLE_HEADER = 64


class Samples(NamedTuple):
    """Decoded samples of a frame.

    Attributes:
        values: Unsigned (rows, columns, samples).
        present: Which rows are in the file, bool (rows,).
        more: Whether the file holds pixel data beyond what the shape describes.
        sound: False where compressed data are wrong, so that rows that seem to be there may be, too.
    """

    values: np.ndarray
    present: np.ndarray
    more: bool = False
    sound: bool = True


def native_samples(
    data: bytes,
    shape: Shape,
    frame: int,
    *,
    frames: int = 1,
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
        frames: How many there are, by the header.
        allocated: Bits of a stored sample: 1, 8, 12, 16 or 32.
        big_endian: Whether words are stored with their high byte first.
        swapped: Whether bytes are stored in such words, two by two.
        by_plane: Whether samples are stored one after the other, not pixel by pixel.
        halved: Whether two pixels share their colour (YBR_FULL_422).

    Returns:
        The samples.
    """
    rows, columns, samples = shape
    per_row = columns * (2 if halved else samples) * allocated
    start = frame * rows * per_row
    if swapped:
        words = np.frombuffer(data, np.uint8, len(data) // 2 * 2).reshape(-1, 2)
        data = words[:, ::-1].tobytes()
    more = holds_more(data[-(-max(frames, frame + 1) * rows * per_row // 8) :])
    if allocated in (1, 12):
        return Samples(*_packed(data, shape, start, allocated), more)
    part = data[start // 8 : (start + rows * per_row) // 8]
    dtype = np.dtype(f"{'>' if big_endian else '<'}u{allocated // 8}")
    flat = np.zeros(rows * per_row // allocated, dtype.newbyteorder("="))
    held = np.frombuffer(part, dtype, len(part) // dtype.itemsize)
    flat[: len(held)] = held
    if halved:
        present = np.arange(1, rows + 1) * columns * 2 <= len(held)
        return Samples(_full_colour(flat.reshape(rows, -1, 4)), present, more)
    if by_plane and samples > 1:
        last = len(held) - (samples - 1) * rows * columns
        present = np.arange(1, rows + 1) * columns <= last
        planes = flat.reshape(samples, rows, columns)
        return Samples(np.ascontiguousarray(planes.transpose(1, 2, 0)), present, more)
    present = np.arange(1, rows + 1) * columns * samples <= len(held)
    return Samples(flat.reshape(shape), present, more)


def _packed(data: bytes, shape: Shape, start: int, allocated: int) -> tuple[np.ndarray, np.ndarray]:
    """Return samples of 1 or 12 bits, which follow each other without gaps, the low bits first."""
    rows, columns, samples = shape
    count = rows * columns * samples
    stored = np.frombuffer(data, np.uint8)[start // 8 : -(-(start + count * allocated) // 8)]
    if allocated == 1:
        bits = np.unpackbits(stored, bitorder="little")[start % 8 :]
        held, flat = min(len(bits), count), np.zeros(count, np.uint8)
        flat[:held] = bits[:held]
    else:
        # In parts of four bits, because every other sample begins within a byte.
        parts = np.stack([stored & 15, stored >> 4], axis=1).ravel()[start % 8 // 4 :]
        held, flat = min(len(parts) // 3, count), np.zeros(count, np.uint16)
        for place in range(3):
            flat[:held] |= parts[place : 3 * held : 3].astype(np.uint16) << (4 * place)
    return flat.reshape(shape), np.arange(1, rows + 1) * columns * samples <= held


def _full_colour(pairs: np.ndarray) -> np.ndarray:
    """Give each of two pixels (Y, Y, Cb, Cr) its own colour: (H, W / 2, 4) -> (H, W, 3)."""
    rows, half = pairs.shape[:2]
    full = np.empty((rows, half, 2, 3), pairs.dtype)
    full[..., 0] = pairs[:, :, :2]
    full[..., 1:] = pairs[:, :, None, 2:]
    return full.reshape(rows, half * 2, 3)


def rle_samples(data: bytes, shape: Shape, allocated: int, *, ends: bool = False) -> Samples:
    """Decode a frame of run-length encoded pixel data (PS3.5, annex G).

    Args:
        data: The frame's bytes.
        shape: Rows, columns and samples per pixel.
        allocated: Bits allocated per sample, a multiple of 8.
        ends: Whether the frame's end is in the file: then its last segment is not cut off.

    Returns:
        The samples.

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
    held, sound = rows * columns, True
    limits = (*offsets[1:count], len(data))
    for number, (start, end) in enumerate(zip(offsets[:count], limits, strict=True)):
        segment = unpack_bits(data[start:end], rows * columns + 1)
        # One that is whole holds as many bytes as the image has pixels, no more and no less.
        if len(segment) > rows * columns or (len(segment) < rows * columns and (ends or number < count - 1)):
            sound = False
        segment = segment[: rows * columns]
        sample, significance = divmod(number, size)
        # The most significant byte comes first; memory here keeps it last.
        values[sample, size - 1 - significance, : len(segment)] = segment
        held = min(held, len(segment))
    interleaved = np.ascontiguousarray(values.transpose(2, 0, 1)).view(f"<u{size}")
    return Samples(interleaved.reshape(shape), np.arange(1, rows + 1) * columns <= held, sound=sound)


def deflated_samples(data: bytes, shape: Shape, allocated: int, *, by_plane: bool) -> Samples:
    """Decode a frame that is deflated by itself.

    Args:
        data: The frame's bytes.
        shape: Rows, columns and samples per pixel.
        allocated: Bits allocated per sample.
        by_plane: Whether the samples are stored plane by plane.

    Returns:
        The samples.
    """
    rows, columns, samples = shape
    # Two more rows show whether the frame goes on, which one that is sound does not.
    inflated, sound = inflate(data, (rows + 2) * columns * samples * allocated // 8, raw=True)
    frame = native_samples(inflated, shape, 0, allocated=allocated, by_plane=by_plane)
    return frame._replace(more=False, sound=sound and not frame.more)
