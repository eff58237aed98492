"""Run work in threads: background tasks with progress, prefetching, and a bounded queue in order of arrival."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from fracture_core.errors import FractureCoreError

Result = TypeVar("Result")
Step = Callable[[int, int], None]
_log = logging.getLogger(__name__)


class StoppedError(FractureCoreError):
    """What work raises, or what its `step` raises for it, once it was told to stop."""


@dataclass(frozen=True)
class TaskState:
    """How far work is: `state` is "idle", "running", "stopping", "stopped", "failed" or "done".

    `done` and `total` are in the work's own unit (bytes, files); 0 where nothing was said yet. `error` is a sentence
    where it failed.
    """

    state: str = "idle"
    done: int = 0
    total: int = 0
    error: str = ""

    @property
    def share(self) -> float:
        """How much is done, 0..1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def busy(self) -> bool:
        """Whether a thread is at it."""
        return self.state in ("running", "stopping")


class BackgroundTask(Generic[Result]):
    """One piece of work, `run(step, stop)`: it calls `step(done, total)` as it goes on and obeys the Event `stop`.

    Thread-safe. The thread is a daemon: a server that ends does not wait for it, so `run` must leave nothing
    half-written when it is cut off.
    """

    def __init__(self, run: Callable[[Step, threading.Event], Result]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._progress = TaskState()
        self._result: Result | None = None
        self._thread: threading.Thread | None = None

    @property
    def progress(self) -> TaskState:
        """A snapshot of where it is."""
        with self._lock:
            return self._progress

    @property
    def result(self) -> Result | None:
        """What `run` gave, once its state is "done"."""
        with self._lock:
            return self._result

    def start(self) -> None:
        """Begin, or begin again after a stop or a failure; nothing happens while it runs or after it is done."""
        with self._lock:
            if self._progress.busy or self._progress.state == "done":
                return
            self._stop = threading.Event()
            self._progress = TaskState("running")
            self._thread = threading.Thread(target=self._work, args=(self._stop,), daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """Tell it to stop; it does so at its next step."""
        with self._lock:
            if self._progress.state == "running":
                self._stop.set()
                self._progress = TaskState("stopping", self._progress.done, self._progress.total)

    def join(self, timeout: float | None = None) -> TaskState:
        """Wait until it is no longer at work, at most `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self.progress

    def _work(self, stop: threading.Event) -> None:
        def step(done: int, total: int) -> None:
            with self._lock:
                self._progress = TaskState("stopping" if stop.is_set() else "running", done, total)
            if stop.is_set():
                raise StoppedError("It was stopped.")

        try:
            result = self._run(step, stop)
        except FractureCoreError as error:
            # Whatever it raises after it was told to stop is its way of stopping.
            self._end("stopped" if stop.is_set() else "failed", "" if stop.is_set() else str(error))
        except Exception:
            _log.exception("Work in the background failed.")
            self._end("failed", "It failed for a reason that was not foreseen; the server's log has the details.")
        else:
            self._end("done", result=result)

    def _end(self, state: str, error: str = "", result: Result | None = None) -> None:
        with self._lock:
            self._result = result
            self._progress = TaskState(state, self._progress.done, self._progress.total, error)


Key = TypeVar("Key")
Made = TypeVar("Made")


def prefetch(make: Callable[[Key], Made], keys: Iterable[Key]) -> Iterator[Made]:
    """Yield `make(key)` for every key, in order; while one is in use, a thread makes the next, and no more than that.

    What `make` raises is raised here, in its turn. A caller who leaves early waits for the one being made.
    """
    with ThreadPoolExecutor(1) as pool:
        coming = None
        for key in keys:
            made, coming = coming, pool.submit(make, key)
            if made:
                yield made.result()
        if coming:
            yield coming.result()


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
        ...     finding = reader.predict(radiograph)
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
