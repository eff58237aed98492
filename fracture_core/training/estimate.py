"""Estimate how long a run takes and how much disk it needs, from training steps timed on this machine."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections import deque
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.paths import cache_folder, features_folder, runs_folder, size_on_disk
from fracture_core.recipe import Recipe

if TYPE_CHECKING:
    from fracture_core.data.dataset import Dataset
    from fracture_core.data.split import Split

#: The settings that determine the time of a step.
_CHOICES = ("backbone", "image_size", "localiser", "trainable_blocks", "batch_size", "fast_path", "mixup", "box_weight")
#: With fewer steps a run says nothing of their time; of a long run the last ones do.
_FEWEST_STEPS, _STEPS_REMEMBERED = 3, 2000
_SPARE_BYTES = 500_000_000  # that a run leaves free
_FORWARD_SHARE = 1 / 3  # of a training step; the backward pass costs twice the forward pass
_AUGMENTATION_AREA = 1.5  # images for augmentation have about this many times the pixels


class EstimateError(FractureCoreError):
    """A run that would not fit the disk."""


@dataclass(frozen=True)
class StepTiming:
    """What was measured on this machine, in seconds and bytes.

    A training step of one batch; what precedes the second one (importing, building, tracing); one cached view (0
    without cached features); one checkpoint; the decoding of one image.
    """

    step_seconds: float
    start_seconds: float
    view_seconds: float
    view_bytes: int
    checkpoint_bytes: int
    decode_seconds: float
    measured: str = ""  # ISO 8601, to the minute
    of: str = ""  # the run in which the step was timed; "" for a separate measurement


@dataclass(frozen=True)
class RunEstimate:
    """Seconds and bytes of a run over all its epochs, and a sentence on what they are based on."""

    seconds: float
    bytes: int
    basis: str


def estimate(recipe: Recipe, dataset: Dataset, split: Split) -> RunEstimate | None:
    """Estimate what a run will take.

    Args:
        recipe: The run's recipe.
        dataset: What to train on.
        split: Train, val and test.

    Returns:
        The estimate; None if such a recipe was never measured here.
    """
    speed = known_timing(recipe)
    if speed is None:
        return None
    images = len(split.train) + len(split.val) + len(split.test)
    views = len(split.train) * (recipe.views if recipe.augmentation.active else 1) + len(split.val)
    views *= recipe.fast_path
    seconds = speed.start_seconds + recipe.epochs * steps_per_epoch(recipe, dataset, split) * speed.step_seconds
    # Packaging reads every image once more, forward only.
    seconds += views * speed.view_seconds + images * (2 * speed.decode_seconds + forward_seconds(recipe, speed))
    pixels = images * recipe.image_size**2 * (1 + _AUGMENTATION_AREA * recipe.augmentation.active)
    size = math.ceil(pixels + views * speed.view_bytes + 2 * speed.checkpoint_bytes)
    source = f"the run {speed.of}" if speed.of else "a short measurement"
    basis = (
        f"From {source} on this machine, {speed.measured}: {speed.step_seconds:.2f} s per batch of {recipe.batch_size}"
    )
    if recipe.fast_path and speed.view_seconds:
        basis += f", {1 / speed.view_seconds:.0f} cached views per second"
    return RunEstimate(seconds, size, f"{basis}. Less if earlier runs filled the cache, more beside other programs.")


def steps_per_epoch(recipe: Recipe, dataset: Dataset, split: Split) -> float:
    """Return the work of an epoch in training steps; a forward-only step, as in validation, counts a third.

    Oversampling brings the rarer class up to the other.

    Args:
        recipe: The run's recipe.
        dataset: What to train on.
        split: Train, val and test.

    Returns:
        Number of steps, not necessarily whole.
    """
    images, fractured = len(split.train), int(dataset.table.loc[list(split.train), "label"].sum())
    if recipe.class_balance == "oversample" and 0 < fractured < images:
        images = 2 * max(fractured, images - fractured)
    return math.ceil(images / recipe.batch_size) + len(split.val) / recipe.batch_size * _FORWARD_SHARE


def forward_seconds(recipe: Recipe, speed: StepTiming) -> float:
    """Return the time of one image through the whole network: frozen blocks as measured, the rest as part of a step.

    Args:
        recipe: The run's recipe.
        speed: What was measured.

    Returns:
        Seconds.
    """
    return speed.view_seconds + speed.step_seconds / recipe.batch_size * _FORWARD_SHARE


class StepClock:
    """Times the steps of a run from its events.

    The first step of a process is left out, because it traces the network, and so is what lies between two epochs. A
    pause does not matter, because the middle one of all times counts.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._times: deque[float] = deque(maxlen=_STEPS_REMEMBERED)

    def see(self, stage: str, now: float) -> None:
        """Take note of an event.

        Args:
            stage: Its stage; "training" follows each step.
            now: When it came, seconds of a steady clock.
        """
        if stage == "training" and self._last is not None:
            self._times.append(now - self._last)
        self._last = now if stage == "training" else None

    @property
    def seconds(self) -> float | None:
        """The time of a step; None after too few to tell."""
        return median(self._times) if len(self._times) >= _FEWEST_STEPS else None


def learn_from_run(recipe: Recipe, run: str, step_seconds: float | None) -> None:
    """Replace the measured step by what the steps of a run took, if there is a measurement.

    Args:
        recipe: The run's recipe.
        run: Its name.
        step_seconds: Time of one step; None if too few were timed.
    """
    speed = known_timing(recipe)
    if speed is not None and step_seconds is not None:
        save_timing(recipe, replace(speed, step_seconds=step_seconds, of=run))


def check_disk_space(needed: RunEstimate) -> None:
    """Check that the disks of the cache and of the runs have enough space left.

    Features of earlier runs count as free: they are reused, or deleted to make room.

    Args:
        needed: The estimate of the run.

    Raises:
        EstimateError: There is not enough space.
    """
    cache, runs = (
        next(path for path in (folder, *folder.parents) if path.exists()) for folder in (cache_folder(), runs_folder())
    )
    reusable = sum(size_on_disk(features) for features in features_folder().glob("*"))
    for folder in (cache, runs):
        free = shutil.disk_usage(folder).free + reusable * (folder.stat().st_dev == cache.stat().st_dev)
        if needed.bytes + _SPARE_BYTES > free:
            raise EstimateError(
                f"The disk is too full: the run needs about {needed.bytes / 1e9:.1f} GB and {free / 1e9:.1f} GB are "
                "free. Free some disk space, or reduce the number of views or the image size."
            )


def known_timing(recipe: Recipe) -> StepTiming | None:
    """Return the latest measurement for such a recipe.

    Args:
        recipe: The run's recipe.

    Returns:
        The measurement, or None.
    """
    try:
        return StepTiming(**json.loads(_file(recipe).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def save_timing(recipe: Recipe, speed: StepTiming) -> StepTiming:
    """Save a measurement for the next estimate.

    Args:
        recipe: The run's recipe.
        speed: What was measured.

    Returns:
        The measurement, dated.
    """
    dated = replace(speed, measured=datetime.now().isoformat(sep=" ", timespec="minutes"))
    write_text(_file(recipe), json.dumps(asdict(dated)))
    return dated


def _file(recipe: Recipe) -> Path:
    choices = {name: getattr(recipe, name) for name in _CHOICES}
    key = hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:24]
    return cache_folder() / "speed" / f"{key}.json"
