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
    """Return orientation 1 to 8 from an EXIF block; 1, upright, where it is absent or absurd.

    Args:
        block: "Exif", two zero bytes and a TIFF, or the TIFF alone.
    """
    exif = Image.Exif()
    try:
        exif.load(block if block.startswith(b"Exif\0\0") else b"Exif\0\0" + block)
        value = exif.get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF is common, and no reason to refuse an image
        return 1
    return value if value in _TURNS else 1


def xmp_orientation(packet: bytes | str) -> int:
    """Return orientation 1 to 8 from an XMP packet; 1, upright, where it does not say."""
    match = _XMP.search(packet.encode("utf-8", "replace") if isinstance(packet, str) else packet)
    return int(match[1]) if match else 1


def hexadecimal_profile(text: str | bytes) -> bytes:
    """Return the block in a profile as ImageMagick writes it into PNG text: a name, a length, hexadecimal digits."""
    raw = text.encode("latin-1", "replace") if isinstance(text, str) else text
    parts = raw.split()
    if len(parts) < 3 or not parts[1].isdigit():
        return b""
    try:
        return binascii.unhexlify(b"".join(parts[2:]))
    except (binascii.Error, ValueError):
        return b""


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return (H, W) stored pixels turned upright: (H, W) or (W, H), C-contiguous."""
    transpose, rows, columns = _TURNS.get(orientation, (False, False, False))
    if transpose:
        pixels = pixels.T
    return np.ascontiguousarray(pixels[:: -1 if rows else 1, :: -1 if columns else 1])
