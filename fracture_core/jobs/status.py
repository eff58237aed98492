"""Read the status of runs from their folders. `fracture_core.jobs.control` describes the files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from fracture_core.jobs.control import Job, get_request, read_json, seconds_run
from fracture_core.jobs.lock import current_trainer, is_starting
from fracture_core.paths import expand_user_path, runs_folder
from fracture_core.training.run_folder import RunError, RunFolder

State = Literal["starting", "running", "paused", "stopping", "finished", "trained", "stopped", "failed", "interrupted"]
_FULL_DISK_BYTES = 200e6  # with less free space, a full disk is the most likely reason for an unexpected end


@dataclass(frozen=True)
class RunStatus:
    """The status of a run at one moment.

    `state`: "starting" (its process does not hold the lock yet), "running", "paused", "stopping" (asked to stop, not
    stopped yet), "finished" (its bundle exists), "trained" (packaging is pending), "stopped" (cancelled, resumable),
    "failed" (`error` says why) or "interrupted" (the process stopped unexpectedly). `stage` is a stage of
    TrainingEvent, or "preparing", "reading", "auditing", "packaging", "comparing". `done` of `total` are in the stage's
    own unit. `bundle` is the name of the finished bundle. `ran` are the seconds that earlier attempts took together,
    and `since` is when the present one began, in seconds since 1970.
    """

    run: Path
    state: State
    stage: str = "preparing"
    done: int = 0
    total: int = 0
    epoch: int = 0
    epochs: int = 0
    images_per_second: float | None = None
    seconds_left: float | None = None
    loss: float | None = None
    bytes: int | None = None
    error: str = ""
    bundle: str | None = None
    ran: float = 0.0
    since: float | None = None

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.run.name

    @property
    def alive(self) -> bool:
        """Whether its process is running, or about to."""
        return self.state in ("starting", "running", "paused", "stopping")

    @property
    def resumable(self) -> bool:
        """Whether it can be resumed."""
        return self.state in ("stopped", "failed", "interrupted", "trained")

    @property
    def share(self) -> float:
        """Progress within the stage, 0..1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0


def status(run: Path) -> RunStatus:
    """Return the status of a run.

    Args:
        run: The run's folder.

    Returns:
        The status.

    Raises:
        RunError: The folder is not that of a run.
    """
    run = Path(run).resolve()
    if not (run / "recipe.json").is_file():
        raise RunError(f"{run.name} is not the folder of a run: it has no recipe.json.")
    trains = _trains(run)
    starting = not trains and is_starting(run)
    if not trains and not starting:
        trains = _trains(run)  # its process may have taken the lock between the two looks
    # Read only now, or a run that ends at this moment would seem to have ended without a word.
    saved = read_json(run / "progress.json")
    known = {key: saved[key] for key in RunStatus.__dataclass_fields__ if key in saved and key not in ("run", "state")}
    if trains:
        stopping = get_request(run) == "stop"
        state: State = "stopping" if stopping else "paused" if saved.get("paused") else "running"
        return RunStatus(run, state, **(known | {"error": "", "bundle": None}))
    if starting:
        ran = seconds_run(run)
        return RunStatus(run, "starting", epochs=known.get("epochs", 0), ran=ran, since=time.time() if ran else None)
    return RunStatus(run, _ended(run, saved), **(known | {"error": _reason(run, saved)}))


def state_at_rest(run: Path) -> State:
    """Return the state of a run that no process has begun to work on, or only this one.

    Args:
        run: The run's folder.

    Returns:
        "finished", "trained", "stopped", "failed" or "interrupted".
    """
    return _ended(run, read_json(run / "progress.json"))


def _trains(run: Path) -> bool:
    """Return whether a run's process holds the training lock; `run` is absolute."""
    trainer = current_trainer()
    return trainer is not None and trainer.run == run


def list_runs() -> list[RunStatus]:
    """Read the status of every run.

    Returns:
        The statuses, newest run first.
    """
    runs = []
    for path in sorted(_folders(), key=_start_and_name, reverse=True):
        with suppress(RunError, FileNotFoundError):  # deleted or renamed at this moment
            runs.append(status(path))
    return runs


