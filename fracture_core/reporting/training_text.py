"""What the training page and the command line say of runs: durations, sizes, states and stages in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from fracture_core.jobs.status import RunStatus
from fracture_core.training.estimate import RunEstimate

if TYPE_CHECKING:
    from fracture_core.data.dataset import Dataset
    from fracture_core.data.split import Split

STATES = {
    "running": "running",
    "paused": "paused",
    "stopping": "stopping …",
    "finished": "finished",
    "trained": "trained, packaging pending",
    "stopped": "cancelled",
    "failed": "failed",
    "interrupted": "interrupted",
}
_STAGES = {
    "preparing": "Loading the libraries and building the network",
    "reading": "Reading the dataset",
    "auditing": "Looking for duplicates and damaged files",
    "decoding": "Decoding the pictures",
    "features": "Computing what the frozen blocks make of each view",
    "training": "Training",
    "validating": "Measuring on validation",
    "epoch ended": "Training",
    "packaging": "Making the bundle: scoring validation and test",
    "comparing": "Scoring the same images with the bundle in use",
}


def duration(seconds: float | None) -> str:
    """Print seconds to a sensible unit; a dash where unknown."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Print bytes as MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{math.ceil(count / 1e6)} MB"


def estimate_in_words(found: RunEstimate | None) -> str:
    """Say how long and how large, and from what; or that nothing was measured yet."""
    if found is None:
        return "Not measured on this machine yet."
    return f"About {duration(found.seconds)} for all epochs, and {size(found.bytes)} of disk. {found.basis}"


def dataset_in_words(dataset: Dataset, split: Split) -> str:
    """Say how many images there are, and how they are divided."""
    labels, left_out = dataset.table["label"], len(getattr(dataset, "unreadable", ()))
    said = (
        f"{len(labels):,} radiographs, {int(labels.sum()):,} of them fractured: {len(split.train):,} to train on, "
        f"{len(split.val):,} for validation, {len(split.test):,} for the test. Duplicates across these leave train."
    )
    return f"{said} {left_out} files cannot be read and are left out." if left_out else said


def stage_in_words(run: RunStatus) -> str:
    """Say what a run is at, and how far."""
    words = _STAGES.get(run.stage, run.stage)
    if run.stage in ("training", "validating", "epoch ended") and run.epochs:
        return f"{words}, epoch {max(run.epoch, 1)} of {run.epochs}"
    room = f" ({size(run.bytes)} of disk)" if run.bytes else ""
    return f"{words}, {run.done:,} of {run.total:,}{room}" if run.total else f"{words} …"


def pace(run: RunStatus) -> list[tuple[str, str]]:
    """The figures of a run at work: (name, value)."""
    speed = f"{run.images_per_second:.1f}" if run.images_per_second else "–"
    return [
        ("State", STATES[run.state].capitalize()),
        ("Epoch", f"{run.epoch} of {run.epochs}" if run.epoch else "–"),
        ("Images/s", speed),
        ("Time left", duration(run.seconds_left) if run.state == "running" else "–"),
    ]


def history_table(rows: Sequence[Mapping[str, Any]], current: str) -> pd.DataFrame:
    """The history as a table for people: Run, State, Epochs, Val AUC, Test AUC, Time, Bundle, Note."""
    return pd.DataFrame(
        {
            "Run": [row["run"] for row in rows],
            "State": [STATES[row["state"]] for row in rows],
            "Epochs": [f"{row['epoch']} of {row['epochs']}" for row in rows],
            "Val AUC": pd.Series([row["val_auc"] for row in rows], dtype="float64"),
            "Test AUC": pd.Series([row["test_auc"] for row in rows], dtype="float64"),
            "Time": [duration(row["seconds"]) for row in rows],
            "Bundle": [_bundle(row["bundle"], current) for row in rows],
            "Note": [row["note"] for row in rows],
        }
    )


def _bundle(name: str | None, current: str) -> str:
    return "–" if name is None else f"{name} (in use)" if name == current else name
