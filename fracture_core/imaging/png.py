"""PNG files, taken apart before a decoder sees them: how many rows they hold, and which way is up.

Decoders leave memory unwritten, or black, where a PNG file holds fewer rows than its header says, and some say
nothing. So the rows are counted first, and a decoder is only ever given a whole file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from fracture_core.imaging.limits import UnreadableRadiograph, check_size

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Writers put 4 kB or more into a chunk; the largest file has 16,384 of those.
_MAX_CHUNKS = 20_000
#: Colour type -> samples of a pixel.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {1, 2, 4, 8, 16}
#: Interlaced passes (Adam7): first column and row, and the steps between.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
#: Chunks that decide what the pixels look like.
_KEPT = (b"PLTE", b"tRNS")
DAMAGED = "The PNG image is damaged and cannot be decoded. Please export or send it again."


@dataclass(frozen=True)
class PngStructure:
    """What the chunks of a PNG file say.

    Attributes:
        depth: Bits per sample.
        colour: Colour type, 0, 2, 3, 4 or 6.
        rows: How many rows, from the top, the file holds.
        ended: Whether the file has its end chunk.
        pixel_shape: Height of a pixel by its width; 1.0 where the file does not say.
    """

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    rows: int
    ended: bool
    pixel_shape: float
    _chunks: tuple[tuple[bytes, bytes], ...] = field(repr=False)

    @property
    def samples(self) -> int:
        """Samples of a pixel as they are stored; a palette's place is one."""
        return _SAMPLES[self.colour]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, its filter byte included."""
        return 1 + -(-self.width * self.samples * self.depth // 8)

    @property
    def present(self) -> np.ndarray:
        """Which rows are in the file, bool (H,)."""
        return np.arange(self.height) < self.rows


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
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) < 13:
        raise UnreadableRadiograph(DAMAGED)
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", chunks[0][1])
    if depth not in _DEPTHS or colour not in _SAMPLES:
        raise UnreadableRadiograph(DAMAGED)
    check_size(width, height, _SAMPLES[colour] * (2 if depth == 16 else 1))
    shape = 1.0
    for kind, body in chunks:
        if kind == b"pHYs" and len(body) >= 8:
            across, down = struct.unpack_from(">II", body)
            shape = across / down if across and down else 1.0
    structure = PngStructure(
        width=width,
        height=height,
        depth=depth,
        colour=colour,
        interlaced=bool(interlaced),
        rows=height,
        ended=chunks[-1][0] == b"IEND",
        pixel_shape=shape,
        _chunks=tuple(chunks),
    )
    return _with_rows_counted(structure)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and body of every chunk, the last one as far as it goes."""
    position, count = len(SIGNATURE), 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position + 8 : position + 8 + length]
        if kind == b"IEND":
            return
        position += 12 + length
        count += 1
        if count > _MAX_CHUNKS:
            raise UnreadableRadiograph("The PNG image is damaged: it has too many chunks.")


def _with_rows_counted(structure: PngStructure) -> PngStructure:
    expected = _expected_bytes(structure)
    held = sum(len(part) for part in _inflated(structure, expected))
    if held >= expected:
        return structure
    if structure.interlaced:
        raise UnreadableRadiograph(
            f"The file is truncated: {max(round(100 * (1 - held / expected)), 1)} % of its data are missing. An "
            "interlaced PNG cannot be read in part. Please export or send it again."
        )
    values = structure.__dict__ | {"rows": held // structure.row_bytes}
    return PngStructure(**values)


def _expected_bytes(structure: PngStructure) -> int:
    """Return how many bytes the compressed data of a whole image hold."""
    if not structure.interlaced:
        return structure.height * structure.row_bytes
    total = 0
    for x, y, across, down in _PASSES:
        columns, rows = -(-(structure.width - x) // across), -(-(structure.height - y) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * structure.samples * structure.depth // 8))
    return total


def _inflated(structure: PngStructure, size: int) -> Iterator[bytes]:
    """Yield at most `size` decompressed bytes, as far as they go; raise where they are damaged."""
    inflater = zlib.decompressobj()
    for kind, body in structure._chunks:
        if kind != b"IDAT" or inflater.eof or size <= 0:
            continue
        for start in range(0, len(body), 65_536):
            if size <= 0:
                break
            try:
                part = inflater.decompress(body[start : start + 65_536], size)
            except zlib.error as error:
                raise UnreadableRadiograph(DAMAGED) from error
            size -= len(part)
            yield part


def completed(structure: PngStructure) -> bytes:
    """Return a complete PNG file with the rows that are present, and black rows for the others.

    Args:
        structure: The truncated file.

    Returns:
        The file.
    """
    size = structure.height * structure.row_bytes
    held = b"".join(_inflated(structure, size))[: structure.rows * structure.row_bytes]
    header = structure._chunks[0]
    colours = [chunk for chunk in structure._chunks if chunk[0] in _KEPT]
    pixels = (b"IDAT", zlib.compress(held + bytes(size - len(held)), 1))
    return SIGNATURE + b"".join(_chunk(*chunk) for chunk in (header, *colours, pixels, (b"IEND", b"")))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
