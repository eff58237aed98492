"""The elements that follow a DICOM file's meta header: their byte order, and how they are unpacked."""

from __future__ import annotations

import zlib

from fracture_core.imaging.limits import MAX_BYTES, UnreadableRadiograph

#: Bytes after a deflated stream that some writers add: a checksum and a length, and one that fills the file up.
_TRAILER = 9


def is_big_endian(data: bytes, start: int) -> bool | None:
    """Tell the byte order of the elements by the group of the first, which is a small number.

    Args:
        data: The file.
        start: Where the elements begin.

    Returns:
        Whether high bytes come first; None where the first group does not tell.
    """
    low, high = data[start : start + 1], data[start + 1 : start + 2]
    return None if (low == b"\0") == (high == b"\0") else low == b"\0"


def may_follow_pixels(following: bytes) -> bool:
    """Tell whether bytes may follow pixel data: another element, whose tag is higher, padding, or nothing.

    Args:
        following: The first bytes after the pixel data, little endian.

    Returns:
        Whether they may.
    """
    group = int.from_bytes(following[:2], "little")
    return len(set(following)) <= 1 or 0x7FE0 <= group <= 0x7FFF or group >= 0xFFFA


def inflated(data: bytes, start: int) -> tuple[bytes, bool]:
    """Return the elements of a deflated file.

    Args:
        data: The file.
        start: Where the deflated elements begin.

    Returns:
        The elements, and whether they go on to the stream's end: then the file is not cut off.

    Raises:
        UnreadableRadiograph: They would be larger than any file that is read here.
        zlib.error: They are damaged.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        elements = inflater.decompress(data[start:], MAX_BYTES)
    except zlib.error:
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
        elements = inflater.decompress(data[start:], MAX_BYTES)
    if len(elements) >= MAX_BYTES:
        raise UnreadableRadiograph(
            f"The DICOM file unpacks to more than {MAX_BYTES // 2**20} MB, which is more than can be read here."
        )
    # Wrong data may look like the end of the stream; the file goes on after it.
    if len(inflater.unused_data) > _TRAILER:
        raise zlib.error("The stream ends before the file does.")
    return elements, inflater.eof
