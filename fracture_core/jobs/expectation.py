"""How long a run was expected to take, and its progress."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.jobs.status import RunStatus, started
from fracture_core.training.run_folder import RunFolder

_FILE = "expected.json"
#: The phases of a run in order: title, and the stages of `RunStatus` in it.
PHASES = (
    ("Prepare", ("preparing",)),
    ("Read the dataset", ("reading", "auditing", "decoding")),
    ("Compute features", ("features",)),
    ("Train", ("training", "validating", "epoch ended")),
    ("Package", ("packaging",)),
    ("Compare", ("comparing",)),
)


@dataclass(frozen=True)
class Phase:
    """One phase of a run: `state` is "done", "current" or "next"."""

    title: str
    state: str


def phases(run: RunStatus) -> list[Phase]:
    """Return the phases of a run in order; a run that caches no features has no such phase.

    Args:
        run: The run's status.

    Returns:
        The phases.
    """
    try:
        fast = RunFolder(run.run).recipe().fast_path
    except FractureCoreError:
        fast = True
    phases = [(title, stages) for title, stages in PHASES if fast or title != "Compute features"]
    at = next((place for place, (_, stages) in enumerate(phases) if run.stage in stages), 0)
    if run.state in ("finished", "trained"):
        at = len(phases) if run.state == "finished" else len(phases) - 2
    states = ["done" if place < at else "current" if place == at else "next" for place in range(len(phases))]
    return [Phase(title=title, state=state) for (title, _), state in zip(phases, states, strict=True)]


def expect(run: Path, seconds: float) -> None:
    """Record how long a run is expected to take; nothing happens if its folder cannot be written.

    Args:
        run: The run's folder.
        seconds: The expected time.
    """
    try:
        write_text(run / _FILE, json.dumps({"seconds": seconds}))
    except OSError:
        return


def expected_seconds(run: Path) -> float | None:
    """Return how long a run was expected to take.

    Args:
        run: The run's folder.

    Returns:
        Seconds, or None if that is not known.
    """
    try:
        return float(json.loads((run / _FILE).read_text("utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def total_seconds(run: RunStatus, now: float | None = None) -> tuple[float, float | None]:
    """Return the seconds that a run has been going, and those that are left.

    The time between two attempts does not count.

    While it trains, what is left follows from its own pace; before and after, from what was expected at the start. What
    is left of one phase says nothing of the whole.

    Args:
        run: The run's status.
        now: Seconds since 1970; None for the present.

    Returns:
        Seconds of all its attempts, and seconds left or None.
    """
    since = started(run.run).timestamp() if run.since is None else run.since
    spent = run.ran + max((time.time() if now is None else now) - since, 0.0)
    if run.stage in ("training", "validating", "epoch ended") and run.seconds_left is not None:
        return spent, run.seconds_left
    expected = expected_seconds(run.run)
    return spent, expected - spent if expected is not None and expected > spent else None
