"""The directories of a TIFF file: classic and BigTIFF, both byte orders, read within bounds.

A directory (IFD) describes one image. Its tags are numbered as in the TIFF 6.0 specification.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import overload

from fracture_core.imaging.limits import UnreadableRadiograph

#: Directories that are looked at; a chain of them may be endless.
_MAX_DIRECTORIES = 64
_MAX_TAGS = 4096
#: Most values of one tag that are read: strips of an image of the largest height, for each of 16 planes.
_MAX_VALUES = 2**18
#: TIFF type -> struct code; rationals (5, 10) are two numbers each.
_CODES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii"} | {
    **{11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
}
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _SUB_DIRECTORIES = 254, 255, 330
_REDUCED, _MASK = 1, 4


@dataclass(frozen=True)
class Directory:
    """One directory of a TIFF file.

    Attributes:
        order: "<" or ">", the byte order.
        entries: By tag: type, count and the offset of the first value.
    """

    data: bytes = field(repr=False)
    order: str
    entries: dict[int, tuple[int, int, int]]

    def values(self, tag: int) -> tuple:
        """Return the values of a tag.

        Args:
            tag: The tag.

        Returns:
            Numbers or one bytes string; empty if it is absent or beyond the end of the file.
        """
        kind, count, offset = self.entries.get(tag, (0, 0, 0))
        code = _CODES.get(kind)
        if not code or not count:
            return ()
        if code == "s":
            return (self.data[offset : offset + count],)
        layout = self.order + code * min(count, _MAX_VALUES)
        if offset + struct.calcsize(layout) > len(self.data):
            return ()
        return struct.unpack_from(layout, self.data, offset)

    @overload
    def number(self, tag: int, default: int) -> int: ...

    @overload
    def number(self, tag: int, default: None = None) -> int | None: ...

    def number(self, tag: int, default: int | None = None) -> int | None:
        """Return the first value of a tag as an integer.

        Args:
            tag: The tag's number.
            default: Returned if the tag is absent or not a number.

        Returns:
            The integer, or `default`.
        """
        values = self.values(tag)
        return int(values[0]) if values and isinstance(values[0], (int, float)) else default

    @property
    def full_size(self) -> bool:
        """Whether the directory holds an image of full size: neither a reduced copy nor a mask."""
        kind = self.number(_NEW_SUBFILE_TYPE)
        if kind is None:
            return self.number(_SUBFILE_TYPE, 1) != 2
        return not kind & (_REDUCED | _MASK)


def directories(data: bytes) -> tuple[list[Directory], bool]:
    """Return the directories of a TIFF file that contain a full image.

    If every directory of the chain is a reduced copy, the sub-directories are searched as well; if there is no full
    image at all, the first directory is returned.

    Args:
        data: The file.

    Returns:
        The directories, and whether reduced copies come first.

    Raises:
        UnreadableRadiograph: There is no directory with tags.
    """
    chain = list(_chain(data))
    if not chain:
        raise UnreadableRadiograph("The TIFF image is damaged: it has no directory.")
    full = [directory for directory in chain if directory.full_size]
    if not full:
        offsets = [offset for directory in chain for offset in directory.values(_SUB_DIRECTORIES)]
        below = [_read(data, offset)[0] for offset in offsets[:_MAX_DIRECTORIES] if isinstance(offset, int)]
        full = [directory for directory in below if directory and directory.full_size]
    return full or chain[:1], not chain[0].full_size


def _chain(data: bytes) -> Iterator[Directory]:
    order, big, offset = _header(data)
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < _MAX_DIRECTORIES:
        seen.add(offset)
        directory, offset = _read(data, offset, order, big)
        if directory is None:
            return
        if directory.entries:
            yield directory


def _header(data: bytes) -> tuple[str, bool, int]:
    """Return byte order, whether this is a BigTIFF, and the offset of the first directory."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    place, code = (8, "Q") if big else (4, "I")
    if len(data) < place + struct.calcsize(code):
        return order, big, 0
    return order, big, struct.unpack_from(order + code, data, place)[0]


def _read(data: bytes, offset: int, order: str | None = None, big: bool | None = None) -> tuple[Directory | None, int]:
    """Return the directory at an offset and the offset of the next; None where it lies beyond the file."""
    if order is None or big is None:
        order, big, _ = _header(data)
    count_code, entry_code, inline, pointer = ("Q", "HHQ", 8, "Q") if big else ("H", "HHI", 4, "I")
    start = offset + struct.calcsize(order + count_code)
    if start > len(data):
        return None, 0
    (count,) = struct.unpack_from(order + count_code, data, offset)
    size = struct.calcsize(order + entry_code) + inline
    entries: dict[int, tuple[int, int, int]] = {}
    for number in range(min(count, _MAX_TAGS)):
        place = start + number * size
        if place + size > len(data):
            return Directory(data, order, entries), 0
        tag, kind, values = struct.unpack_from(order + entry_code, data, place)
        place += size - inline
        if values * struct.calcsize(order + _CODES.get(kind, "B")) > inline:
            (place,) = struct.unpack_from(order + pointer, data, place)
        entries.setdefault(tag, (kind, values, place))
    end = start + count * size
    following = struct.unpack_from(order + pointer, data, end)[0] if end + inline <= len(data) else 0
    return Directory(data, order, entries), following
