"""JPEG 2000 streams to samples, truncated ones as far as whole tile-parts or packets go.

The decoder refuses a stream that ends within a packet. It accepts one that ends between two: tile-parts state their
lengths, and so do packets where the writer listed them (ITU-T T.800, A.4.2 and A.7.3). What is cut off after such a
place is fine detail, or whole tiles.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import imagecodecs
import numpy as np

from fracture_core.formatting import format_percent
from fracture_core.imaging.limits import UnreadableRadiograph

#: Longest stream, in bytes: some 9 million are decoded in a second, whatever they show.
MAX_JPEG_2000_BYTES = 12_000_000
_START, _COD, _SOT, _SOD, _PLT, _END = (
    b"\xff\x4f\xff\x51",
    b"\xff\x52",
    b"\xff\x90",
    b"\xff\x93",
    b"\xff\x58",
    b"\xff\xd9",
)
#: Colour spaces by their numbers.
_INK, _SRGB, _GREY = 12, 16, 17
#: Bytes of a box that names its colours.
_SHORTEST_BOX = 15
#: A progression that has one colour after the other.
_BY_COMPONENT = 4


_NO_HEADER = "The JPEG 2000 image is damaged: it has no header."


@dataclass(frozen=True, eq=False)
class DecodedStream:
    """What a JPEG 2000 stream holds.

    Attributes:
        values: Integers (H, W) or (H, W, n).
        present: bool (H,), whether some data of every tile along the row are in the stream.
        coarse: Whether data of those rows are missing all the same: they lack fine detail.
    """

    values: np.ndarray
    present: np.ndarray
    coarse: bool = False


def jpeg_2000_shape(data: bytes) -> tuple[int, int, int]:
    """Return the size of a JPEG 2000 stream, bare or in its box (SIZ, ITU-T T.800 A.5.1).

    Args:
        data: The stream.

    Returns:
        Rows, columns and samples per pixel.

    Raises:
        UnreadableRadiograph: There is no stream.
    """
    start = data.find(_START)
    if start < 0 or len(data) < start + 42:
        raise UnreadableRadiograph(_NO_HEADER)
    right, bottom, left, top, *_, samples = struct.unpack_from(">8IH", data, start + 8)
    return bottom - top, right - left, samples


@dataclass(frozen=True)
class SampleFormat:
    """How the samples of a JPEG 2000 file are stored.

    Attributes:
        bits: Of a sample, the most where they differ; 0 where samples are places in a palette.
        signed: Whether the first sample is a signed number.
        ink: Whether they are cyan, magenta, yellow and black.
        unusual_steps: Whether samples are stored at another size than the image, other than the colour of YCbCr at
            half of it.
    """

    bits: int
    signed: bool
    ink: bool
    unusual_steps: bool


def jpeg_2000_samples(data: bytes) -> SampleFormat:
    """Return how the samples of a file are stored (SIZ, ITU-T T.800 A.5.1, and the boxes around the stream, I.5.3).

    Args:
        data: The file, whose header was found sound.

    Returns:
        The format.

    Raises:
        UnreadableRadiograph: The header ends before it.
    """
    start = data.find(_START)
    (count,) = struct.unpack_from(">H", data, start + 40)
    stated = data[start + 42 : start + 42 + 3 * count]
    if len(stated) < 3:
        raise UnreadableRadiograph(_NO_HEADER)
    bits = 0 if b"pclr" in data[:start] else max((depth & 0x7F) + 1 for depth in stated[::3])
    steps = tuple(zip(stated[1::3], stated[2::3], strict=False))
    colours = _colour_box(data)
    if colours >= 0 and data[colours] == 1:
        ink = int.from_bytes(data[colours + 3 : colours + 7], "big") == _INK
    else:
        ink = colours >= 0 and data[colours + 19 : colours + 23] == b"CMYK"
    usual = set(steps) == {(1, 1)} or steps in (((1, 1), (2, 2), (2, 2)), ((1, 1), (2, 1), (2, 1)))
    return SampleFormat(bits=bits, signed=stated[0] >= 0x80, ink=ink, unusual_steps=not usual)


def jpeg_2000_transforms(data: bytes) -> bool:
    """Return whether a JPEG 2000 stream uses a colour transform, so that decoding gives RGB.

    Args:
        data: The stream.

    Returns:
        Whether it does (COD, multiple component transformation).
    """
    style = _segment(data, _COD)
    return style >= 0 and len(data) > style + 8 and data[style + 8] != 0


def jpeg_2000_reversible(data: bytes) -> bool:
    """Return whether a JPEG 2000 stream's transform can be undone exactly.

    Args:
        data: The stream.

    Returns:
        Whether it can (COD, transformation 5-3).
    """
    style = _segment(data, _COD)
    return style >= 0 and len(data) > style + 13 and data[style + 13] == 1


def _colour_box(data: bytes) -> int:
    """Return where the content of the box that states the colours begins; -1 where there is none."""
    place = data.find(b"colr", 0, max(data.find(_START), 0))
    return place + 4 if place >= 0 else -1


def _without_profile(data: bytes) -> bytes:
    """Return a file that names its colours in place of a profile, which is applied to no other format either."""
    place = _colour_box(data)
    if place < 0 or data[place] == 1:
        return data
    if int.from_bytes(data[place - 8 : place - 4], "big") < _SHORTEST_BOX:
        return data[data.find(_START) :]
    grey = jpeg_2000_shape(data)[2] < 3 and b"pclr" not in data[: data.find(_START)]
    return data[:place] + struct.pack(">BBBI", 1, 0, 0, _GREY if grey else _SRGB) + data[place + 7 :]


def decode_jpeg_2000(data: bytes) -> DecodedStream:
    """Decode a JPEG 2000 stream, bare or in its box, whose header was found sound.

    Args:
        data: The stream.

    Returns:
        The samples, and which rows are there.

    Raises:
        UnreadableRadiograph: The stream is too long, or truncated where nothing before the cut can be decoded.
        imagecodecs.Jpeg2kError: It is damaged.
    """
    if len(data) > MAX_JPEG_2000_BYTES:
        raise UnreadableRadiograph(
            f"The JPEG 2000 data are {len(data) / 1e6:.0f} MB; the limit is {MAX_JPEG_2000_BYTES / 1e6:.0f} MB. "
            "Please export the image uncompressed or at a smaller size."
        )
    data = _without_profile(data)
    rows = jpeg_2000_shape(data)[0]
    parts = list(_tile_parts(data))
    if not parts or parts[-1].end <= len(data):
        return DecodedStream(imagecodecs.jpeg2k_decode(data, numthreads=1), np.ones(rows, bool))
    whole, held = _as_far_as_it_goes(data, parts)
    present = _rows_of(data, held)
    if not present.any() or (jpeg_2000_shape(data)[2] > 1 and _progression(data) == _BY_COMPONENT):
        raise _unreadable(data, parts)
    return DecodedStream(imagecodecs.jpeg2k_decode(whole, numthreads=1), present, coarse=True)


def _unreadable(data: bytes, parts: list[_TilePart]) -> UnreadableRadiograph:
    again = "cannot be read in part. Please export or send it again."
    if parts[-1].tile:
        return UnreadableRadiograph(f"The file is truncated: too few of its tiles are there, and the image {again}")
    missing = (parts[-1].end - len(data)) / (parts[-1].end - parts[0].start)
    return UnreadableRadiograph(
        f"The file is truncated: {format_percent(missing)} of its data are missing. "
        f"This JPEG 2000 image is stored in one piece and {again}"
    )


@dataclass(frozen=True)
class _TilePart:
    """Where a tile-part begins and ends, in bytes of the file, and which tile it belongs to."""

    start: int
    end: int
    tile: int


def _tile_parts(data: bytes) -> Iterator[_TilePart]:
    """Yield the tile-parts whose headers are there; the last may end beyond the data."""
    place = _segment(data, _SOT)
    while place >= 0 and place + 12 <= len(data) and data[place : place + 2] == _SOT:
        tile, length = struct.unpack_from(">HI", data, place + 4)
        # A length of nought reaches to the end of the data, wherever that is.
        end = place + length if length else len(data)
        yield _TilePart(place, end, tile)
        if end <= place:
            return
        place = end


def _as_far_as_it_goes(data: bytes, parts: list[_TilePart]) -> tuple[bytes, set[int]]:
    """Return a stream of the whole tile-parts and packets, and the tiles that it holds something of."""
    last, held = parts[-1], {part.tile for part in parts[:-1]}
    packets = _whole_packets(data, last)
    if packets is None:
        return data[: last.start] + _END, held
    body = bytearray(data[last.start : packets])
    struct.pack_into(">I", body, 6, len(body))
    return data[: last.start] + bytes(body) + _END, held | {last.tile}


def _whole_packets(data: bytes, part: _TilePart) -> int | None:
    """Return where the last whole packet of a truncated tile-part ends; None where its header lists no packets."""
    place, lengths = part.start + 12, bytearray()
    while data[place : place + 2] != _SOD:
        if place + 4 > len(data):
            return None
        (size,) = struct.unpack_from(">H", data, place + 2)
        if data[place : place + 2] == _PLT:
            lengths += data[place + 5 : place + 2 + size]
        place += 2 + size
    place += 2
    first, length = place, 0
    for byte in lengths:
        # Seven bits of the length in each byte, and a bit that says whether more follow.
        length = length << 7 | byte & 0x7F
        if byte & 0x80:
            continue
        if place + length > len(data):
            break
        place, length = place + length, 0
    return place if place > first else None


def _rows_of(data: bytes, held: set[int]) -> np.ndarray:
    """Return the rows, bool (H,), that no tile lacks but those held."""
    sizes = struct.unpack_from(">8I", data, data.find(_START) + 8)
    right, bottom, _, top, width, height, tiles_left, tiles_top = sizes
    present = np.ones(bottom - top, bool)
    if not width or not height:
        return ~present
    across = math.ceil((right - tiles_left) / width)
    for line in range(math.ceil((bottom - tiles_top) / height)):
        if not all(line * across + column in held for column in range(across)):
            start = tiles_top + line * height - top
            present[max(start, 0) : max(start + height, 0)] = False
    return present


def _progression(data: bytes) -> int:
    style = _segment(data, _COD)
    return data[style + 5] if 0 <= style < len(data) - 5 else 0


def _segment(data: bytes, marker: bytes) -> int:
    """Return where a marker segment of the main header begins, or the first tile-part after it; -1 where there is none.

    The header is walked: the bytes of a marker may stand in the text of a comment.
    """
    place = data.find(_START) + 2
    while 2 <= place <= len(data) - 4:
        here = data[place : place + 2]
        if here == marker:
            return place
        if here == _SOT or here[0] != 0xFF:
            return -1
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return -1
