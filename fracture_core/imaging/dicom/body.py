"""The elements that follow a DICOM file's meta header: their byte order, and how they are unpacked."""

from __future__ import annotations

import zlib

from fracture_core.imaging.limits import MAX_BYTES, UnreadableRadiograph


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


def inflated(data: bytes, start: int) -> bytes:
    """Return the elements of a deflated file.

    Args:
        data: The file.
        start: Where the deflated elements begin.

    Returns:
        The elements.

    Raises:
        UnreadableRadiograph: They would be larger than any file that is read here.
        zlib.error: They are damaged.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        elements = inflater.decompress(data[start:], MAX_BYTES)
    except zlib.error:
        elements = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(data[start:], MAX_BYTES)
    if len(elements) >= MAX_BYTES:
        raise UnreadableRadiograph(
            f"The DICOM file unpacks to more than {MAX_BYTES // 2**20} MB, which is more than can be read here."
        )
    return elements
