"""Turning an image upright by the orientation that its metadata give: EXIF, XMP, or ImageMagick's text chunks."""

from __future__ import annotations

import binascii
import re

import numpy as np
from PIL import Image

_ORIENTATION = 0x0112
#: Orientation 2..8 -> (transpose first, flip rows, flip columns), the inverse of how the camera was held.
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
_XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]")


def exif_orientation(block: bytes) -> int:
    """Read the orientation from an EXIF block.

    Args:
        block: "Exif", two zero bytes and a TIFF, or the TIFF alone.

    Returns:
        1 to 8; 1, upright, if it is absent or invalid.
    """
    exif = Image.Exif()
    try:
        exif.load(block if block.startswith(b"Exif\0\0") else b"Exif\0\0" + block)
        value = exif.get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF is common, and no reason to refuse an image
        return 1
    return value if value in _TURNS else 1


def xmp_orientation(packet: bytes | str) -> int:
    """Read the orientation from an XMP packet.

    Args:
        packet: The packet's text or bytes.

    Returns:
        1 to 8; 1, upright, if it is absent.
    """
    match = _XMP.search(packet.encode("utf-8", "replace") if isinstance(packet, str) else packet)
    return int(match[1]) if match else 1


def hexadecimal_profile(text: str | bytes) -> bytes:
    """Decode a profile as ImageMagick writes it into PNG text: a name, a length, hexadecimal digits.

    Args:
        text: The text of the chunk.

    Returns:
        The profile's bytes; b"" if the text is not such a profile.
    """
    raw = text.encode("latin-1", "replace") if isinstance(text, str) else text
    parts = raw.split()
    if len(parts) < 3 or not parts[1].isdigit():
        return b""
    try:
        return binascii.unhexlify(b"".join(parts[2:]))
    except (binascii.Error, ValueError):
        return b""


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn stored pixels upright.

    Args:
        pixels: (H, W), any dtype.
        orientation: EXIF orientation, 1 to 8; any other value leaves the pixels as they are.

    Returns:
        (H, W) or (W, H), same dtype, C-contiguous.
    """
    transpose, rows, columns = _TURNS.get(orientation, (False, False, False))
    if transpose:
        pixels = pixels.T
    return np.ascontiguousarray(pixels[:: -1 if rows else 1, :: -1 if columns else 1])
