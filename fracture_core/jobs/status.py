"""How a run stands, told by its process and read by anyone, through three small files in its folder.

job.json        what was asked for: the dataset's folder and the bundle's name
progress.json   what the process told last: the stage, how far, and in the end how it ended
steps.csv       step, epochs so far, mean loss since the row before: a row every second or so, for the live curve
wish            "pause" or "stop", left by whoever watches; the process looks before every step
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from fracture_core.files import write_text
from fracture_core.jobs.lock import current_trainer
from fracture_core.paths import expand_user_path, runs_folder
from fracture_core.training.progress import TrainingEvent
from fracture_core.training.run_folder import RunError, RunFolder

State = Literal["running", "paused", "stopping", "finished", "trained", "stopped", "failed", "interrupted"]
Request = Literal["pause", "stop"]
_EVERY = 0.5  # seconds between two notes of the same stage
_ROW_EVERY = 1.0
_FULL = 200e6  # bytes; with less than that left, a full disk is the likeliest reason for a silent end


@dataclass(frozen=True)
class Job:
    """What was asked for beside the recipe: the dataset's folder (None: where FracAtlas is), and the bundle's name."""

    dataset: str | None
    bundle: str

    def write(self, run: Path) -> None:
        """Write job.json."""
        write_text(run / "job.json", json.dumps({"dataset": self.dataset, "bundle": self.bundle}) + "\n")

    @classmethod
    def read(cls, run: Path) -> Job | None:
        """Read job.json; None where the run was not started as a job."""
        data = _read(run / "job.json")
        if not isinstance(data.get("bundle"), str):
            return None
        return cls(data.get("dataset"), data["bundle"])


@dataclass(frozen=True)
class RunStatus:
    """A run at one moment.

    `state`: "running", "paused", "stopping" (asked to stop, not there yet), "finished" (its bundle is made),
    "trained" (the bundle is still to be made), "stopped" (cancelled, can go on), "failed" (`error` says why),
    "interrupted" (its process is gone without a word). `stage` is a Progress stage, or "preparing", "reading",
    "auditing", "packaging", "comparing". `done` of `total` are in the stage's own unit. `bundle` is the name of the
    finished bundle.
    """

    run: Path
    state: State
    stage: str = "preparing"
    done: int = 0
    total: int = 0
    epoch: int = 0
    epochs: int = 0
    pictures_per_second: float | None = None
    seconds_left: float | None = None
    loss: float | None = None
    bytes: int | None = None
    error: str = ""
    bundle: str | None = None
    updated: float | None = None  # seconds since 1970

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.run.name

    @property
    def alive(self) -> bool:
        """Whether a process is at it."""
        return self.state in ("running", "paused", "stopping")

    @property
    def resumable(self) -> bool:
        """Whether it can go on."""
        return self.state in ("stopped", "failed", "interrupted", "trained")

    @property
    def share(self) -> float:
        """How much of the stage is done, 0..1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0


def status(run: Path) -> RunStatus:
    """Give how a run stands; raise RunError where the folder is none."""
    run = Path(run).resolve()
    if not (run / "recipe.json").is_file():
        raise RunError(f"{run.name} is not the folder of a run: it has no recipe.json.")
    told = _read(run / "progress.json")
    known = {key: told[key] for key in RunStatus.__dataclass_fields__ if key in told and key not in ("run", "state")}
    now = current_trainer()
    if now is not None and now.run == run:
        wish = get_request(run)
        state: State = "stopping" if wish == "stop" else "paused" if told.get("paused") else "running"
        return RunStatus(run, state, **(known | {"error": "", "bundle": None}))
    return RunStatus(run, _ended(run, told), **(known | {"error": _reason(run, told)}))


def list_runs() -> list[RunStatus]:
    """Every run, the newest first."""
    return [status(path) for path in sorted(_folders(), key=_begun, reverse=True)]


def _folders() -> list[Path]:
    """The runs' folders; one whose name begins with a dot is on its way out."""
    found = (path.parent for path in runs_folder().glob("*/recipe.json"))
    return [path for path in found if not path.name.startswith(".")]


def find_run(name: str | Path) -> Path:
    """Give the folder of a run named by its folder's name, by the beginning of that, or by a path."""
    path = expand_user_path(name)
    if (path / "recipe.json").is_file():
        return path.resolve()
    names = sorted(folder.name for folder in _folders())
    fitting = [one for one in names if one == str(name)] or [one for one in names if str(name) and str(name) in one]
    if len(fitting) != 1:
        known = ", ".join(fitting or names) or "none"
        which = "several runs" if fitting else "no run"
        raise RunError(f"There is {which} called {str(name)!r}; there is: {known}.")
    return (runs_folder() / fitting[0]).resolve()


def losses(run: Path) -> list[tuple[float, float]]:
    """The live loss: (epochs so far, mean loss) in order; what a resumption trained again is taken once."""
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
            continue  # a last line that a kill cut short
        while rows and rows[-1][0] >= row[0]:
            rows.pop()
        rows.append(row)
    return [(epochs, loss) for _, epochs, loss in rows]


