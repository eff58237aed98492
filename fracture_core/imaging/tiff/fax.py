"""Fax-coded (CCITT) segments of a TIFF image.

The decoder loses its place at some codes of group 4 and says nothing. So what it returns is coded again, by another
library: only what gives the same code is believed.
"""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
from PIL import Image, TiffImagePlugin

from fracture_core.imaging.limits import UnreadableRadiograph
from fracture_core.imaging.tiff.layout import unsupported

#: Data that no fax line is made of.
_NOISE = bytes(np.random.default_rng(0).integers(1, 255, 512, dtype=np.uint8))
_GROUP_3, _GROUP_4 = 3, 4
_STRIP_OFFSET, _STRIP_LENGTH = 273, 279
#: Lines that may be like those that noise gives.
_BY_CHANCE = 2
#: Bytes at the end of coded lines that depend on what follows them: an end code, and filling.
_END = 8


def fax_lines(stored: bytes, shape: tuple[int, int], compression: int, options: int) -> np.ndarray:
    """Decode one segment as far as it goes.

    Args:
        stored: The segment, the high bit of a byte first.
        shape: Rows and columns.
        compression: The TIFF tag's value: 2, 3 or 4.
        options: T4Options.

    Returns:
        uint8 (n, W), 0 or 1, n at most the number of rows.

    Raises:
        UnreadableRadiograph: The segment uses codes that the decoder does not know.
    """
    # Lines after the end of the data are told by noise put there.
    lines = _decoded(stored, shape, compression, options)
    different = np.flatnonzero((lines != _decoded(stored + _NOISE, shape, compression, options)).any(axis=1))
    lines = lines[: different[0]] if different.size else lines
    # The last lines before a cut may be there by chance.
    certain = lines[:-_BY_CHANCE] if different.size else lines
    if compression == _GROUP_4 and len(certain):
        again = _coded(certain)
        common = max(min(len(again) - _END, len(stored)), 0)
        if again[:common] != stored[:common]:
            raise _unknown_codes()
    return lines


def _unknown_codes() -> UnreadableRadiograph:
    return unsupported("fax compression, group 4, with codes that are not read here")


def _decoded(stored: bytes, shape: tuple[int, int], compression: int, options: int) -> np.ndarray:
    height, width = shape
    into = np.zeros(shape, np.uint8)
    if compression == _GROUP_4:
        decoded = imagecodecs.ccittfax4_decode(stored, height, width, out=into)
    elif compression == _GROUP_3:
        decoded = imagecodecs.ccittfax3_decode(stored, height, width, t4options=options, out=into)
    else:
        decoded = imagecodecs.ccittrle_decode(stored, height, width, out=into)
    return (np.asarray(decoded) > 0).astype(np.uint8)


def _coded(lines: np.ndarray) -> bytes:
    """Code lines in group 4, by libtiff, as one strip."""
    file = io.BytesIO()
    # Black, which fax codes as 1, is stored as 0 in an image of two levels.
    Image.fromarray(lines == 0).save(file, "TIFF", compression="group4", tiffinfo={278: len(lines), 262: 0})
    data = file.getvalue()
    with TiffImagePlugin.TiffImageFile(io.BytesIO(data)) as written:
        start, length = written.tag_v2[_STRIP_OFFSET][0], written.tag_v2[_STRIP_LENGTH][0]
    return data[start : start + length]
