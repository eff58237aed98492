"""The compressed frames of a DICOM file, out of the fragments that it is cut into (PS3.5, annex A.4).

A file that ends in the middle still holds its first fragments; they are taken as far as they go.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from fracture_core.imaging.limits import UnreadableRadiograph

_MAX_FRAGMENTS = 20_000
#: Bytes before the runs of a run-length encoded frame.
_RLE_HEADER = 64
_ITEM, _END = 0xE000FFFE, 0xE0DDFFFE
#: How a compressed image begins: JPEG and JPEG-LS, JPEG 2000 bare and boxed, JPEG XL bare and boxed.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ", b"\xff\x0a", b"\0\0\0\x0cJXL ")


@dataclass(frozen=True)
class _Fragment:
    """One piece of pixel data; `offset` counts from the first piece, as offset tables do."""

    offset: int
    data: bytes = field(repr=False)


def compressed_frame(data: bytes, frame: int, frames: int) -> bytes:
    """Return the compressed data of one frame.

    Args:
        data: Encapsulated pixel data, from the offset table on.
        frame: Which, from 0.
        frames: How many the header states.

    Returns:
        The data.

    Raises:
        UnreadableRadiograph: The frame is beyond the end of the file, or there are too many fragments.
    """
    table, fragments = _fragments(data)
    if table.startswith(_STARTS) or (not fragments and len(table) > max(4 * frames, _RLE_HEADER)):
        # Some writers leave the offset table out.
        table, fragments = b"", [_Fragment(offset=0, data=table), *fragments]
    if frames == 1:
        return b"".join(fragment.data for fragment in fragments)
    groups = _by_table(table, fragments, frames) or _by_count(fragments, frames) or _by_start(fragments)
    if frame >= len(groups):
        raise UnreadableRadiograph(
            f"The file is truncated: it holds {len(groups)} of its {frames} frames. Please export or send it again."
        )
    return b"".join(fragment.data for fragment in groups[frame])


def _fragments(data: bytes) -> tuple[bytes, list[_Fragment]]:
    """Return the offset table and the fragments, the last one as far as it goes."""
    table, fragments, place, first = b"", [], 0, 0
    while place + 8 <= len(data):
        tag, length = struct.unpack_from("<II", data, place)
        if tag == _END:
            break
        if tag != _ITEM or length == 0xFFFFFFFF:
            if place == 0:
                raise UnreadableRadiograph("The DICOM file is damaged: its pixel data have no fragments.")
            break
        body = data[place + 8 : place + 8 + length]
        if place == 0:
            table, first = body, 8 + length
        else:
            fragments.append(_Fragment(offset=place - first, data=body))
        if len(fragments) > _MAX_FRAGMENTS:
            raise UnreadableRadiograph("The DICOM file is damaged: its image has too many fragments.")
        place += 8 + length
    return table, fragments


def _by_table(table: bytes, fragments: list[_Fragment], frames: int) -> list[list[_Fragment]]:
    """Group fragments into frames by the offset table; nothing where it is none or does not fit."""
    if len(table) != 4 * frames:
        return []
    starts = struct.unpack(f"<{frames}I", table)
    places = {fragment.offset for fragment in fragments}
    last = max(places, default=0)
    if list(starts) != sorted(set(starts)) or any(start not in places for start in starts if start <= last):
        return []
    groups: list[list[_Fragment]] = []
    limits = (*starts[1:], 1 << 62)
    for start, end in zip(starts, limits, strict=True):
        group = [fragment for fragment in fragments if start <= fragment.offset < end]
        if not group:
            break
        groups.append(group)
    return groups


def _by_count(fragments: list[_Fragment], frames: int) -> list[list[_Fragment]]:
    return [[fragment] for fragment in fragments] if len(fragments) == frames else []


def _by_start(fragments: list[_Fragment]) -> list[list[_Fragment]]:
    """Group fragments into frames by those that begin like an image; each by itself where none does."""
    if not any(fragment.data.startswith(_STARTS) for fragment in fragments):
        return [[fragment] for fragment in fragments]
    groups: list[list[_Fragment]] = []
    for fragment in fragments:
        if fragment.data.startswith(_STARTS) or not groups:
            groups.append([])
        groups[-1].append(fragment)
    return groups
