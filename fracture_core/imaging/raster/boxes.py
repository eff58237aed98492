"""Files made of boxes (ISO base media): AVIF and HEIC, whose last box tells whether the file is whole."""

from __future__ import annotations

import struct

from fracture_core.formatting import format_percent
from fracture_core.imaging.limits import UnreadableRadiograph

#: More boxes at the top of a file than any image has.
_MOST_BOXES = 1000


def check_boxes(data: bytes, kind: str) -> None:
    """Refuse a file whose last box ends beyond it.

    Args:
        data: The file.
        kind: Its format, for the message.

    Raises:
        UnreadableRadiograph: It is truncated.
    """
    place = 0
    for _ in range(_MOST_BOXES):
        if place + 8 > len(data):
            break
        length = int.from_bytes(data[place : place + 4], "big")
        if length == 1:
            length = int.from_bytes(data[place + 8 : place + 16], "big")
        if length < 8:  # 0: to the end of the file, wherever that is; others are damage
            break
        place += length
    if place > len(data):
        raise UnreadableRadiograph(
            f"The file is truncated: {format_percent(1 - len(data) / place)} of its data are missing. "
            f"{kind} cannot be read in part. Please export or send it again."
        )


def largest_size(data: bytes, kind: str) -> tuple[int, int]:
    """Return the largest width and height that a file's properties give (ISO/IEC 23008-12, ispe).

    Args:
        data: The file.
        kind: Its format, for the message.

    Returns:
        Width and height in pixels.

    Raises:
        UnreadableRadiograph: It gives none.
    """
    sizes: list[tuple[int, int]] = []
    place = data.find(b"ispe")
    while place >= 0 and place + 16 <= len(data) and len(sizes) < 64:
        sizes.append(struct.unpack_from(">II", data, place + 8))
        place = data.find(b"ispe", place + 4)
    if not sizes:
        raise UnreadableRadiograph(f"The {kind} image is damaged: the file does not state its size.")
    return max(sizes, key=lambda size: size[0] * size[1])
