"""TIFF files of every layout, written here tag by tag so that the reader is tested against something else."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np

NONE, LZW, DEFLATE, PACKBITS, ZSTD = 1, 5, 8, 32773, 50000
_FORMATS = {"u": 1, "i": 2, "f": 3}


def tiff_file(
    samples: np.ndarray,
    *,
    order: str = "<",
    big: bool = False,
    by_plane: bool = False,
    compression: int = NONE,
    predictor: int = 1,
    tile: tuple[int, int] | None = None,
    rows_per_strip: int = 48,
    bits: int | None = None,
    drop: tuple[int, ...] = (),
    tags: dict[int, tuple[str, list[int]]] | None = None,
) -> bytes:
    """Return a TIFF file of one page, its directory in front of its pixels.

    Args:
        samples: (H, W) or (H, W, n), of the type that is stored; for `bits` below 8, one value per sample.
        order: "<" or ">".
        big: Write a BigTIFF.
        by_plane: Store the samples of a pixel apart.
        compression: One of those above.
        predictor: 1 none, 2 differences.
        tile: Height and width of tiles; strips where None.
        rows_per_strip: Rows of every strip but the last.
        bits: Of a sample, where fewer than its type has.
        drop: Numbers of the segments to leave out (offset and length nought).
        tags: More tags or other values: by number, a struct code and values.
    """
    samples = samples[:, :, None] if samples.ndim == 2 else samples
    height, width, count = samples.shape
    bits = bits or 8 * samples.dtype.itemsize
    segments = [
        b"" if number in drop else _packed(segment, order, bits, compression, predictor)
        for number, segment in enumerate(_segments(samples, by_plane, tile, rows_per_strip))
    ]
    places, body = [], b""
    for segment in segments:
        places.append(len(body) if segment else None)
        body += segment + b"\0" * (len(segment) % 2)
    where, lengths = (324, 325) if tile else (273, 279)
    entries: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits] * count),
        259: ("H", [compression]),
        262: ("H", [1 if count < 3 else 2]),
        where: ("Q" if big else "I", [0] * len(segments)),
        277: ("H", [count]),
        lengths: ("I", [len(segment) for segment in segments]),
        284: ("H", [2 if by_plane else 1]),
        317: ("H", [predictor]),
        339: ("H", [_FORMATS[samples.dtype.kind]] * count),
    }
    if tile:
        entries |= {322: ("I", [tile[1]]), 323: ("I", [tile[0]])}
    else:
        entries[278] = ("I", [rows_per_strip])
    entries |= tags or {}
    start = len(_directory(entries, order, big))
    entries[where] = (entries[where][0], [0 if place is None else start + place for place in places])
    return _directory(entries, order, big) + body


def _segments(
    samples: np.ndarray, by_plane: bool, tile: tuple[int, int] | None, rows_per_strip: int
) -> Iterator[np.ndarray]:
    planes = [samples[:, :, k : k + 1] for k in range(samples.shape[2])] if by_plane else [samples]
    for plane in planes:
        height, width = plane.shape[:2]
        if tile is None:
            yield from (plane[row : row + rows_per_strip] for row in range(0, height, rows_per_strip))
            continue
        for row in range(0, height, tile[0]):
            for column in range(0, width, tile[1]):
                part = plane[row : row + tile[0], column : column + tile[1]]
                whole = np.zeros((*tile, plane.shape[2]), plane.dtype)
                whole[: part.shape[0], : part.shape[1]] = part
                yield whole


def _packed(segment: np.ndarray, order: str, bits: int, compression: int, predictor: int) -> bytes:
    if predictor == 2:
        segment = np.concatenate([segment[:, :1], np.diff(segment, axis=1)], axis=1).astype(segment.dtype)
    if bits == 8 * segment.dtype.itemsize:
        data = segment.astype(segment.dtype.newbyteorder(order)).tobytes()
    else:
        rows = segment.reshape(segment.shape[0], -1)
        places = np.arange(bits)[::-1]
        data = np.packbits((rows[:, :, None] >> places & 1).reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()
    if compression == LZW:
        return imagecodecs.lzw_encode(data)
    if compression == DEFLATE:
        return zlib.compress(data)
    if compression == PACKBITS:
        return imagecodecs.packbits_encode(data)
    return imagecodecs.zstd_encode(data) if compression == ZSTD else data


def _directory(entries: dict[int, tuple[str, list[int]]], order: str, big: bool) -> bytes:
    """Put the header and one directory with its values together."""
    types = {"B": 1, "H": 3, "I": 4, "Q": 16, "d": 12, "II": 5}
    pointer, inline = ("Q", 8) if big else ("I", 4)
    start = 16 if big else 8
    size = struct.calcsize(order + ("HHQQ" if big else "HHII"))
    values_at = start + (8 if big else 2) + len(entries) * size + inline
    directory, values = b"", b""
    for tag, (code, numbers) in sorted(entries.items()):
        count = len(numbers) // len(code)
        packed = struct.pack(f"{order}{code * count}", *numbers)
        directory += struct.pack(order + ("HHQ" if big else "HHI"), tag, types[code], count)
        if len(packed) <= inline:
            directory += packed.ljust(inline, b"\0")
        else:
            directory += struct.pack(order + pointer, values_at + len(values))
            values += packed
    signature = b"II" if order == "<" else b"MM"
    first = struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, start) if big else (42, start)))
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    return signature + first + count + directory + struct.pack(order + pointer, 0) + values


def one_strip(strip: bytes, width: int, height: int, tags: dict[int, tuple[int, int]]) -> bytes:
    """A TIFF file of one strip; `tags` give type and value."""
    said = {256: (4, width), 257: (4, height), 273: (4, 0), 278: (4, height), 279: (4, len(strip))} | tags
    said[273] = (4, 14 + 12 * len(said))
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(said.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(said)) + entries + bytes(4) + strip
