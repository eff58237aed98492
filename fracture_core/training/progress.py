"""Report the progress of a training run, and ask whether to stop."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fracture_core.errors import FractureCoreError

Stage = Literal["decoding", "features", "training", "validating", "epoch ended", "finished"]
_SPEED_WINDOW = 20  # steps that the speed is averaged over


class TrainingError(FractureCoreError):
    """A run that is not possible: a recipe that does not fit the data, the machine or the run folder."""


class TrainingStoppedError(TrainingError):
    """The run was asked to stop; `run` is its folder, from which it can be resumed, and `reason` says why."""

    def __init__(self, run: Path, reason: str):
        super().__init__(f"The run {run.name} was stopped ({reason}); it can be resumed.")
        self.run, self.reason = run, reason


@dataclass(frozen=True)
class TrainingEvent:
    """One event. `done` of `total` are images while decoding, views for features, else steps of the whole run."""

    run: Path
    stage: Stage
    done: int = 0
    total: int = 0
    epoch: int = 0  # counted from 1; the current one, or the one just completed
    epochs: int = 0
    images_per_second: float | None = None
    seconds_left: float | None = None  # of this stage; of the whole run while training
    loss: float | None = None  # of the last batch
    row: Mapping[str, float] | None = None  # of a completed epoch
    bytes: int | None = None  # disk space of the features


@dataclass
class Reporter:
    """Passes a run's events on, and asks between two steps whether to stop."""

    run: Path
    epochs: int
    listener: Callable[[TrainingEvent], None] | None = None
    should_stop: Callable[[], str | None] | None = None
    _marks: deque = field(default_factory=lambda: deque(maxlen=_SPEED_WINDOW))
    _stage: str = ""

    def report_count(self, stage: Stage, done: int, total: int, *, each: int = 1, **more: Any) -> None:
        """Report a count and its speed.

        Args:
            stage: Name of the stage.
            done: How many are done.
            total: Of how many.
            each: Images that one of them stands for.
            **more: Further fields of the event.
        """
        if stage != self._stage:
            self._marks.clear()
        self._marks.append((time.monotonic(), done))
        (then, before), (now, _) = self._marks[0], self._marks[-1]
        rate = (done - before) / (now - then) if done > before and now > then else None
        left = (total - done) / rate if rate else None
        self.report_stage(
            stage, done=done, total=total, seconds_left=left, images_per_second=rate and rate * each, **more
        )

    def report_stage(self, stage: Stage, **more: Any) -> None:
        """Report a stage.

        Args:
            stage: Name of the stage.
            **more: Further fields of the event.
        """
        self._stage = stage
        if self.listener:
            self.listener(TrainingEvent(self.run, stage, epochs=self.epochs, **more))

    def stop_if_asked(self, before: Callable[[], None] = lambda: None) -> None:
        """Stop if the run was asked to.

        Args:
            before: Called before stopping, to save the state.

        Raises:
            TrainingStoppedError: It was asked to stop.
        """
        began = time.monotonic()
        reason = self.should_stop() if self.should_stop else None
        # `should_stop` blocks while the run is paused; that time must not count towards its speed.
        waited = time.monotonic() - began
        self._marks = deque(((then + waited, done) for then, done in self._marks), maxlen=_SPEED_WINDOW)
        if reason:
            before()
            raise TrainingStoppedError(self.run, reason)


def print_progress(event: TrainingEvent) -> None:
    """Show a run's progress on stderr: one line that changes, and one per epoch that stays.

    Args:
        event: What happened.
    """
    p = event
    if p.row is not None:
        metrics = "  ".join(f"{key} {value:.4g}" for key, value in p.row.items() if key != "epoch")
        print(f"\r\033[Kepoch {p.epoch}/{p.epochs}  {metrics}", file=sys.stderr)
        return
    words: list[str] = [p.stage]
    if p.total:
        words.append(f"{p.done}/{p.total}")
    if p.stage == "training":
        words = [f"epoch {p.epoch}/{p.epochs}", f"step {p.done}/{p.total}", f"loss {p.loss:.4f}"]
    if p.bytes:
        words.append(f"{p.bytes / 1e9:.2f} GB")
    if p.images_per_second:
        words.append(f"{p.images_per_second:.1f} images/s")
    if p.seconds_left:
        minutes, seconds = divmod(round(p.seconds_left), 60)
        words.append(f"{minutes}:{seconds:02d} left")
    end = "\n" if p.stage == "finished" else ""
    print(f"\r\033[K{'  '.join(words)}", end=end, file=sys.stderr, flush=True)
