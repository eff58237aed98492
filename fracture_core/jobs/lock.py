"""One training at a time: who trains on this machine now, known from a lock that dies with its process.

The lock is the operating system's. It is gone the moment its holder is, however that ended, so a run that was killed
is never taken for a live one, and a process number that was given away again never for the run's.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.paths import runs_folder

_PATIENCE = 3.0  # seconds; whoever merely looks holds the lock for an instant
_looking = threading.Lock()


class BusyError(FractureCoreError):
    """Another run is training."""


@dataclass(frozen=True)
class Trainer:
    """The process that trains now, and its run folder, an absolute path."""

    pid: int
    run: Path


def current_trainer() -> Trainer | None:
    """Give who trains now, or None."""
    folder = runs_folder()
    if not (folder / _LOCK).exists():
        return None
    with _looking:
        lock = FileLock(folder / _LOCK)
        try:
            with lock.acquire(timeout=0):
                return None
        except Timeout:
            pass
        except OSError:
            return None  # a folder that cannot be written: nobody trains here
    try:
        data = json.loads((folder / _HOLDER).read_text("utf-8"))
        found = Trainer(int(data["pid"]), Path(data["run"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it has not said its name yet
    return found if _exists(found.pid) else None


@contextmanager
def training_lock(run: Path) -> Iterator[None]:
    """Be the one that trains, for `run`; raise BusyError, naming the other run, where another does."""
    folder = runs_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK)
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        raise BusyError(busy_sentence()) from None
    except OSError as error:
        raise BusyError(f"Runs cannot be written to {folder} ({error.strerror}).") from error
    try:
        try:
            write_text(folder / _HOLDER, json.dumps({"pid": os.getpid(), "run": str(Path(run).resolve())}))
        except OSError as error:
            raise BusyError(f"Runs cannot be written to {folder} ({error.strerror}).") from error
        yield
    finally:
        (folder / _HOLDER).unlink(missing_ok=True)
        lock.release()


def busy_sentence() -> str:
    """Say that another run is training, by its name where it is known."""
    other = current_trainer()
    which = f"The run {other.run.name}" if other else "Another run"
    return f"{which} is training on this machine. Wait until it has ended, or cancel it, and start again."


def _exists(pid: int) -> bool:
    if os.name == "nt":
        return True  # signal 0 ends a process there; the lock alone must do
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


_LOCK, _HOLDER = ".training.lock", ".training.json"
