"""Run training as a process of its own: start, resume, pause, cancel and kill it.

The process outlives the page, the browser and the app; a restarted app finds it by the run's folder.
`fracture_core.jobs.status` reads how it is doing.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from fracture_core.bundle.loading import list_bundles
from fracture_core.data.combined.sources import Sources
from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.jobs.control import set_request
from fracture_core.jobs.lock import announced, check_idle, current_trainer, starting_lock
from fracture_core.jobs.preparation import JobError, check, check_resumable, make_run_folder, prepare, resolved_folder
from fracture_core.jobs.status import RunStatus, find_run, status
from fracture_core.paths import models_folder, working_folder
from fracture_core.recipe import Recipe
from fracture_core.training.run_folder import RunFolder

#: The command line that runs before `resume RUN`.
COMMAND: tuple[str, ...] = (sys.executable, "-m", "fracture_core")
_START_TIMEOUT_S = 120.0  # until a new process has taken the lock; it imports nothing heavy before
_FOLDERS = (
    "FRACTURE_RUNS_DIR",
    "FRACTURE_MODELS_DIR",
    "FRACTURE_CACHE_DIR",
    "FRACATLAS_DIR",
    "FRACTURE_ELSEWHERE_DIR",
)
_children: list[subprocess.Popen] = []


def start(recipe: Recipe, dataset: Sources | str | Path | None, bundle: str) -> Path:
    """Start a run in a process of its own.

    Args:
        recipe: What to train.
        dataset: Where the radiographs are: a folder or csv; None for the default FracAtlas.
        bundle: Name of the bundle to create.

    Returns:
        The run's folder.

    Raises:
        BusyError: Another run is training.
        DatasetError: The dataset cannot be read.
        SplitError: The dataset cannot be split.
        JobError: The run could not succeed, or its process does not start; nothing is left behind.
    """
    check_idle()
    check(recipe, dataset)
    # From the last look until the new process holds the lock nobody else may start one: it would end in vain.
    with starting_lock():
        check_idle()
        if bundle in list_bundles(models_folder()):
            raise JobError(f"There is already a bundle named {bundle!r}; choose another name.")
        run = make_run_folder(recipe)
        try:
            with announced(run):  # before its recipe is there, or it would be listed as interrupted for a moment
                prepare(recipe, dataset, bundle, run)
                trains = _launch(run)
            return run if trains else _ended(run)
        except FractureCoreError:
            if not RunFolder(run).started:
                shutil.rmtree(run, ignore_errors=True)
            raise


def resume(run: str | Path) -> Path:
    """Resume a run in a process of its own; one that is at work already goes on as it is.

    Args:
        run: Its folder, its name or a part of the name.

    Returns:
        The run's folder.

    Raises:
        BusyError: Another run is training.
        RunError: There is no such run.
        JobError: It has finished, was not started as a job, or its process does not start.
    """
    with starting_lock():
        current = status(find_run(run))
        if current.alive:
            return current.run
        check_idle()
        check_resumable(current.run)
        with announced(current.run):
            trains = _launch(current.run)
        return current.run if trains else _ended(current.run)


def measure(recipe: Recipe, dataset: Sources | str | Path | None, stop: threading.Event | None = None) -> None:
    """Time some training steps of a recipe in a process of its own, for `estimate`; about a minute.

    Args:
        recipe: What to train.
        dataset: Where the radiographs are: a folder or csv; None for the default FracAtlas.
        stop: Set it to give up.

    Raises:
        BusyError: A run is training, which would distort the measurement.
        JobError: The measurement failed.
    """
    check_idle()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recipe.json"
        write_text(file, json.dumps(recipe.to_json()))
        sources = Sources.of(dataset)
        command = [*COMMAND, "estimate", str(file)]
        for option, named in (("--dataset", sources.dataset), ("--site", sources.site)):
            command += [option, named] if named else []
        log = Path(folder) / "log"  # a pipe that nobody reads holds up a child that says much
        with log.open("wb") as stream:
            child = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=stream, env=_environment(), cwd=working_folder()
            )
        try:
            while child.poll() is None:
                if stop is not None and stop.is_set():
                    child.kill()
                time.sleep(0.1)
        finally:
            child.kill()
            child.wait()
        words = log.read_text("utf-8", errors="replace")
    if child.returncode and not (stop is not None and stop.is_set()):
        reason = words.rpartition("error: ")[2].strip() if "error: " in words else "its process ended early"
        raise JobError(f"The speed cannot be measured: {reason}")


def pause(run: Path) -> None:
    """Pause a run before its next step; its process stays in memory.

    Args:
        run: The run's folder.

    Raises:
        JobError: The run is not running, or is just starting.
    """
    set_request(_alive(run).run, "pause")


def unpause(run: Path) -> None:
    """Continue a paused run.

    Args:
        run: The run's folder.

    Raises:
        JobError: The run is not running, or is just starting.
    """
    set_request(_alive(run).run, None)


def cancel(run: Path) -> None:
    """Ask a run to stop at its next step: it writes a checkpoint, frees its memory, and can be resumed.

    Args:
        run: The run's folder.

    Raises:
        JobError: The run is not running, or is just starting.
    """
    set_request(_alive(run).run, "stop")


def kill(run: Path) -> None:
    """Kill a run's process that does not respond; the run can be resumed from its last checkpoint.

    Args:
        run: The run's folder.

    Raises:
        JobError: The run is not running, or is just starting.
    """
    current = _alive(run)
    holder = current_trainer()
    # The process holds the lock at this moment, so its number cannot have been recycled.
    if holder is not None and holder.run == current.run:
        os.kill(holder.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    wait(current.run, 10)


def wait(run: Path, seconds: float) -> RunStatus:
    """Wait until a run has ended.

    Args:
        run: The run's folder.
        seconds: Longest wait.

    Returns:
        Its status afterwards.
    """
    end = time.monotonic() + seconds
    while (current := status(run)).alive and time.monotonic() < end:
        time.sleep(0.05)
    return current


def _launch(run: Path) -> bool:
    """Start a run's process, and return whether it holds the training lock now; otherwise it has ended."""
    child = _spawn(run)
    end = time.monotonic() + _START_TIMEOUT_S
    while child.poll() is None:
        holder = current_trainer()
        if holder is not None and holder.pid == child.pid:
            return True
        if time.monotonic() >= end:
            child.kill()
            raise JobError("The run's process did not start in time and was ended.")
        time.sleep(0.05)
    return False


