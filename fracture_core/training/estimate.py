"""How long a run will take and how much disk, from steps that this machine was measured at; and on what that stands."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.paths import cache_folder, features_folder, runs_folder, size_on_disk
from fracture_core.recipe import Recipe

if TYPE_CHECKING:
    from fracture_core.data.dataset import Dataset
    from fracture_core.data.split import Split

#: What decides a step's time.
_CHOICES = ("backbone", "image_size", "localiser", "trainable_blocks", "batch_size", "fast_path", "mixup", "box_weight")
_SPARE = 500_000_000  # bytes that a run leaves free
_FORWARD = 1 / 3  # of a training step; backwards costs twice the way forward
_LARGER = 1.5  # square of what augmented pictures are kept larger by, about


class EstimateError(FractureCoreError):
    """A run that would not fit the disk."""


@dataclass(frozen=True)
class StepTiming:
    """What one machine was measured at, in seconds and bytes.

    A training step of one batch; what comes before the second one (importing, building, tracing); one stored view (0
    off the fast path); one checkpoint; one picture's decoding.
    """

    step_seconds: float
    start_seconds: float
    view_seconds: float
    view_bytes: int
    checkpoint_bytes: int
    decode_seconds: float
    measured: str = ""  # ISO 8601, to the minute
    of: str = ""  # the run that the step was timed in; "" for a measurement


@dataclass(frozen=True)
class RunEstimate:
    """Seconds and bytes of a run that goes through all its epochs, and a sentence on what they stand on."""

    seconds: float
    bytes: int
    basis: str


def estimate(recipe: Recipe, dataset: Dataset, split: Split) -> RunEstimate | None:
    """Give what a run on `split` of `dataset` will take; None where such a recipe was never measured here."""
    speed = known_speed(recipe)
    if speed is None:
        return None
    images = len(split.train) + len(split.val) + len(split.test)
    views = len(split.train) * (recipe.views if recipe.augmentation.active else 1) + len(split.val)
    views *= recipe.fast_path
    seconds = speed.start_seconds + recipe.epochs * steps_an_epoch(recipe, dataset, split) * speed.step_seconds
    # To make the bundle every picture is read once more, forward only.
    seconds += views * speed.view_seconds + images * (2 * speed.decode_seconds + forward_seconds(recipe, speed))
    pixels = images * recipe.image_size**2 * (1 + _LARGER * recipe.augmentation.active)
    size = math.ceil(pixels + views * speed.view_bytes + 2 * speed.checkpoint_bytes)
    source = f"the run {speed.of}" if speed.of else "a short measurement"
    basis = (
        f"From {source} on this machine, {speed.measured}: {speed.step_seconds:.2f} s a batch of {recipe.batch_size}"
    )
    if recipe.fast_path and speed.view_seconds:
        basis += f", {1 / speed.view_seconds:.0f} stored views a second"
    return RunEstimate(seconds, size, f"{basis}. What earlier runs left in the cache is saved; other programs slow it.")


def steps_an_epoch(recipe: Recipe, dataset: Dataset, split: Split) -> float:
    """An epoch's work in training steps; a step forward only, as val's are, counts as a third of one.

    Oversampling brings the rarer class up to the other.
    """
    images, fractured = len(split.train), int(dataset.table.loc[list(split.train), "label"].sum())
    if recipe.class_balance == "oversample" and 0 < fractured < images:
        images = 2 * max(fractured, images - fractured)
    return math.ceil(images / recipe.batch_size) + len(split.val) / recipe.batch_size * _FORWARD


def forward_seconds(recipe: Recipe, speed: StepTiming) -> float:
    """What one picture takes through the whole network: frozen blocks as measured, the others as part of a step."""
    return speed.view_seconds + speed.step_seconds / recipe.batch_size * _FORWARD


def learn_from_run(recipe: Recipe, run: str, seconds: float, epochs: int, dataset: Dataset, split: Split) -> None:
    """Replace the measured step by what a run's epochs took; nothing happens where nothing was measured before."""
    speed = known_speed(recipe)
    if speed is not None and epochs:
        step = seconds / epochs / steps_an_epoch(recipe, dataset, split)
        keep(recipe, replace(speed, step_seconds=step, of=run))


def check_room(needed: RunEstimate) -> None:
    """Raise EstimateError where the disk of the cache or of the runs has not enough left.

    What earlier runs' features take counts as room: they are used again, or go to make room.
    """
    cache, runs = (
        next(one for one in (folder, *folder.parents) if one.exists()) for folder in (cache_folder(), runs_folder())
    )
    kept = sum(size_on_disk(features) for features in features_folder().glob("*"))
    for folder in (cache, runs):
        free = shutil.disk_usage(folder).free + kept * (folder.stat().st_dev == cache.stat().st_dev)
        if needed.bytes + _SPARE > free:
            raise EstimateError(
                f"The disk is too full: the run needs about {needed.bytes / 1e9:.1f} GB and {free / 1e9:.1f} GB are "
                "left. Make room, or lower the number of views or the picture's size."
            )


def known_speed(recipe: Recipe) -> StepTiming | None:
    """What was measured last of such a recipe."""
    try:
        return StepTiming(**json.loads(_file(recipe).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def keep(recipe: Recipe, speed: StepTiming) -> StepTiming:
    """Keep figures for the next estimate, dated; give them."""
    dated = replace(speed, measured=datetime.now().isoformat(sep=" ", timespec="minutes"))
    write_text(_file(recipe), json.dumps(asdict(dated)))
    return dated


def _file(recipe: Recipe) -> Path:
    choices = {name: getattr(recipe, name) for name in _CHOICES}
    key = hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:24]
    return cache_folder() / "speed" / f"{key}.json"
