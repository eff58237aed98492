"""Determine how much of an image is lost in a truncated or damaged JPEG stream, and whether that can be told.

Decoders fill what a stream lacks with grey and say nothing. To find the end of the real image, the stream is decoded
a second time with noise where it stops: from the first row that differs, the decoder had run out of data. Nothing
global is switched (Pillow's LOAD_TRUNCATED_IMAGES would be), so threads do not disturb each other.

Wrong data within a stream are another thing: the decoder goes on with whatever codes they happen to be, all that
follows is wrong, and the stream ends too early or too late. Where the wrong rows begin cannot be told.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import simplejpeg

from fracture_core.imaging.jpeg_header import END_OF_IMAGE, JpegHeader
from fracture_core.imaging.jpeg_markers import RESTARTS, find_marker

Decode = Callable[[bytes], np.ndarray]

#: Fewer zeros or FF at the end of a stream may be coded data.
_SHORTEST_PADDING = 8
#: Bytes that are no marker, so that a decoder reads on through them.
_NOISE = bytes(np.random.default_rng(0).integers(1, 255, 512, dtype=np.uint8))
#: The longest stretch between two restarts that is replaced, in bytes.
_LONGEST_STRETCH = 2**20
#: What libjpeg-turbo says of coded data that make no sense, and of data that are left over where a marker follows.
_WRONG = re.compile(r"premature end of data segment|bad Huffman code|instead of RST")
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd([0-9])")
#: Bytes that some encoders leave over after the last block.
_HARMLESS = 2
#: Bytes at the end of a stream that a sound image depends on; some encoders leave a few over.
_TAIL = 64


def rows_present(data: bytes, header: JpegHeader, decode: Decode, decoded: np.ndarray) -> np.ndarray:
    """Tell which rows of an image were decoded from data.

    Args:
        data: A JPEG stream, transformed or lossless (not JPEG-LS).
        header: Of the stream.
        decode: Decodes a stream to (H, W) or (H, W, n).
        decoded: What it makes of `data`.

    Returns:
        bool (H,), by coded rows of blocks.
    """
    present = np.ones(header.height, bool)
    present[_first_missing(data, header, decode, decoded) :] = False
    if header.flaws:
        present &= ~_rows_of_flaws(data, header, decode, decoded)
    return present


def is_in_step(data: bytes, header: JpegHeader, decode: Decode, decoded: np.ndarray, *, tables: bytes = b"") -> bool:
    """Tell whether a stream holds what its decoder expects, from its first block to its last.

    Args:
        data: A JPEG stream, transformed or lossless (not JPEG-LS).
        header: Of the stream.
        decode: Decodes a stream to (H, W) or (H, W, n).
        decoded: What it makes of `data`.
        tables: A stream of tables that `data` leaves out.

    Returns:
        False where data within the stream are wrong, and nobody can tell which rows are. True of one that is cut off,
        or whose damage shows in markers: `rows_present` tells which rows those cost.
    """
    if header.flaws or data[header.end : header.end + 2] != END_OF_IMAGE:
        return True
    if header.lossless and int(decoded.max()) >> header.precision:
        return False  # every value adds to the one before it, so that wrong ones leave the range
    if header.lossless or header.precision != 8:
        # Where the decoder was done before them, the last bytes may be anything.
        changed = data[: header.end - _TAIL] + _NOISE[:_TAIL] + data[header.end :]
        return bool((decode(changed) != decoded).any())
    try:
        # At an eighth of its size: the codes are all read, and next to nothing else is done.
        whole = data[:2] + tables[2:-2] + data[2:]
        colours = "CMYK" if header.components == 4 else "GRAY"
        simplejpeg.decode_jpeg(whole, colours, fastdct=True, min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError as error:
        return not _is_wrong(str(error), data, header)
    return True


def _is_wrong(complaint: str, data: bytes, header: JpegHeader) -> bool:
    """Tell whether what the decoder complains of are wrong data within the image."""
    if _WRONG.search(complaint):
        return True
    if (left := _LEFT_OVER.search(complaint)) is None:
        return False
    count, at_restart = int(left[1]), left[2] != "9"
    padding = not at_restart and len(set(data[header.end - count : header.end])) == 1
    return count > _HARMLESS and not padding and (header.restarts > 0 or not at_restart)


def _first_missing(data: bytes, header: JpegHeader, decode: Decode, decoded: np.ndarray) -> int:
    """Return the first row for which the decoder had no data; the height where it had all."""
    ends_well = data[header.end : header.end + 2] == END_OF_IMAGE
    if ends_well and not (header.progressive or header.lossless) and header.precision == 8 and header.components < 4:
        # Out of data, the decoder leaves blocks of mid-grey: a last block of anything else was really there.
        last = decoded[(header.height - 1) // 8 * 8 :, (header.width - 1) // 8 * 8 :]
        if (last != 128).any():
            return header.height
    stream = data[: header.end]
    unpadded = stream.rstrip(b"\x00\xff")
    if not ends_well and len(stream) - len(unpadded) >= _SHORTEST_PADDING:
        stream = unpadded
    stream = stream.rstrip(b"\xff")
    plain = decoded if ends_well else decode(stream + END_OF_IMAGE)
    different = _different_rows(plain, decode(stream + _NOISE + END_OF_IMAGE))
    if not different.size:
        return header.height
    # Smoothing between blocks may reach one row up; the coded row of blocks in which data ended is not whole.
    first = int(different[0]) + (not header.lossless)
    return first // header.block_height * header.block_height


def _rows_of_flaws(data: bytes, header: JpegHeader, decode: Decode, decoded: np.ndarray) -> np.ndarray:
    """Tell which rows, bool (H,), hang on the data from a marker that cannot be there to the next restart."""
    changed = bytearray(data)
    for flaw in header.flaws:
        following = find_marker(data, RESTARTS, flaw, flaw + _LONGEST_STRETCH)
        end = min(header.end, flaw + _LONGEST_STRETCH) if following is None else following
        changed[flaw:end] = (_NOISE * ((end - flaw) // len(_NOISE) + 1))[: end - flaw]
    rows = np.zeros(header.height, bool)
    for row in _different_rows(decoded, decode(bytes(changed))):
        first = int(row) // header.block_height * header.block_height
        rows[first : first + header.block_height] = True
    return rows


def _different_rows(first: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.flatnonzero((first != other).reshape(len(first), -1).any(axis=1))
