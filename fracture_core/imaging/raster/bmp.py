"""BMP files: a truncated one as far as it goes, and the layouts that Pillow does not know.

The layouts are those of the Windows SDK (BITMAPINFOHEADER, BITMAPV5HEADER) and of OS/2: colours in any bits of a
pixel, palettes of 2 bits or of more entries than a pixel can name, headers that leave out what is zero.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from fracture_core.imaging.limits import UnreadableRadiograph, check_size
from fracture_core.imaging.truncation import NOTHING_THERE

_FILE_HEADER = 14
#: Compressions: none, colours in bits that masks give, the same with alpha; and files within a file.
_NONE, _MASKS, _MASKS_AND_ALPHA, _JPEG, _PNG = 0, 3, 6, 4, 5

#: How far from square a pixel may be, as a ratio; beyond that the file is wrong.
_ABSURD = 8


@dataclass(frozen=True)
class _Header:
    """What a BMP file says; `length` is that of the header behind the file header, `start` that of all before rows."""

    start: int
    length: int
    width: int
    height: int
    bits: int
    compression: int
    colours: int
    pixel_shape: float = 1.0

    @property
    def stride(self) -> int:
        """Bytes of a row."""
        return (self.width * self.bits + 31) // 32 * 4


def _header(data: bytes) -> _Header:
    start, length = struct.unpack_from("<I", data, 10)[0], struct.unpack_from("<I", data, 14)[0]
    if length == 12:
        width, height, _, bits = struct.unpack_from("<4H", data, 18)
        return _Header(start, length, width, height, bits, _NONE, 0)
    stated = data[14 : 14 + min(length, 40)].ljust(40, b"\0")
    width, height, _, bits, compression, _, across, down, colours = struct.unpack_from("<iiHHIIiiI", stated, 4)
    shape = across / down if across > 0 and down > 0 else 1.0
    shape = shape if 1 / _ABSURD <= shape <= _ABSURD else 1.0
    return _Header(start, length, abs(width), height, bits, compression, colours, shape)


def bmp_completed(data: bytes) -> tuple[bytes, np.ndarray | None]:
    """Fill up a BMP file that lacks rows.

    Args:
        data: The file.

    Returns:
        The whole file; and which rows are in it, bool (H,), or None where all are.

    Raises:
        UnreadableRadiograph: Its size is beyond the limits, or there is not one row.
    """
    if len(data) < 34:
        return data, None
    header = _header(data)
    check_size(header.width, abs(header.height))
    lacking = header.start + header.stride * abs(header.height) - len(data)
    plain = header.compression in (_NONE, _MASKS, _MASKS_AND_ALPHA) and 0 < header.bits <= 32
    if not plain or lacking <= 0 or not header.stride:
        return data, None
    rows = np.arange(abs(header.height)) < max(len(data) - header.start, 0) // header.stride
    if not rows.any():  # the start of the rows may be said to lie gigabytes behind the end
        raise UnreadableRadiograph(NOTHING_THERE)
    # Rows are stored from the bottom up unless the height is negative.
    return data + bytes(lacking), rows if header.height < 0 else rows[::-1]


def bmp_pixel_shape(data: bytes) -> float:
    """Return the height of a pixel by its width.

    Args:
        data: The file.

    Returns:
        The ratio, 1.0 where the file does not say.
    """
    return _header(data).pixel_shape if len(data) >= 34 else 1.0


def bmp_colours(data: bytes) -> np.ndarray:
    """Decode a BMP file whose rows are not compressed.

    Args:
        data: The file, whole.

    Returns:
        uint8 (H, W, 3), RGB, or (H, W, 4) with alpha.

    Raises:
        UnreadableRadiograph: It is of another kind, or too large.
    """
    header = _header(data)
    if header.compression in (_JPEG, _PNG):
        what = "JPEG" if header.compression == _JPEG else "PNG"
        raise UnreadableRadiograph(f"BMP files that hold a {what} image are not supported. Please export it as {what}.")
    check_size(header.width, abs(header.height), 4)
    rows = np.frombuffer(data, np.uint8, header.stride * abs(header.height), header.start)
    rows = rows.reshape(abs(header.height), header.stride)
    if header.compression == _NONE and header.bits in (1, 2, 4, 8):
        colours = _palette(data, header)[_places(rows, header)]
    elif header.compression in (_MASKS, _MASKS_AND_ALPHA) and header.bits in (16, 32):
        colours = _masked(rows, data, header)
    else:
        raise UnreadableRadiograph(
            f"BMP images of this kind ({header.bits} bits, compression {header.compression}) are not supported. "
            "Please export it as PNG."
        )
    return colours if header.height < 0 else colours[::-1]


def _places(rows: np.ndarray, header: _Header) -> np.ndarray:
    """Unpack the places in the palette, the first pixel in the high bits."""
    if header.bits == 8:
        return rows[:, : header.width]
    each = 8 // header.bits
    shifts = (np.arange(each, dtype=np.uint8)[::-1] * header.bits).astype(np.uint8)
    places = (rows[:, :, None] >> shifts) & ((1 << header.bits) - 1)
    return places.reshape(len(rows), -1)[:, : header.width]


def _palette(data: bytes, header: _Header) -> np.ndarray:
    """Return the palette, uint8 (256, 3); places that it lacks are black."""
    size, first = (3 if header.length == 12 else 4), _FILE_HEADER + header.length
    stated = min(header.colours or 1 << header.bits, 256)
    entries = np.frombuffer(data[first : min(first + size * stated, header.start)], np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    count = len(entries) // size
    palette[:count] = entries[: count * size].reshape(count, size)[:, 2::-1]
    return palette


def _masked(rows: np.ndarray, data: bytes, header: _Header) -> np.ndarray:
    """Extract each colour from the bits of its mask."""
    stated = 4 if header.compression == _MASKS_AND_ALPHA or header.length >= 56 else 3
    masks = struct.unpack_from(f"<{stated}I", data, _FILE_HEADER + 40)
    words = np.ascontiguousarray(rows).view(f"<u{header.bits // 8}")[:, : header.width]
    channels = []
    for mask in masks if masks[-1] or stated == 3 else masks[:3]:
        shift = (mask & -mask).bit_length() - 1 if mask else 0
        top = max(mask >> shift, 1)
        values = ((words & mask) >> shift).astype(np.float32)
        channels.append((values * (255 / top) + 0.5).astype(np.uint8))
    return np.dstack(channels)
