"""PNG files, taken apart before a decoder sees them: how many rows they hold, and which way is up.

Decoders leave memory unwritten, or black, where a PNG file holds fewer rows than its header says, and some say
nothing. So the rows are counted first, and a decoder is only ever given a whole file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from fracture_core.imaging.limits import UnreadableRadiograph, check_size
from fracture_core.imaging.raster.interlacing import lines_held, pass_lines
from fracture_core.imaging.truncation import NOTHING_THERE

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Writers put 4 kB or more into a chunk; the largest file has 16,384 of those.
_MAX_CHUNKS = 20_000
#: Colour type -> samples of a pixel.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {1, 2, 4, 8, 16}
#: Chunks that decide what the pixels look like.
_KEPT = (b"PLTE", b"tRNS")
DAMAGED = "The PNG image is damaged and cannot be decoded. Please export or send it again."


class _Chunk(NamedTuple):
    kind: bytes
    body: bytes
    checksum: bytes

    @property
    def sound(self) -> bool:
        """Whether the body is what was written; true of one that is cut off, which says nothing about damage."""
        return len(self.checksum) < 4 or zlib.crc32(self.kind + self.body) == int.from_bytes(self.checksum, "big")


@dataclass(frozen=True)
class PngStructure:
    """What the chunks of a PNG file say.

    Attributes:
        depth: Bits per sample.
        colour: Colour type, 0, 2, 3, 4 or 6.
        lines: How many lines each pass has, and of how many bytes; an image that is not interlaced is one pass.
        held: How many lines of each pass, from its top, the file holds.
        ended: Whether the file has its end chunk.
        pixel_shape: Height of a pixel by its width; 1.0 where the file does not say.
        damaged: Whether lines are missing because data are wrong, not because they are not there.
    """

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    lines: tuple[tuple[int, int], ...]
    held: tuple[int, ...]
    ended: bool
    pixel_shape: float
    damaged: bool
    _chunks: tuple[_Chunk, ...] = field(repr=False)

    @property
    def samples(self) -> int:
        """Samples of a pixel as they are stored; a palette's place is one."""
        return _SAMPLES[self.colour]

    @property
    def whole(self) -> bool:
        """Whether no line is missing."""
        return all(held == rows for held, (rows, _) in zip(self.held, self.lines, strict=True))


def png_structure(data: bytes) -> PngStructure:
    """Read the chunks of a PNG file, and count its rows.

    Args:
        data: The file.

    Returns:
        The structure.

    Raises:
        UnreadableRadiograph: The file contains no image, is too large, or is damaged.
    """
    chunks = list(_chunks(data))
    if not chunks or chunks[0].kind != b"IHDR" or len(chunks[0].body) < 13:
        raise UnreadableRadiograph(DAMAGED)
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", chunks[0].body)
    if depth not in _DEPTHS or colour not in _SAMPLES:
        raise UnreadableRadiograph(DAMAGED)
    check_size(width, height, _SAMPLES[colour] * (2 if depth == 16 else 1))
    shape = 1.0
    for chunk in chunks:
        if chunk.kind == b"pHYs" and len(chunk.body) >= 8:
            across, down = struct.unpack_from(">II", chunk.body)
            shape = across / down if across and down else 1.0
    lines = pass_lines(width, height, _SAMPLES[colour] * depth, interlaced=bool(interlaced))
    expected = sum(rows * size for rows, size in lines)
    inflated, damaged = _count(chunks, expected), False
    if inflated is None:
        # What comes before the first chunk that is not as it was written can be trusted.
        sound = next((place for place, chunk in enumerate(chunks) if not chunk.sound), 0)
        chunks, damaged = chunks[:sound], True
        inflated = _count(chunks, expected)
    if not inflated:
        raise UnreadableRadiograph(DAMAGED if damaged else NOTHING_THERE)
    return PngStructure(
        width=width,
        height=height,
        depth=depth,
        colour=colour,
        interlaced=bool(interlaced),
        lines=lines,
        held=lines_held(inflated, lines),
        ended=chunks[-1].kind == b"IEND",
        pixel_shape=shape,
        damaged=damaged,
        _chunks=tuple(chunks),
    )


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield every chunk, the last one as far as it goes."""
    position, count = len(SIGNATURE), 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        yield _Chunk(kind, data[position + 8 : end], data[end : end + 4])
        if kind == b"IEND":
            return
        position += 12 + length
        count += 1
        if count > _MAX_CHUNKS:
            raise UnreadableRadiograph("The PNG image is damaged: it has too many chunks.")


def _count(chunks: Iterable[_Chunk], size: int) -> int | None:
    """Return how many of so many decompressed bytes there are; None where the data are damaged."""
    try:
        return sum(len(part) for part in _inflated(chunks, size))
    except zlib.error:
        return None


def _inflated(chunks: Iterable[_Chunk], size: int) -> Iterator[bytes]:
    """Yield decompressed bytes, `size` at most, and fewer where the data end early."""
    inflater = zlib.decompressobj()
    for chunk in chunks:
        if chunk.kind != b"IDAT" or inflater.eof or size <= 0:
            continue
        for start in range(0, len(chunk.body), 65_536):
            if size <= 0:
                break
            part = inflater.decompress(chunk.body[start : start + 65_536], size)
            size -= len(part)
            yield part


def completed(structure: PngStructure) -> bytes:
    """Return a complete PNG file with the rows that are present, and zeros for the others.

    Args:
        structure: The truncated file.

    Returns:
        The file.
    """
    size = sum(rows * length for rows, length in structure.lines)
    present = sum(rows * length for rows, (_, length) in zip(structure.held, structure.lines, strict=True))
    held = b"".join(_inflated(structure._chunks, size))[:present]
    header = structure._chunks[0]
    colours = [chunk for chunk in structure._chunks if chunk.kind in _KEPT]
    pixels = _Chunk(b"IDAT", zlib.compress(held + bytes(size - len(held)), 1), b"")
    return SIGNATURE + b"".join(_written(chunk) for chunk in (header, *colours, pixels, _Chunk(b"IEND", b"", b"")))


def _written(chunk: _Chunk) -> bytes:
    kind, body, _ = chunk
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
