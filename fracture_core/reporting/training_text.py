"""Describe runs in words for the Training page and the command line: durations, sizes, states and stages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from fracture_core.data.combined.dataset import CombinedDataset, is_site
from fracture_core.formatting import format_percent
from fracture_core.jobs.status import RunStatus
from fracture_core.training.estimate import RunEstimate

if TYPE_CHECKING:
    from fracture_core.data.dataset import Dataset
    from fracture_core.data.split import Split

STATES = {
    "starting": "starting …",
    "running": "running",
    "paused": "paused",
    "stopping": "stopping …",
    "finished": "finished",
    "trained": "trained, packaging pending",
    "stopped": "stopped",
    "failed": "failed",
    "interrupted": "interrupted",
}
_STAGES = {
    "preparing": "Loading the libraries and building the network",
    "reading": "Reading the dataset",
    "auditing": "Looking for duplicates and damaged files",
    "decoding": "Decoding the images",
    "features": "Computing the features of the frozen blocks",
    "training": "Training",
    "validating": "Validating",
    "epoch ended": "Training",
    "packaging": "Packaging: scoring validation and test",
    "comparing": "Scoring the same images with the model in use",
}


def duration(seconds: float | None) -> str:
    """Format a duration in a sensible unit.

    Args:
        seconds: The duration, or None.

    Returns:
        "45 s", "12 min" or "2 h 05 min"; a dash if unknown.
    """
    if seconds is None or not math.isfinite(seconds):
        return "–"
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Format a number of bytes.

    Args:
        count: Bytes.

    Returns:
        The text in MB or GB.
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{math.ceil(count / 1e6)} MB"


def estimate_in_words(needed: RunEstimate | None) -> str:
    """Describe how long a run will take and how much disk space it needs.

    Args:
        needed: The estimate, or None.

    Returns:
        A sentence or two.
    """
    if needed is None:
        return "Not measured on this machine yet."
    return f"About {duration(needed.seconds)} for all epochs, and {size(needed.bytes)} of disk space. {needed.basis}"


def preset_time(needed: RunEstimate | None, typical: str) -> str:
    """Describe how long a plan takes: as estimated for this machine, else as is typical.

    Args:
        needed: The estimate, or None.
        typical: The typical time.

    Returns:
        The text.
    """
    return f"about {duration(needed.seconds)} here" if needed else f"typically {typical}"


def total_in_words(spent: float, left: float | None) -> str:
    """Describe how long a run has been going, and how long is left in total if that is known.

    Args:
        spent: Seconds that it has been going.
        left: Seconds left, or None.

    Returns:
        The text.
    """
    text = f"Running for {duration(spent)}"
    return f"{text}, about {duration(left)} left in total." if left is not None else f"{text}."


def dataset_in_words(dataset: Dataset, split: Split) -> str:
    """Describe how many images a dataset has, and how they are split.

    Args:
        dataset: The dataset.
        split: Its split.

    Returns:
        A sentence or two.
    """
    labels, left_out = dataset.table["label"], len(getattr(dataset, "unreadable", ()))
    if isinstance(dataset, CombinedDataset):
        return _both_in_words(dataset, split, left_out)
    text = (
        f"{len(labels):,} radiographs, {int(labels.sum()):,} with a fracture: {len(split.train):,} for training, "
        f"{len(split.val):,} for validation, {len(split.test):,} for test."
    )
    return f"{text} {left_out} files cannot be read and are left out." if left_out else text


def _both_in_words(dataset: CombinedDataset, split: Split, left_out: int) -> str:
    parts = []
    for name, table, ours in (
        (dataset.fracatlas.name, dataset.fracatlas.table, False),
        (dataset.site.name, dataset.site.table, True),
    ):
        train, val, test = (sum(is_site(i) == ours for i in getattr(split, part)) for part in ("train", "val", "test"))
        parts.append(
            f"{len(table):,} {'' if ours else 'radiographs '}of {name}, {int(table['label'].sum()):,} with a fracture "
            f"({train:,} for training, {val:,} for validation, {test:,} for test)"
        )
    share = format_percent(dataset.site_share(split.train))
    text = (
        f"{' and '.join(parts)}. One film of {dataset.site.name} counts as {dataset.site_weight:g} of FracAtlas, which "
        f"gives them {share} of the weight in training."
    )
    return f"{text} {left_out} files cannot be read and are left out." if left_out else text


def copies_in_words(dataset: Dataset, leak_free: bool) -> str:
    """Describe what a run does with images that are in its dataset more than once.

    Args:
        dataset: The dataset.
        leak_free: Whether the recipe leaves them out.

    Returns:
        A sentence.
    """
    if not leak_free:
        return "Copies of test images stay in training, which flatters the figures on test."
    if isinstance(dataset, CombinedDataset):
        name = dataset.site.name
        return f"Films that both have are left out of {name}, and duplicates are removed from training."
    return "What repeats an image of another part is left out of training and validation."


def stage_in_words(run: RunStatus) -> str:
    """Describe what a run is doing, and its progress.

    Args:
        run: The run's status.

    Returns:
        A phrase.
    """
    words = _STAGES.get(run.stage, run.stage)
    if run.stage in ("training", "validating", "epoch ended") and run.epochs:
        return f"{words}, epoch {max(run.epoch, 1)} of {run.epochs}"
    space = f" ({size(run.bytes)} of disk space)" if run.bytes else ""
    return f"{words}, {run.done:,} of {run.total:,}{space}" if run.total else f"{words} …"


def pace(run: RunStatus) -> list[tuple[str, str]]:
    """Return the metrics of a running run.

    Args:
        run: The run's status.

    Returns:
        (name, value) pairs.
    """
    speed = f"{run.images_per_second:.1f}" if run.images_per_second else "–"
    return [
        ("Epoch", f"{run.epoch} of {run.epochs}" if run.epoch else "–"),
        ("Images per second", speed),
        ("Left in this phase", duration(run.seconds_left) if run.state == "running" else "–"),
    ]


def history_table(rows: Sequence[Mapping[str, Any]], current: str) -> pd.DataFrame:
    """Tabulate past runs for reading.

    Args:
        rows: What `history_rows` returned.
        current: Name of the bundle in use.

    Returns:
        Columns Run, State, Epochs, Validation AUC, Test AUC, Time, Bundle and Note.
    """
    return pd.DataFrame(
        {
            "Run": [row["run"] for row in rows],
            "State": [STATES[row["state"]] for row in rows],
            "Epochs": [f"{row['epoch']} of {row['epochs']}" for row in rows],
            "Validation AUC": pd.Series([row["val_auc"] for row in rows], dtype="float64"),
            "Test AUC": pd.Series([row["test_auc"] for row in rows], dtype="float64"),
            "Time": [duration(row["seconds"]) for row in rows],
            "Bundle": [_bundle(row["bundle"], current) for row in rows],
            "Note": [row["note"] for row in rows],
        }
    )


def _bundle(name: str | None, current: str) -> str:
    return "–" if name is None else f"{name} (in use)" if name == current else name
