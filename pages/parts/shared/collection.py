"""Exclude what stays as long as the server runs from garbage collection."""

from __future__ import annotations

import gc
import sys
import time

#: Seconds after which everything is looked at once, so that what has become garbage since does not stay.
_LOOK_AT_ALL_AFTER = 600

_modules = 0
_looked_at = -_LOOK_AT_ALL_AFTER


def spare_what_is_loaded(now: float | None = None) -> None:
    """Exclude everything in memory from collection, if more modules were loaded since the last call.

    Streamlit collects garbage after every run of a page. With the libraries in memory that takes longer than the
    network, while nothing else of the server can go on; without them next to nothing.

    Args:
        now: Seconds of a clock that only goes forward; by default this machine's.
    """
    global _modules, _looked_at
    now = time.monotonic() if now is None else now
    if now - _looked_at >= _LOOK_AT_ALL_AFTER:
        # The collection after this run sees everything; the next run spares what is left.
        gc.unfreeze()
        _modules, _looked_at = 0, now
    elif _modules != len(sys.modules):
        gc.freeze()
        _modules = len(sys.modules)
