"""Interlaced PNG: seven passes over the image, each finer than the one before (Adam7).

A truncated file holds its first passes. They show the whole image, coarsely, so that each pixel that is missing takes
the value of the nearest one, above and to the left, that is there.
"""

from __future__ import annotations

import numpy as np

#: First column and row of each pass, and the steps between its columns and rows.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
#: Height and width of the block that a pixel of each pass stands for until finer passes come.
_BLOCKS = ((8, 8), (8, 4), (4, 4), (4, 2), (2, 2), (2, 1), (1, 1))


def pass_lines(width: int, height: int, bits: int, *, interlaced: bool) -> tuple[tuple[int, int], ...]:
    """Return the lines of each pass.

    Args:
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        bits: Of a pixel.
        interlaced: Whether there are seven passes, or one.

    Returns:
        For each pass, how many lines it has, and how many bytes each has, its filter byte included.
    """
    lines = []
    for x, y, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        lines.append((rows, 1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else (0, 1))
    return tuple(lines)


def lines_held(held: int, lines: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Return how many lines of each pass are whole within so many decompressed bytes.

    Args:
        held: Bytes.
        lines: What `pass_lines` returned.

    Returns:
        The number of each pass.
    """
    whole = []
    for rows, size in lines:
        whole.append(min(rows, held // size))
        held = max(held - rows * size, 0)
    return tuple(whole)


def filled_in(grey: np.ndarray, held: tuple[int, ...]) -> np.ndarray:
    """Give pixels that a truncated file lacks the value of a coarser pass.

    Args:
        grey: uint8 (H, W), as decoded; written to.
        held: What `lines_held` returned.

    Returns:
        bool (H,), which rows hold values; those below the lines of the first pass do not.
    """
    known = grey.copy()
    for (x, y, across, down), (high, wide), rows in zip(_PASSES, _BLOCKS, held, strict=True):
        values = known[y::down, x::across][:rows]
        for row in range(high):
            for column in range(wide):
                into = grey[y + row :: down, x + column :: across]
                part = values[: into.shape[0], : into.shape[1]]
                into[: part.shape[0], : part.shape[1]] = part
    return np.arange(len(grey)) < 8 * held[0]
