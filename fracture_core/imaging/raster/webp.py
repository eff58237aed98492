"""WebP files: their size, and a truncated one as far as it goes.

Decoders take a WebP file whole or not at all. A lossy one codes its rows from the top, so a file that is filled up to
its length decodes to the right rows and then to nonsense. It is filled up in two ways: rows that come out the same
were really in the file.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator

import numpy as np

from fracture_core.formatting import format_percent
from fracture_core.imaging.limits import MAX_BYTES, UnreadableRadiograph, check_size
from fracture_core.imaging.truncation import NOTHING_THERE

#: Bytes of a pixel while an animation is decoded, and Pillow treats every file as one: two canvases, two copies.
BYTES_PER_PIXEL = 10
ORIENTATION_LOST = "The end of the file is missing, which may have said which way is up: turn the image if need be."
#: Rows of nonsense that may come out the same by chance.
_BY_CHANCE = 2
#: Bytes that the coefficients of 16 x 16 pixels may take.
_MOST_PER_BLOCK = 800
_FILLINGS = (b"\0", b"\xaa\x55")
#: Flags of an extended file: it holds EXIF, it holds XMP.
_TELLS_ORIENTATION = 0x08 | 0x04


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a WebP canvas, read here because Pillow allocates the canvas as it opens the file.

    Args:
        data: The file.

    Returns:
        Width and height in pixels.

    Raises:
        UnreadableRadiograph: It is too short to say, or the image is too large.
    """
    if len(data) < 30:
        raise UnreadableRadiograph("The WebP image is truncated and cannot be decoded. Please export or send it again.")
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X":
        size = int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = struct.unpack_from("<HH", body, 6)
        size = width & 0x3FFF, height & 0x3FFF
    check_size(*size, BYTES_PER_PIXEL)
    return size


def is_truncated(data: bytes) -> bool:
    """Return whether a WebP file says that it is longer than it is.

    Args:
        data: The file.

    Returns:
        Whether it does.
    """
    return _stated_length(data) > len(data)


def webp_as_far_as_it_goes(
    data: bytes, decode: Callable[[bytes], np.ndarray]
) -> tuple[bytes, np.ndarray, tuple[str, ...]]:
    """Find what a truncated WebP file holds.

    Args:
        data: The file.
        decode: Decodes a whole file to uint8 (H, W).

    Returns:
        A whole file to decode, which of its rows are real, bool (H,), and warnings.

    Raises:
        UnreadableRadiograph: No part can be read: the image is lossless or an animation.
    """
    missing = format_percent(1 - len(data) / _stated_length(data))
    kind, body, length = next(
        (chunk for chunk in _chunks(data) if chunk[0] in (b"VP8 ", b"VP8L", b"ANMF")), (b"", b"", 0)
    )
    lost = (ORIENTATION_LOST,) if data[12:16] == b"VP8X" and data[20] & _TELLS_ORIENTATION else ()
    if kind in (b"VP8 ", b"VP8L") and len(body) == length:
        # The image is whole; only what was written behind it is not.
        return _file(kind, body), np.ones(webp_size(data)[1], bool), lost
    if kind != b"VP8 " or length > MAX_BYTES:
        what = {b"VP8L": "A lossless WebP image", b"ANMF": "An animated WebP image"}.get(kind, "This WebP image")
        raise UnreadableRadiograph(
            f"The file is truncated: {missing} of its data are missing. {what} cannot be read in part. "
            "Please export or send it again."
        )
    if len(body) < 10 + (int.from_bytes(body[:3], "little") >> 5):
        # The first partition says how every block is coded, and no block can be read before its end.
        raise UnreadableRadiograph(NOTHING_THERE)
    width, height = struct.unpack_from("<HH", body, 6)
    check_size(width & 0x3FFF, height & 0x3FFF, BYTES_PER_PIXEL)
    first, *others = (_filled(body, filling) for filling in _FILLINGS)
    grey = decode(first)
    same = np.ones(len(grey), bool)
    for other in others:
        same &= (decode(other) == grey).all(axis=1)
    real = np.logical_and.accumulate(same)
    if not real.all():
        real[max(np.count_nonzero(real) - _BY_CHANCE, 0) :] = False
    return first, real, lost


def _stated_length(data: bytes) -> int:
    return 8 + int.from_bytes(data[4:8], "little")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield kind, body as far as it goes, and stated length of every chunk."""
    place = 12
    while place + 8 <= len(data):
        kind, length = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        yield kind, data[place + 8 : place + 8 + length], length
        place += 8 + length + length % 2


def _filled(body: bytes, filling: bytes) -> bytes:
    """Fill up the coded data of a lossy image beyond all need: a decoder that reaches the end gives nothing."""
    width, height = struct.unpack_from("<HH", body, 6)
    blocks = math.ceil((width & 0x3FFF) / 16) * math.ceil((height & 0x3FFF) / 16)
    return _file(b"VP8 ", body + filling * (_MOST_PER_BLOCK * blocks // len(filling) + 1))


def _file(kind: bytes, body: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
