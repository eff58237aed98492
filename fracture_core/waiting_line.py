"""A line before the engine: who came first is read first, and only so many may wait.

Reading takes memory and every core. Many sessions at once would make each other slow until the server dies, so a few
read, the others wait their turn and are told their place, and past a limit a newcomer is asked to come back. Whoever
has many files joins the line anew for each, so a folder of hundreds never keeps one urgent file waiting for long.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fracture_core.errors import FractureCoreError

#: Seconds between two looks at whether whoever waits is still there; a turn itself begins at once.
_LOOK = 0.2


class LineFullError(FractureCoreError):
    """Every place in the line is taken."""


class WaitingLine:
    """First come, first served, across threads. Make it once and share it.

    `at_once` readings run together: two on a computer with several cores, so that one file is decoded while the
    network reads another, and no more, because the network uses all cores by itself. `places` may wait besides.

    Example:
        >>> line = WaitingLine(places=8)
        >>> with line.turn(lambda position: print(f"Busy, position {position}.")):
        ...     finding = reader.read(radiograph)
    """

    def __init__(self, places: int = 64, at_once: int | None = None):
        self.places = places
        self.at_once = at_once or min(2, os.cpu_count() or 1)
        self._lock = threading.Lock()
        self._inside = 0
        self._waiting: deque[threading.Event] = deque()

    @property
    def waiting(self) -> int:
        """How many wait at this moment."""
        return len(self._waiting)

    @contextmanager
    def turn(self, watch: Callable[[int], None] | None = None) -> Iterator[None]:
        """Wait for a turn, hold it for the block, and pass it on at the end, however that comes.

        While it waits, `watch(position)` is called several times a second, 1 for the next one in. Where `watch`
        raises, because whoever asked has gone, the place is given back and the exception goes on. Raises
        LineFullError at once where every place is taken.
        """
        ready = self._join()
        try:
            while not ready.wait(_LOOK):
                if watch and (position := self._position(ready)):
                    watch(position)
            yield
        finally:
            self._leave(ready)

    def _join(self) -> threading.Event:
        ready = threading.Event()
        with self._lock:
            if self._inside < self.at_once:
                self._inside += 1
                ready.set()
            elif len(self._waiting) >= self.places:
                raise LineFullError(
                    f"The computer is busy: {self._inside} readings are under way and {len(self._waiting)} more are "
                    "waiting, which is as many as it takes. Try again in a minute."
                )
            else:
                self._waiting.append(ready)
        return ready

    def _position(self, ready: threading.Event) -> int:
        """Give the place in the line, 1 for the next one in; 0 where the turn has come meanwhile."""
        with self._lock:
            return self._waiting.index(ready) + 1 if ready in self._waiting else 0

    def _leave(self, ready: threading.Event) -> None:
        with self._lock:
            if ready in self._waiting:
                self._waiting.remove(ready)
            elif self._waiting:
                self._waiting.popleft().set()  # the turn goes straight on, so no newcomer can slip in between
            else:
                self._inside -= 1
