"""Allow one training at a time on a machine, with a lock that is released when its process ends.

The lock is the operating system's and is released when its holder ends, however it ends, so a killed run never looks
alive and a recycled process number is never mistaken for the run's.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.paths import runs_folder

_LOCK_TIMEOUT_S = 3.0  # a process that only checks holds the lock for an instant
_STARTING_TIMEOUT_S = 0.3  # likewise
_checking = threading.Lock()


class BusyError(FractureCoreError):
    """Another run is training."""


@dataclass(frozen=True)
class TrainingProcess:
    """The process that is training, and its run folder, an absolute path."""

    pid: int
    run: Path


def current_trainer() -> TrainingProcess | None:
    """Find out who is training on this machine.

    Returns:
        The process and its run; None if nobody is.
    """
    folder = runs_folder()
    if not (folder / _LOCK).exists() or not _is_held(folder / _LOCK):
        return None
    try:
        data = json.loads((folder / _HOLDER).read_text("utf-8"))
        trainer = TrainingProcess(int(data["pid"]), Path(data["run"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it has not written its name yet
    return trainer if _exists(trainer.pid) else None


@contextmanager
def training_lock(run: Path) -> Iterator[None]:
    """Hold the machine's training lock for a run.

    Args:
        run: The run's folder.

    Yields:
        Nothing.

    Raises:
        BusyError: Another run is training (the message names it), or the runs folder cannot be written.
    """
    folder = runs_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK)
        lock.acquire(timeout=_LOCK_TIMEOUT_S)
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


@contextmanager
def starting_lock() -> Iterator[None]:
    """Hold the right to start a run's process, until that process holds the training lock itself.

    Yields:
        Nothing.

    Raises:
        BusyError: Another run is being started, or the runs folder cannot be written.
    """
    folder = runs_folder()
    lock = FileLock(folder / _STARTING)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_STARTING_TIMEOUT_S)
        (folder / _STARTED).unlink(missing_ok=True)  # of a start that was killed
    except Timeout:
        raise BusyError("Another run is being started on this machine. Look again in a moment.") from None
    except OSError as error:
        raise BusyError(f"Runs cannot be written to {folder} ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def announced(run: Path) -> Iterator[None]:
    """Let `is_starting` know of a run whose process is being started. Use it while holding the `starting_lock`.

    Args:
        run: The run's folder.

    Yields:
        Nothing.
    """
    file = runs_folder() / _STARTED
    with suppress(OSError):  # then it shows a moment too late that it is starting
        write_text(file, json.dumps({"run": str(Path(run).resolve())}))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def is_starting(run: Path) -> bool:
    """Find out whether a run's process is being started and does not hold the training lock yet.

    Args:
        run: The run's folder.

    Returns:
        Whether it is.
    """
    folder = runs_folder()
    try:
        announced_run = json.loads((folder / _STARTED).read_text("utf-8"))["run"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    # Not held, the note is left from a start that was killed.
    return announced_run == str(Path(run).resolve()) and _is_held(folder / _STARTING)


def _is_held(path: Path) -> bool:
    """Return whether anybody holds a lock, by trying to."""
    try:
        with _checking, FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False  # the folder cannot be written, so nothing can be training


def check_idle() -> None:
    """Raise if another run is training on this machine.

    Raises:
        BusyError: One is; the message names it.
    """
    if current_trainer() is not None:
        raise BusyError(busy_sentence())


def busy_sentence() -> str:
    """Say which run is training on this machine.

    Returns:
        A sentence for the user.
    """
    other = current_trainer()
    which = f"The run {other.run.name}" if other else "Another run"
    return f"{which} is training on this machine. Wait until it has finished, or cancel it, then try again."


def _exists(pid: int) -> bool:
    if os.name == "nt":
        return True  # on Windows, signal 0 would end the process; rely on the lock alone
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


_LOCK, _HOLDER = ".training.lock", ".training.json"
_STARTING, _STARTED = ".starting.lock", ".starting.json"
