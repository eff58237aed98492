"""Long work in a thread of its own: begun once, watched from any rerun of a page, stopped on request."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fracture_core.errors import FractureCoreError

Result = TypeVar("Result")
Step = Callable[[int, int], None]
_log = logging.getLogger(__name__)


class StoppedError(FractureCoreError):
    """What work raises, or what its `step` raises for it, once it was told to stop."""


@dataclass(frozen=True)
class Progress:
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


class Work(Generic[Result]):
    """One piece of work, `run(step, stop)`: it calls `step(done, total)` as it goes on and obeys the Event `stop`.

    Thread-safe. The thread is a daemon: a server that ends does not wait for it, so `run` must leave nothing
    half-written when it is cut off.
    """

    def __init__(self, run: Callable[[Step, threading.Event], Result]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._progress = Progress()
        self._result: Result | None = None
        self._thread: threading.Thread | None = None

    @property
    def progress(self) -> Progress:
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
            self._progress = Progress("running")
            self._thread = threading.Thread(target=self._work, args=(self._stop,), daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """Tell it to stop; it does so at its next step."""
        with self._lock:
            if self._progress.state == "running":
                self._stop.set()
                self._progress = Progress("stopping", self._progress.done, self._progress.total)

    def join(self, timeout: float | None = None) -> Progress:
        """Wait until it is no longer at work, at most `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self.progress

    def _work(self, stop: threading.Event) -> None:
        def step(done: int, total: int) -> None:
            with self._lock:
                self._progress = Progress("stopping" if stop.is_set() else "running", done, total)
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
            self._progress = Progress(state, self._progress.done, self._progress.total, error)
