"""Turning an image upright by the orientation that its metadata give: EXIF, XMP, or ImageMagick's text chunks."""

from __future__ import annotations

import binascii
import re
from pathlib import Path
from typing import BinaryIO

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
#: What each orientation does to the image, in words.
ORIENTATION_TEXT = {
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "mirrored top to bottom",
    5: "mirrored and turned by 90 degrees",
    6: "turned by 90 degrees clockwise",
    7: "mirrored and turned by 90 degrees",
    8: "turned by 90 degrees counter-clockwise",
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


def orientation_and_sizes(file: Path | BinaryIO) -> tuple[int, tuple[int, int], tuple[int, int]]:
    """Read orientation and size from an image's header.

    Args:
        file: The file, or its path.

    Returns:
        EXIF orientation 1..8, (width, height) as stored, (width, height) upright.
    """
    with Image.open(file) as image:
        orientation = image.getexif().get(_ORIENTATION, 1)
        stored = image.size
    orientation = orientation if orientation in _TURNS else 1
    return orientation, stored, stored[::-1] if orientation >= 5 else stored


def turn_points(points: np.ndarray, orientation: int, stored: tuple[int, int]) -> np.ndarray:
    """Convert points from the stored to the upright frame (Exif 2.32, tag 274 "Orientation").

    Args:
        points: x, y, shape (k, 2).
        orientation: EXIF orientation 1..8.
        stored: (width, height) as stored.

    Returns:
        Shape (k, 2).
    """
    width, height = stored
    x, y = points[:, 0], points[:, 1]
    across, down = width - x, height - y
    upright = {2: (across, y), 3: (across, down), 4: (x, down), 5: (y, x), 6: (down, x), 7: (down, across)}
    upright |= {1: (x, y), 8: (y, across)}
    return np.stack(upright[orientation], axis=1)
