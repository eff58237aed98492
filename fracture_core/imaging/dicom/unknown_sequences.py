"""Sequences of unknown representation (UN) in big-endian files: they are little-endian all the same (CP-246)."""

from __future__ import annotations

import io
import re

from pydicom.filereader import read_sequence

#: The representation, no length, and the first item, low byte first.
_SEQUENCE = re.compile(rb"UN\0\0(\xff{4})(?=\xfe\xff\x00\xe0)")
_UNDEFINED = 0xFFFFFFFF
#: Sequences that are looked for; more are no header.
_MOST = 256


def without_unknown_sequences(data: bytes) -> bytes:
    """Return a big-endian file whose sequences of unknown representation are empty, because pydicom cannot skip them.

    Args:
        data: The file.

    Returns:
        The same file, but for the content of those sequences.

    Raises:
        Exception: Whatever pydicom raises for damage within one.
    """
    parts, place = [], 0
    for _ in range(_MOST):
        match = _SEQUENCE.search(data, place)
        if match is None:
            break
        source = io.BytesIO(data)
        source.seek(match.end())
        read_sequence(source, is_implicit_VR=True, is_little_endian=True, bytelength=_UNDEFINED, encoding="latin-1")
        parts += [data[place : match.start(1)], bytes(4)]
        place = source.tell()
    return b"".join([*parts, data[place:]])