def log_tail(run: Path, lines: int = 12) -> str:
    """The last lines of the run's log."""
    try:
        return "\n".join((run / "log.txt").read_text("utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def set_request(run: Path, wish: Request | None) -> None:
    """Leave a wish for the run's process, or take it back."""
    if wish is None:
        (run / "wish").unlink(missing_ok=True)
    else:
        write_text(run / "wish", wish)


def get_request(run: Path) -> str | None:
    """The wish that was left."""
    try:
        return (run / "wish").read_text("utf-8")
    except OSError:
        return None


@dataclass
class StatusWriter:
    """The writing side, for the run's process alone. Call it with each Progress."""

    run: Path
    _last: float = 0.0
    _row: float = 0.0
    _data: dict[str, Any] = field(default_factory=dict)
    _losses: list[float] = field(default_factory=list)
    _since: tuple[str, float] = ("", 0.0)
    _spent: dict[str, float] = field(default_factory=dict)

    def __call__(self, progress: TrainingEvent) -> None:
        """Note a report of the training."""
        p = progress
        if p.stage == "finished":
            return  # the bundle is still to come
        told = {name: getattr(p, name) for name in ("done", "total", "epoch", "pictures_per_second", "seconds_left")}
        told |= {"epochs": p.epochs, "loss": p.loss, "bytes": p.bytes}
        self.tell(p.stage, **{key: value for key, value in told.items() if value is not None})
        if p.stage == "training" and p.loss is not None:
            self._losses.append(p.loss)
            if time.monotonic() - self._row >= _ROW_EVERY:
                self._write_row(p.done, p.done * p.epochs / p.total)

    def tell(self, stage: str, **more: Any) -> None:
        """Note a stage; a new one at once, the same one at most twice a second."""
        now = time.monotonic()
        before, since = self._since
        if stage != before:
            self._spent[before] = self._spent.get(before, 0.0) + now - since
            self._since = stage, now
        self._data = {
            "stage": stage,
            "epochs": self._data.get("epochs", 0),
            "epoch": self._data.get("epoch", 0),
            **more,
        }
        if stage != before or now - self._last >= _EVERY:
            self._write(self._data)

    def pausing(self, paused: bool) -> None:
        """Note that the run waits, or goes on."""
        self._write(self._data | {"paused": paused})

    def end(self, state: State, **more: Any) -> None:
        """Note how it ended, and the seconds that each stage took in this attempt."""
        self.tell(self._data.get("stage", "preparing"), **{k: v for k, v in self._data.items() if k != "stage"})
        stage, since = self._since
        spent = self._spent | {stage: self._spent.get(stage, 0.0) + time.monotonic() - since}
        spent = {name: round(seconds, 2) for name, seconds in spent.items() if name}
        self._write(self._data | {"ended": state, "spent": spent, "pictures_per_second": None, **more})

    def _write(self, data: Mapping[str, Any]) -> None:
        self._last = time.monotonic()
        write_text(self.run / "progress.json", json.dumps({**data, "updated": time.time()}))

    def _write_row(self, step: int, epochs: float) -> None:
        with (self.run / "steps.csv").open("a", encoding="utf-8") as file:
            file.write(f"{step},{epochs:.5g},{sum(self._losses) / len(self._losses):.6g}\n")
        self._losses, self._row = [], time.monotonic()


def _ended(run: Path, told: Mapping[str, Any]) -> State:
    ended = told.get("ended")
    if ended in ("finished", "stopped", "failed"):
        return ended
    try:
        finished = RunFolder(run).finished
    except RunError:
        return "failed"  # its record is damaged: it is still listed, and can be deleted
    if finished:
        return "trained" if Job.read(run) else "finished"
    return "interrupted"


def _reason(run: Path, told: Mapping[str, Any]) -> str:
    state = _ended(run, told)
    if state == "failed":
        return str(told.get("error") or "It failed for a reason that it could not write down.")
    if state != "interrupted":
        return ""
    if shutil.disk_usage(run).free < _FULL:
        return "Its process ended without a word and the disk is full: make room, then resume it."
    return (
        "Its process ended without a word: it was killed, ran out of memory, or the machine was switched off. "
        "It can go on from its last checkpoint."
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def created(run: Path) -> str:
    """When a run was begun, ISO 8601 to the minute, local time."""
    return _begun(run)[0].isoformat(sep=" ", timespec="minutes")


def _begun(run: Path) -> tuple[datetime, str]:
    """When a run was begun: as its folder says, or where a user named that, as its first file does. And its name."""
    try:
        return datetime.strptime(run.name[:15], "%Y%m%d-%H%M%S"), run.name
    except ValueError:
        file = run / "recipe.json"
        return datetime.fromtimestamp(file.stat().st_mtime if file.exists() else 0), run.name
