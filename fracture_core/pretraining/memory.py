"""Memory of a long PyTorch computation on a CPU."""

from __future__ import annotations

import ctypes

# From glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_AHEAD_BYTES = 256 << 20


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, where the C library is glibc.

    PyTorch has no cache of its own on a CPU: glibc returns every large tensor to the system and asks for it anew, and
    the system clears each page again. Call it once, before any training; the process then holds what it needed at most
    until it ends.

    Returns:
        Whether the C library could be asked.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, as on macOS and Windows
        return False
    options = {_ARENA_MAX: 1, _MMAP_MAX: 0, _TRIM_THRESHOLD: -1, _TOP_PAD: _AHEAD_BYTES}
    return all(set_option(option, value) for option, value in options.items())