def _folders() -> list[Path]:
    """Return the folders of all runs; a name that starts with a dot is being deleted."""
    folders = (path.parent for path in runs_folder().glob("*/recipe.json"))
    return [folder for folder in folders if not folder.name.startswith(".")]


def find_run(name: str | Path) -> Path:
    """Find the folder of a run.

    Args:
        name: The folder's name, a part of it that fits one run only, or a path.

    Returns:
        The absolute path.

    Raises:
        RunError: No run, or more than one, fits, or it is the folder of a bundle.
    """
    path = expand_user_path(name)
    if (path / "bundle.json").is_file():  # it has a recipe as well, and training there would overwrite its files
        raise RunError(f"{path.resolve().name} is the folder of a bundle, not of a run.")
    if (path / "recipe.json").is_file():
        return path.resolve()
    names = sorted(folder.name for folder in _folders())
    matches = [n for n in names if n == str(name)] or [n for n in names if str(name) and str(name) in n]
    if not matches:
        raise RunError(f"There is no run {str(name)!r}; the runs are: {', '.join(names) or 'none'}.")
    if len(matches) > 1:
        raise RunError(f"Several runs match {str(name)!r}: {', '.join(matches)}. Type more of the name.")
    return (runs_folder() / matches[0]).resolve()


def losses(run: Path) -> list[tuple[float, float]]:
    """Return the live loss curve; steps that were repeated after resuming count once.

    Args:
        run: The run's folder.

    Returns:
        (epochs so far, mean loss), in order.
    """
    try:
        lines = (run / "steps.csv").read_text("utf-8").splitlines()
    except OSError:
        return []
    rows: list[tuple[int, float, float]] = []
    for line in lines:
        parts = line.split(",")
        try:
            row = int(parts[0]), float(parts[1]), float(parts[2])
        except (ValueError, IndexError):
            continue  # a last line that a kill left incomplete
        while rows and rows[-1][0] >= row[0]:
            rows.pop()
        rows.append(row)
    return [(epochs, loss) for _, epochs, loss in rows]


def log_tail(run: Path, lines: int = 12) -> str:
    """Return the last lines of the run's log.

    Args:
        run: The run's folder.
        lines: How many.

    Returns:
        The lines; empty if there is no log.
    """
    try:
        return "\n".join((run / "log.txt").read_text("utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _ended(run: Path, saved: Mapping[str, Any]) -> State:
    ended = saved.get("ended")
    if ended in ("finished", "stopped", "failed"):
        return ended
    try:
        finished = RunFolder(run).finished
    except RunError:
        return "failed"  # the record is damaged: the run is still listed and can be deleted
    if finished:
        return "trained" if Job.read(run) else "finished"
    # Stopped at once by its user, it had no time to say so; its wish still lies there.
    return "stopped" if get_request(run) == "stop" else "interrupted"


def _reason(run: Path, saved: Mapping[str, Any]) -> str:
    state = _ended(run, saved)
    if state == "failed":
        return str(saved.get("error") or "It failed for an unknown reason.")
    if state == "stopped":
        return str(saved.get("error") or "")
    if state != "interrupted":
        return ""
    if shutil.disk_usage(run).free < _FULL_DISK_BYTES:
        return "The process stopped unexpectedly and the disk is full: free some disk space, then resume the run."
    return (
        "The process stopped unexpectedly: it was killed, ran out of memory, or the machine was switched off. "
        "The run can be resumed from its last checkpoint."
    )


def created(run: Path) -> str:
    """Return when a run was started, ISO 8601 to the minute, local time.

    Args:
        run: The run's folder.

    Returns:
        For example "2026-01-31 09:14".
    """
    return started(run).isoformat(sep=" ", timespec="minutes")


def started(run: Path) -> datetime:
    """Return when a run was started, to the second, local time.

    Args:
        run: The run's folder.

    Returns:
        The time, without a zone.
    """
    return _start_and_name(run)[0]


def _start_and_name(run: Path) -> tuple[datetime, str]:
    """Return when a run was started, by its folder's name or else by its first file, and its name."""
    try:
        return datetime.strptime(run.name[:15], "%Y%m%d-%H%M%S"), run.name
    except ValueError:
        file = run / "recipe.json"
        return datetime.fromtimestamp(file.stat().st_mtime if file.exists() else 0), run.name
