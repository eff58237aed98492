"""Turning a picture upright by the orientation that its EXIF header gives."""

from __future__ import annotations

import numpy as np
from PIL import Image

_ORIENTATION = 0x0112
#: EXIF orientation 2..8 -> (transpose first, flip rows, flip columns), the inverse of how the camera was held.
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def exif_orientation(block: bytes) -> int:
    """Orientation 1..8 from an EXIF block ("Exif", two zero bytes, TIFF); 1, upright, where it is absent or absurd."""
    exif = Image.Exif()
    try:
        exif.load(block)
        value = exif.get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF is common, and no reason to refuse a picture
        return 1
    return value if value in _TURNS else 1


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (H, W) stored pixels upright: (H, W) or (W, H), C-contiguous."""
    transpose, rows, columns = _TURNS.get(orientation, (False, False, False))
    if transpose:
        pixels = pixels.T
    return np.ascontiguousarray(pixels[:: -1 if rows else 1, :: -1 if columns else 1])
