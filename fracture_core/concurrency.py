"""Run work in threads: background tasks with progress, prefetching, and a bounded first-come, first-served queue."""

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


def processors() -> int:
    """Return how many processors this process may use: a container or `taskset` may have left it fewer than there are.

    Returns:
        At least 1.
    """
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return (len(allowed(0)) if allowed else os.cpu_count()) or 1


class StoppedError(FractureCoreError):
    """Raised by a task, or by its `step` on its behalf, after it was cancelled."""


@dataclass(frozen=True)
class TaskState:
    """The state of a task: `state` is "idle", "running", "stopping", "stopped", "failed" or "done".

    `done` and `total` are in the task's own unit (bytes, files), 0 until it reports; `error` is a sentence if it
    failed.
    """

    state: str = "idle"
    done: int = 0
    total: int = 0
    error: str = ""

    @property
    def share(self) -> float:
        """Progress, 0..1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def busy(self) -> bool:
        """Whether a thread is running."""
        return self.state in ("running", "stopping")


class BackgroundTask(Generic[Result]):
    """A cancellable task, `run(step, stop)`, that calls `step(done, total)` as it goes and obeys the Event `stop`.

    Thread-safe. The thread is a daemon, so a server that shuts down does not wait for it: `run` must leave nothing
    half-written when it is interrupted.
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
        """A snapshot of the state."""
        with self._lock:
            return self._progress

    @property
    def result(self) -> Result | None:
        """What `run` returned, once the state is "done"; until then None."""
        with self._lock:
            return self._result

    def start(self) -> None:
        """Start, or restart after a stop or a failure; do nothing while it runs or after it is done."""
        with self._lock:
            if self._progress.busy or self._progress.state == "done":
                return
            self._stop = threading.Event()
            self._progress = TaskState("running")
            self._thread = threading.Thread(target=self._work, args=(self._stop,), daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """Ask the task to stop; it does so at its next step."""
        with self._lock:
            if self._progress.state == "running":
                self._stop.set()
                self._progress = TaskState("stopping", self._progress.done, self._progress.total)

    def join(self, timeout: float | None = None) -> TaskState:
        """Wait until the task is no longer running.

        Args:
            timeout: Longest wait in seconds; None waits without limit.

        Returns:
            The state afterwards.
        """
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
            # Any error after cancellation counts as cancellation.
            self._end("stopped" if stop.is_set() else "failed", "" if stop.is_set() else str(error))
        except Exception:
            if threading.main_thread().is_alive():  # else the program ends, and its libraries refuse to go on
                _log.exception("A background task failed.")
            self._end("failed", "It failed unexpectedly; the server's log has the details.")
        else:
            # A task that notices by itself that it is to stop may simply return nothing.
            self._end("stopped" if stop.is_set() and result is None else "done", result=result)

    def _end(self, state: str, error: str = "", result: Result | None = None) -> None:
        with self._lock:
            self._result = result
            self._progress = TaskState(state, self._progress.done, self._progress.total, error)


Key = TypeVar("Key")
Value = TypeVar("Value")


def prefetch(make: Callable[[Key], Value], keys: Iterable[Key]) -> Iterator[Value]:
    """Yield `make(key)` for every key, in order, computing the next value in a thread while one is in use.

    What `make` raises is raised here when its turn comes. A caller that leaves early waits for the value being
    computed.

    Args:
        make: Computes the value of a key.
        keys: The keys, in order.

    Yields:
        The values, in order.
    """
    with ThreadPoolExecutor(1) as pool:
        upcoming = None
        for key in keys:
            current, upcoming = upcoming, pool.submit(make, key)
            if current:
                yield current.result()
        if upcoming:
            yield upcoming.result()


#: Seconds between two checks that a waiting caller is still there; a turn itself starts without delay.
_POLL_S = 0.2


class QueueFullError(FractureCoreError):
    """Every place in the queue is taken."""


class RequestQueue:
    """A first-come, first-served queue across threads. Create it once and share it.

    `at_once` requests run together: two on a computer with several cores, so that one file is decoded while the network
    reads another, and no more, because the network uses all cores itself. `places` more may wait.

    Example:
        >>> queue = RequestQueue(places=8)
        >>> with queue.turn(lambda position: print(f"Busy, position {position}.")):
        ...     finding = predictor.predict(radiograph)
    """

    def __init__(self, places: int = 64, at_once: int | None = None):
        self.places = places
        self.at_once = at_once or min(2, processors())
        self._lock = threading.Lock()
        self._inside = 0
        self._waiting: deque[threading.Event] = deque()

    @property
    def waiting(self) -> int:
        """Number of requests that are waiting."""
        return len(self._waiting)

    @contextmanager
    def turn(self, watch: Callable[[int], None] | None = None) -> Iterator[None]:
        """Wait for a turn, hold it for the block, and pass it on at the end.

        If `watch` raises, because the caller has gone, the place is given up and the exception propagates.

        Args:
            watch: Called several times a second while waiting, with the position in the queue, 1 for the next.

        Yields:
            Nothing.

        Raises:
            QueueFullError: Every place is taken.
        """
        ready = self._join()
        try:
            while not ready.wait(_POLL_S):
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
                raise QueueFullError(
                    f"The server is busy: {self._inside} radiographs are being assessed and {len(self._waiting)} are "
                    "waiting, which is the limit. Try again in a minute."
                )
            else:
                self._waiting.append(ready)
        return ready

    def _position(self, ready: threading.Event) -> int:
        """Return the place in the queue, 1 for the next; 0 if the turn has started meanwhile."""
        with self._lock:
            return self._waiting.index(ready) + 1 if ready in self._waiting else 0

    def _leave(self, ready: threading.Event) -> None:
        with self._lock:
            if ready in self._waiting:
                self._waiting.remove(ready)
            elif self._waiting:
                self._waiting.popleft().set()  # hand the turn over directly, so that no newcomer can jump the queue
            else:
                self._inside -= 1
