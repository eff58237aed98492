"""PackBits runs, as TIFF and DICOM use them, as far as a stream goes."""

from __future__ import annotations

import imagecodecs
import numpy as np

#: Runs that are unpacked one by one where the library gives up; more would take seconds.
_MAX_RUNS = 2_000_000


def unpack_bits(stored: bytes, size: int) -> np.ndarray:
    """Unpack PackBits (TIFF 6.0, section 9; DICOM PS3.5, annex G) as far as whole runs go.

    Args:
        stored: The runs; they may end in the middle of one, or go on beyond what is wanted.
        size: Most bytes that are wanted.

    Returns:
        uint8 (n,), n at most `size`.
    """
    # A byte of zero pads a stream to an even length, and is half a run to the library.
    for stream in (stored, stored[:-1]) if stored.endswith(b"\0") else (stored,):
        try:
            return np.asarray(imagecodecs.packbits_decode(stream, out=np.zeros(size + 256, np.uint8)))[:size]
        except imagecodecs.PackbitsError:
            continue
    return _whole_runs(stored, size)


def _whole_runs(stored: bytes, size: int) -> np.ndarray:
    into = np.zeros(size, np.uint8)
    source = np.frombuffer(stored, np.uint8)
    place = position = 0
    for _ in range(_MAX_RUNS):
        if place >= size or position + 1 >= len(source):
            break
        head = stored[position]
        if head == 128:
            position += 1
        elif head > 128:
            into[place : place + 257 - head] = source[position + 1]
            place, position = place + 257 - head, position + 2
        else:
            part = source[position + 1 : position + 2 + head][: size - place]
            into[place : place + len(part)] = part
            place, position = place + len(part), position + 2 + head
    return into[:place]
