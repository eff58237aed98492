"""Control a run through small files in its folder: what was asked for, requests to its process, and its status.

job.json        what was asked for: where the radiographs are, and the bundle's name
progress.json   the latest status from the process: the stage, its progress and, at the end, the outcome
steps.csv       step, epochs so far, mean loss since the previous row: about one row a second, for the live curve
wish            a request, "pause" or "stop"; the process checks for it before every step
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fracture_core.data.combined.sources import Sources
from fracture_core.files import write_text
from fracture_core.training.progress import TrainingEvent, TrainingStoppedError

Request = Literal["pause", "stop"]
Outcome = Literal["finished", "stopped", "failed"]


_STATUS_INTERVAL_S = 0.5  # between two writes of the same stage
_ROW_INTERVAL_S = 1.0
_POLL_S = 0.2  # while paused


@dataclass(frozen=True)
class Job:
    """What was asked for besides the recipe: where the radiographs are, and the bundle's name."""

    dataset: str | None
    bundle: str
    site: str | None = None
    site_weight: float | None = None

    @property
    def sources(self) -> Sources:
        """Where the radiographs are."""
        return Sources(self.dataset, self.site, self.site_weight)

    def write(self, run: Path) -> None:
        """Write job.json.

        Args:
            run: The run's folder.

        Raises:
            OSError: The file cannot be written.
        """
        write_text(run / "job.json", json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, run: Path) -> Job | None:
        """Read job.json.

        Args:
            run: The run's folder.

        Returns:
            The job; None if the run was not started as one.
        """
        data = read_json(run / "job.json")
        if not isinstance(data.get("bundle"), str):
            return None
        return cls(data.get("dataset"), data["bundle"], data.get("site"), data.get("site_weight"))


def set_request(run: Path, request: Request | None) -> None:
    """Leave a request for the run's process, or withdraw it.

    Args:
        run: The run's folder.
        request: "pause", "stop", or None to withdraw.

    Raises:
        OSError: The folder cannot be written.
    """
    if request is None:
        (run / "wish").unlink(missing_ok=True)
    else:
        write_text(run / "wish", request)


def get_request(run: Path) -> str | None:
    """Read the current request.

    Args:
        run: The run's folder.

    Returns:
        "pause", "stop", or None.
    """
    try:
        return (run / "wish").read_text("utf-8")
    except OSError:
        return None


