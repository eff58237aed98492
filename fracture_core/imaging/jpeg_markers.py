"""Find markers in JPEG and JPEG-LS streams, in time that grows with the stream's length whatever it holds.

Regular expressions would do for honest files. In a stream of nothing but fill bytes or impossible markers they take
seconds to hours.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

#: Bytes that are searched at a time: few at first, because most markers are near.
_FIRST_BLOCK, _LARGEST_BLOCK = 2**12, 2**20


def code_table(codes: Iterable[int]) -> np.ndarray:
    """Return a table of codes to search for.

    Args:
        codes: Second bytes of markers.

    Returns:
        bool (256,).
    """
    table = np.zeros(256, bool)
    table[list(codes)] = True
    return table


RESTARTS = code_table(range(0xD0, 0xD8))
#: What ends entropy-coded data: a marker that is no stuffed zero, restart (D0 to D7) or fill byte (T.81, B.1.1).
MARKERS = ~code_table([0x00, *range(0xD0, 0xD8), 0xFF])
#: The same in JPEG-LS, whose coded data may hold a byte below 80 after FF (T.87, A.1).
MARKERS_LS = MARKERS & (np.arange(256) >= 0x80)


def find_marker(data: bytes, codes: np.ndarray, start: int, stop: int | None = None) -> int | None:
    """Find the first marker of some codes.

    Args:
        data: The stream.
        codes: Table of the codes, bool (256,).
        start: Offset (bytes) to search from.
        stop: Offset at which a marker has to end at the latest; None: the stream's end.

    Returns:
        Offset of its first byte (FF); None if there is none.
    """
    stop = len(data) if stop is None else min(stop, len(data))
    size = _FIRST_BLOCK
    while start < stop - 1:
        block = np.frombuffer(data, np.uint8, min(size + 1, stop - start), start)
        places = np.flatnonzero(block[:-1] == 0xFF)
        found = np.flatnonzero(codes[block[places + 1]])
        if found.size:
            return start + int(places[found[0]])
        start += len(block) - 1
        size = min(2 * size, _LARGEST_BLOCK)
    return None


class RestartFinder:
    """Finds the next restart marker, and searches no part of a stream twice while its questions move forward."""

    def __init__(self, data: bytes):
        self._data = data
        self._searched_from = self._found = -1

    def after(self, position: int) -> int | None:
        """Find the first restart marker at or after a position.

        Args:
            position: Offset in bytes.

        Returns:
            Offset of its first byte; None if there is none.
        """
        if not self._searched_from <= position <= self._found:
            found = find_marker(self._data, RESTARTS, position)
            self._searched_from, self._found = position, len(self._data) if found is None else found
        return self._found if self._found < len(self._data) else None
