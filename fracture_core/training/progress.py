"""What a training run tells while it goes, and how it is asked to stop."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fracture_core.errors import FractureCoreError

Stage = Literal["decoding", "features", "training", "validating", "epoch ended", "finished"]
_RECENT = 20  # steps that the speed is measured over


class TrainingError(FractureCoreError):
    """A run that cannot be done: a recipe that does not fit the data, the machine or the run folder."""


class TrainingStoppedError(TrainingError):
    """The run was asked to stop; `run` is its folder, from which it can go on, and `reason` what it was told."""

    def __init__(self, run: Path, reason: str):
        super().__init__(f"The run {run.name} was stopped ({reason}); it can be resumed.")
        self.run, self.reason = run, reason


@dataclass(frozen=True)
class TrainingEvent:
    """One report. `done` of `total` are pictures while decoding, views for features, steps of the whole run else."""

    run: Path
    stage: Stage
    done: int = 0
    total: int = 0
    epoch: int = 0  # counted from 1; the one that is running, or has just ended
    epochs: int = 0
    pictures_per_second: float | None = None
    seconds_left: float | None = None  # of this stage; of the whole run while training
    loss: float | None = None  # of the last batch
    row: Mapping[str, float] | None = None  # the epoch's, once it has ended
    bytes: int | None = None  # on disk, of the features


@dataclass
class Reporter:
    """Passes a run's progress on, and asks between two steps whether to stop."""

    run: Path
    epochs: int
    listener: Callable[[TrainingEvent], None] | None = None
    should_stop: Callable[[], str | None] | None = None
    _marks: deque = field(default_factory=lambda: deque(maxlen=_RECENT))
    _stage: str = ""

    def counted(self, stage: Stage, done: int, total: int, *, each: int = 1, **more) -> None:
        """Report a count and the speed it grows at; `each` is how many pictures one of it stands for."""
        if stage != self._stage:
            self._marks.clear()
        self._marks.append((time.monotonic(), done))
        (then, before), (now, _) = self._marks[0], self._marks[-1]
        rate = (done - before) / (now - then) if done > before and now > then else None
        left = (total - done) / rate if rate else None
        self.tell(stage, done=done, total=total, seconds_left=left, pictures_per_second=rate and rate * each, **more)

    def tell(self, stage: Stage, **more) -> None:
        """Report a stage."""
        self._stage = stage
        if self.listener:
            self.listener(TrainingEvent(self.run, stage, epochs=self.epochs, **more))

    def stop_if_asked(self, before: Callable[[], None] = lambda: None) -> None:
        """Raise TrainingStoppedError where the run was asked to stop, after `before` has saved what there is."""
        began = time.monotonic()
        reason = self.should_stop() if self.should_stop else None
        # Whoever is asked may let the run wait; that is no part of its speed.
        waited = time.monotonic() - began
        self._marks = deque(((then + waited, done) for then, done in self._marks), maxlen=_RECENT)
        if reason:
            before()
            raise TrainingStoppedError(self.run, reason)


def print_progress(progress: TrainingEvent) -> None:
    """Show a run's progress on stderr: one line that changes, and one that stays for each epoch."""
    p = progress
    if p.stage == "epoch ended":
        figures = "  ".join(f"{key} {value:.4g}" for key, value in p.row.items() if key != "epoch")
        print(f"\r\033[Kepoch {p.epoch}/{p.epochs}  {figures}", file=sys.stderr)
        return
    words = [p.stage]
    if p.total:
        words.append(f"{p.done}/{p.total}")
    if p.stage == "training":
        words = [f"epoch {p.epoch}/{p.epochs}", f"step {p.done}/{p.total}", f"loss {p.loss:.4f}"]
    if p.bytes:
        words.append(f"{p.bytes / 1e9:.2f} GB")
    if p.pictures_per_second:
        words.append(f"{p.pictures_per_second:.1f} images/s")
    if p.seconds_left:
        minutes, seconds = divmod(round(p.seconds_left), 60)
        words.append(f"{minutes}:{seconds:02d} left")
    end = "\n" if p.stage == "finished" else ""
    print(f"\r\033[K{'  '.join(words)}", end=end, file=sys.stderr, flush=True)