@dataclass
class StatusWriter:
    """Write the status of a run; for its own process only. Call it with each TrainingEvent."""

    run: Path
    _write_time: float = 0.0
    _row_time: float = 0.0
    _data: dict[str, Any] = field(default_factory=dict)
    _losses: list[float] = field(default_factory=list)
    _since: tuple[str, float] = ("", 0.0)
    _spent: dict[str, float] = field(default_factory=dict)
    _began: float = field(default_factory=time.time)
    _ran: float = 0.0

    def __post_init__(self) -> None:
        """Begin another attempt, after as many seconds as the earlier ones took together."""
        self._ran = seconds_run(self.run)

    def __call__(self, event: TrainingEvent) -> None:
        """Record an event of the training.

        Args:
            event: What happened.
        """
        if event.stage == "finished":
            return  # packaging follows
        names = ("done", "total", "epoch", "epochs", "images_per_second", "seconds_left", "loss", "bytes")
        values = {name: getattr(event, name) for name in names}
        self.write(event.stage, **{name: value for name, value in values.items() if value is not None})
        if event.stage == "training" and event.loss is not None:
            self._losses.append(event.loss)
            if time.monotonic() - self._row_time >= _ROW_INTERVAL_S:
                self._write_row(event.done, event.done * event.epochs / event.total)

    def write(self, stage: str, **values: Any) -> None:
        """Record a stage: a new one at once, the same one at most twice a second.

        Args:
            stage: Name of the stage.
            **values: Fields of RunStatus.
        """
        now = time.monotonic()
        before, since = self._since
        if stage != before:
            self._spent[before] = self._spent.get(before, 0.0) + now - since
            self._since = stage, now
        self._data = {
            "stage": stage,
            "epochs": self._data.get("epochs", 0),
            "epoch": self._data.get("epoch", 0),
            **values,
        }
        if stage != before or now - self._write_time >= _STATUS_INTERVAL_S:
            self._write(self._data)

    def set_paused(self, paused: bool) -> None:
        """Record that the run is paused, or that it continues.

        Args:
            paused: Whether it is paused now.
        """
        self._write(self._data | {"paused": paused})

    def end(self, outcome: Outcome, **values: Any) -> None:
        """Record the outcome, and the seconds that each stage took in this attempt.

        Args:
            outcome: "finished", "stopped" or "failed".
            **values: Fields of RunStatus.
        """
        self.write(self._data.get("stage", "preparing"), **{k: v for k, v in self._data.items() if k != "stage"})
        stage, since = self._since
        spent = self._spent | {stage: self._spent.get(stage, 0.0) + time.monotonic() - since}
        spent = {name: round(seconds, 2) for name, seconds in spent.items() if name}
        self._write(self._data | {"ended": outcome, "spent": spent, "images_per_second": None, **values})

    def _write(self, data: Mapping[str, Any]) -> None:
        self._write_time = time.monotonic()
        # By these, the time that the run has been going: not that since it was first started.
        times = {"ran": round(self._ran, 2), "since": round(self._began, 2)}
        write_text(self.run / "progress.json", json.dumps(dict(data) | times))

    def _write_row(self, step: int, epochs: float) -> None:
        with (self.run / "steps.csv").open("a", encoding="utf-8") as file:
            file.write(f"{step},{epochs:.5g},{sum(self._losses) / len(self._losses):.6g}\n")
        self._losses, self._row_time = [], time.monotonic()


def seconds_run(run: Path) -> float:
    """Return how long the attempts of a run that have ended took together.

    Args:
        run: The run's folder.

    Returns:
        Seconds; 0.0 if nothing is known.
    """
    file = run / "progress.json"
    saved = read_json(file)
    try:
        # A process that was killed wrote its last status shortly before.
        return float(saved["ran"]) + max(file.stat().st_mtime - float(saved["since"]), 0.0)
    except (OSError, KeyError, TypeError, ValueError):
        return 0.0


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.

    Returns:
        The object; empty if the file is missing or damaged.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


@dataclass
class ControlListener:
    """Listens for requests to pause or stop, by signal or through the run's folder. Use it as a context."""

    run: Path
    writer: StatusWriter
    received: int | None = None  # the number of the first signal

    @contextmanager
    def _handlers(self) -> Iterator[None]:
        def handle(number: int, frame: object) -> None:
            if self.received is not None and number == signal.SIGINT:
                raise KeyboardInterrupt  # a second Ctrl+C stops immediately
            self.received = self.received or number

        before = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                before[number] = signal.signal(number, handle)
            except ValueError:  # only the main thread can handle signals
                break
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def __enter__(self) -> ControlListener:
        set_request(self.run, None)
        self._held = ExitStack()
        self._held.enter_context(self._handlers())
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
        set_request(self.run, None)

    def stop_reason(self) -> str | None:
        """Return the reason if the run is to stop; while it is to pause, wait here.

        Returns:
            "cancelled", or None to continue.
        """
        if self.received is None and get_request(self.run) == "pause":
            self.writer.set_paused(True)
            while self.received is None and get_request(self.run) == "pause":
                time.sleep(_POLL_S)
            self.writer.set_paused(False)
        return "cancelled" if self.received is not None or get_request(self.run) == "stop" else None

    def stop_if_asked(self) -> None:
        """Raise if the run is to stop.

        Raises:
            TrainingStoppedError: It is to stop.
        """
        if reason := self.stop_reason():
            raise TrainingStoppedError(self.run, reason)
