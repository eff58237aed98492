"""The samples of a TIFF image, put together strip by strip or tile by tile.

Each segment is decompressed by itself, into memory that was set to zero before, and counted: a row belongs to the
image only where every sample of it was in the file. No library is trusted to have written what it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import imagecodecs
import numpy as np

from fracture_core.imaging.codestreams import decode_jpeg, inflate
from fracture_core.imaging.jpeg_2000 import jpeg_2000_shape
from fracture_core.imaging.jpeg_header import JpegHeader, read_header
from fracture_core.imaging.limits import UnreadableRadiograph
from fracture_core.imaging.packbits import unpack_bits
from fracture_core.imaging.tiff.fax import fax_lines
from fracture_core.imaging.tiff.layout import (
    CCITT,
    DEFLATE,
    IMAGES,
    JPEG,
    JPEG_2000,
    LZMA,
    LZW,
    NONE,
    OLD_JPEG,
    PACKBITS,
    RGB,
    WEBP,
    YCBCR,
    ZSTD,
    TiffLayout,
    unsupported,
)

#: Compressions that differences of neighbours (predictors) go with; with others the tag means nothing.
_PREDICTED = (LZW, LZMA, ZSTD, *DEFLATE)
#: What one code of LZW may stand for, in bytes: the last code of a truncated stream may be any.
_LONGEST_LZW_CODE = 4096


@dataclass(frozen=True, eq=False)
class TiffSamples:
    """The decoded samples of a TIFF image.

    Attributes:
        values: (H, W, samples), as stored but for depth and byte order; 0 where the file holds nothing.
        present: bool (H,), whether the whole row was in the file.
        damaged: Whether a segment that was in the file could not be decoded.
        sound: False where a segment holds wrong data, so that which of its rows are right cannot be told.
    """

    values: np.ndarray
    present: np.ndarray
    damaged: bool
    sound: bool


class _Segment(NamedTuple):
    """A decoded segment: samples (rows, width, n), how many of its rows are there, and False where any may be wrong."""

    samples: np.ndarray | None
    rows: int
    sound: bool = True


def read_samples(data: bytes, layout: TiffLayout, tables: bytes, options: int) -> TiffSamples:
    """Decode every segment of a TIFF image.

    Args:
        data: The file.
        layout: Of the image in it.
        tables: JPEG tables that all segments share, or nothing.
        options: T4Options, for images in CCITT group 3.

    Returns:
        The samples, which rows are present, and whether a segment was damaged.
    """
    values = np.zeros((layout.height, layout.width, layout.samples), layout.dtype)
    present = np.ones(layout.height, bool)
    damaged, sound = False, True
    down, across = layout.grid
    decompress = _decompressor(layout, tables, options)
    # Planes that are neither colour nor transparency may be absent, and are not looked at.
    for number in range(down * across * min(layout.planes, layout.used)):
        plane, place = divmod(number, down * across)
        row, column = (place // across) * layout.segment[0], (place % across) * layout.segment[1]
        height = layout.segment[0] if layout.tiled else min(layout.segment[0], layout.height - row)
        stored, whole = _stored(data, layout, number)
        try:
            segment = decompress(stored, height) if stored else _Segment(None, 0)
        except (UnreadableRadiograph, MemoryError):
            raise
        except Exception:  # whatever a decoder trips over, its segment is lost and the others are not
            segment = _Segment(None, 0)
        rows = segment.rows
        damaged |= whole and rows < height
        sound &= segment.sound
        present[row + rows : row + height] = False
        if segment.samples is not None and rows:
            into = values[row : row + rows, column : column + layout.segment[1], _planes(layout, plane)]
            into[:] = segment.samples[: into.shape[0], : into.shape[1]]
    return TiffSamples(values=values, present=present, damaged=damaged, sound=sound)


def _planes(layout: TiffLayout, plane: int) -> slice:
    return slice(None) if layout.planes == 1 else slice(plane, plane + 1)


def _stored(data: bytes, layout: TiffLayout, number: int) -> tuple[bytes, bool]:
    """Return the bytes of a segment, and whether they are all in the file."""
    if number >= len(layout.offsets):
        return b"", False
    start = int(layout.offsets[number])
    length = int(layout.lengths[number]) if number < len(layout.lengths) else 0
    if not length and not layout.lengths:
        # Some writers leave the lengths out: a segment then ends where the next one begins.
        length = min((int(o) for o in layout.offsets if o > start), default=len(data)) - start
    return data[start : start + length], length > 0 and start + length <= len(data)


def _decompressor(layout: TiffLayout, tables: bytes, options: int) -> Callable[[bytes, int], _Segment]:
    """Return what decodes the bytes of a segment, given its height."""
    if layout.compression in IMAGES:
        return lambda stored, height: _image(stored, layout, tables, height)
    if layout.compression in CCITT:
        return lambda stored, height: _fax(stored, layout, options, height)
    return lambda stored, height: _runs(stored, layout, height)


def _runs(stored: bytes, layout: TiffLayout, height: int) -> _Segment:
    """Decode samples that are stored row by row."""
    across, down = layout.subsampling if layout.photometric == YCBCR and layout.planes == 1 else (1, 1)
    if (down, across) != (1, 1):
        return _subsampled(stored, layout, height, down, across)
    row_bytes = -(-layout.segment[1] * layout.in_segment * layout.bits // 8)
    raw, sound = _bytes(stored, layout, height * row_bytes)
    rows = len(raw) // row_bytes
    lines = np.frombuffer(raw, np.uint8, rows * row_bytes).reshape(rows, row_bytes)
    samples = _unpacked(lines, layout)
    return _Segment(samples.reshape(rows, layout.segment[1], layout.in_segment), rows, sound)


def _subsampled(stored: bytes, layout: TiffLayout, height: int, down: int, across: int) -> _Segment:
    """Decode YCbCr samples in units of `down` x `across` greys and one colour."""
    if layout.bits != 8:
        raise unsupported(f"subsampled colour of {layout.bits} bits")
    units = -(-layout.segment[1] // across), -(-height // down)
    size = down * across + 2
    raw, sound = _bytes(stored, layout, units[0] * units[1] * size)
    rows = len(raw) // (units[0] * size)
    parts = np.frombuffer(raw, np.uint8, rows * units[0] * size).reshape(rows, units[0], size)
    by_row = parts[:, :, : down * across].reshape(rows, units[0], down, across).transpose(0, 2, 1, 3)
    luma = by_row.reshape(rows * down, units[0] * across, 1)
    chroma = parts[:, :, down * across :].repeat(down, axis=0).repeat(across, axis=1)
    samples = np.concatenate([luma, chroma], axis=2)[:height, : layout.segment[1]]
    return _Segment(samples, len(samples), sound)


def _bytes(stored: bytes, layout: TiffLayout, size: int) -> tuple[bytes | np.ndarray, bool]:
    """Return at most `size` decompressed bytes, fewer where the segment holds no more; False where some are wrong."""
    if layout.fill_order == 2:
        stored = imagecodecs.bitorder_decode(stored)
    if layout.compression == NONE:
        return stored[:size], True
    if layout.compression in DEFLATE:
        return inflate(stored, size)
    if layout.compression == PACKBITS:
        return unpack_bits(stored, size), True
    into = np.zeros(size, np.uint8)
    if layout.compression == LZW:
        unpacked = imagecodecs.lzw_decode(stored, out=into)
        return (unpacked if len(unpacked) == size else unpacked[: max(len(unpacked) - _LONGEST_LZW_CODE, 0)]), True
    decode = {ZSTD: imagecodecs.zstd_decode, LZMA: imagecodecs.lzma_decode}[layout.compression]
    return bytes(decode(stored, out=into)), True


def _unpacked(lines: np.ndarray, layout: TiffLayout) -> np.ndarray:
    """Return rows of bytes (rows, bytes) as rows of samples (rows, width x samples), the predictor undone."""
    count = layout.segment[1] * layout.in_segment
    rows = len(lines)
    if layout.predictor == 3 and layout.compression in _PREDICTED:
        return _float_predicted(lines, layout)
    if layout.bits in (8, 16, 32, 64):
        stored = np.ascontiguousarray(lines).view(layout.dtype.newbyteorder("<" if layout.order == "<" else ">"))
        values = stored.astype(layout.dtype, copy=False)
    elif layout.dtype.kind == "f":
        values = imagecodecs.float24_decode(lines.tobytes(), byteorder=layout.order).reshape(rows, count)
    elif layout.bits == 1:
        values = np.unpackbits(lines, axis=1)[:, :count]
    elif layout.bits == 24:
        wide = lines.reshape(rows, count, 3).astype(np.uint32)
        first, last = (2, 0) if layout.order == "<" else (0, 2)
        values = wide[:, :, first] << 16 | wide[:, :, 1] << 8 | wide[:, :, last]
    else:
        values = imagecodecs.packints_decode(lines.tobytes(), layout.dtype, layout.bits, runlen=count)
        values = np.asarray(values).reshape(rows, count)
    if layout.predictor == 2 and layout.compression in _PREDICTED:
        # Of floating-point numbers it is the bits that were subtracted.
        whole = np.dtype(f"u{layout.dtype.itemsize}") if layout.dtype.kind == "f" else layout.dtype
        values = np.ascontiguousarray(values).view(whole).reshape(rows, layout.segment[1], layout.in_segment)
        values = np.add.accumulate(values, axis=1, dtype=whole).reshape(rows, count).view(layout.dtype)
        values = values & ((1 << layout.bits) - 1) if layout.bits < 8 * layout.dtype.itemsize else values
    return values


def _float_predicted(lines: np.ndarray, layout: TiffLayout) -> np.ndarray:
    """Undo the floating-point predictor: bytes are differences, and those of equal weight lie together."""
    rows, size = len(lines), layout.bits // 8
    summed = np.add.accumulate(lines.reshape(rows, -1, layout.in_segment), axis=1, dtype=np.uint8)
    by_weight = summed.reshape(rows, size, -1).transpose(0, 2, 1)
    if size == 3:
        return imagecodecs.float24_decode(by_weight.tobytes(), byteorder=">").reshape(rows, -1)
    with np.errstate(invalid="ignore"):
        return np.ascontiguousarray(by_weight).view(f">f{size}")[:, :, 0].astype(layout.dtype)


def _fax(stored: bytes, layout: TiffLayout, options: int, height: int) -> _Segment:
    """Decode fax-coded lines."""
    stored = imagecodecs.bitorder_decode(stored) if layout.fill_order == 2 else stored
    lines = fax_lines(stored, (height, layout.segment[1]), layout.compression, options)
    return _Segment(lines[:, :, None], len(lines))


def _image(stored: bytes, layout: TiffLayout, tables: bytes, height: int) -> _Segment:
    """Decode a segment that holds an image of its own, and check it against the size that the directory gives."""
    shape, sound = (height, layout.segment[1], layout.in_segment), True
    if layout.compression in (JPEG, OLD_JPEG):
        header = _jpeg_header(stored, layout)
        _check_shape(header.shape, shape)
        colour = {YCBCR: "YCBCR", RGB: "RGB"}.get(layout.photometric)
        samples, present, sound = decode_jpeg(stored, header, colour=colour, tables=tables)
        rows = height if present.all() else int(np.argmin(present))
        if rows < height and layout.compression == OLD_JPEG:
            raise unsupported("old-style JPEG compression in pieces")
    elif layout.compression in JPEG_2000:
        _check_shape(jpeg_2000_shape(stored), shape)
        samples, rows = imagecodecs.jpeg2k_decode(stored, numthreads=1), height
    else:
        into, rows = np.zeros(shape if shape[2] > 1 else shape[:2], layout.dtype), height
        if layout.compression == WEBP:
            # Asked for, because WebP leaves out an alpha that is opaque everywhere.
            samples = imagecodecs.webp_decode(stored, hasalpha=shape[2] == 4, out=into)
        else:
            samples = imagecodecs.jpegxl_decode(stored, out=into)
    samples = samples.reshape(shape)
    if samples.dtype.kind != layout.dtype.kind:
        raise ValueError("The segment is not of the type that the directory gives.")
    return _Segment(samples, rows, sound)


def _jpeg_header(stored: bytes, layout: TiffLayout) -> JpegHeader:
    try:
        return read_header(stored)
    except UnreadableRadiograph as error:
        if layout.compression == OLD_JPEG:
            raise unsupported("old-style JPEG compression in pieces") from error
        raise ValueError("The segment holds no JPEG image.") from error


def _check_shape(stated: tuple[int, int, int], wanted: tuple[int, int, int]) -> None:
    """Raise where a stream is not of its segment's size, before it is decoded."""
    if stated != wanted:
        raise ValueError("The segment is not of the size that the directory gives.")