def _ended(run: Path) -> Path:
    """Return the folder of a run whose process ended at once with its work done; else raise JobError."""
    current = status(run)
    if current.state in ("finished", "stopped"):
        return run
    raise JobError(current.error if current.state == "failed" else _last_error(run))


def _spawn(run: Path) -> subprocess.Popen:
    with (run / "output.txt").open("ab") as output:
        child = subprocess.Popen(
            [*COMMAND, "resume", str(run), "--background"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_environment(),
            cwd=working_folder(),
        )
    _children[:] = [process for process in _children if process.poll() is None] + [child]
    return child


def _environment() -> dict[str, str]:
    """Return our environment with absolute folders, because the process runs elsewhere."""
    variables = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    return variables | {name: resolved_folder(variables[name]) for name in _FOLDERS if variables.get(name, "").strip()}


def _last_error(run: Path) -> str:
    _, said, error = (run / "output.txt").read_text("utf-8", errors="replace").rpartition("error: ")
    return error.strip()[-500:] if said else "The process ended before training began: see output.txt in its folder."


def _alive(run: str | Path) -> RunStatus:
    current = status(Path(run))
    if current.state == "starting":
        raise JobError(f"The run {current.name} is just starting. Try again in a moment.")
    if not current.alive:
        raise JobError(f"The run {current.name} is not running.")
    return current
