"""Batches for pre-training: the schedule of a stage, and augmented batches determined by its seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fracture_core.concurrency import prefetch
from fracture_core.data.augmentation import augment, cell_targets
from fracture_core.data.image_cache import ImageCache
from fracture_core.recipe import Recipe

CELL = 8  # fracture_core.network.model.CELL, which cannot be imported without TensorFlow


@dataclass(frozen=True)
class StageSchedule:
    """Duration and learning rate of a stage. Steps are batches.

    The trunk's learning rate rises over `warmup` steps (the heads, which start at random, learn at once), stays
    constant, and falls as a cosine over the last `decay` (a share) of the steps.
    """

    steps: int
    learning_rate: float = 5e-4
    optimiser: str = "adamw"  # or "muon", for the trunk's convolutions
    warmup: int = 40
    weight_decay: float = 0.02
    averaging: float = 0.995
    positives: float = 0.35  # share of fractured images in a batch
    box_weight: float = 0.5
    box_positive_weight: float = 2.0
    label_weight: float = 1.0  # small where a teacher's probabilities are to count for more than the labels themselves
    global_weight: float = 0.3  # the global head's own cross-entropy, so that it learns to stand alone
    dense_weight: float = 3.0
    logit_weight: float = 0.0  # cross-entropy towards the teacher's probability, where the teacher has the heads
    cell_weight: float = 0.0  # smooth L1 between student's and teacher's cells, where the teacher has them
    mixing: float = 0.0  # share of images blended with another one, which the teacher alone can name
    frozen_through: str | None = None  # the last node of the trunk that learns nothing
    head_rate: float = 1.0  # the heads' learning rate over the trunk's
    decay: float = 1.0
    statistics_momentum: float = 0.01  # batch normalisation's, for every new batch
    # of random views, where a stage shows those
    sizes: tuple[int, ...] = ()  # of the square, one drawn a step, as many images as keep its cost; () the stage's
    whole: float = 0.5  # share of the views that show the whole radiograph
    unchanged: float = 0.0  # share of those whose grey values stay as they are
    joined: float = 0.05  # share of the views that show several radiographs side by side
    teacher_size: int = 0  # of the square that the teacher reads, where it is another than the student's
    teacher_mirrored: bool = False  # whether it answers as the mean over a view and its mirror image
    checkpoint_every: int = 50
    validate_every: int = 100

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StageSchedule:
        """Read plain data.

        Args:
            data: One entry per field.

        Returns:
            The schedule.

        Raises:
            TypeError: A field is unknown.
            ValueError: There is no such optimiser.
        """
        schedule = cls(**{**data, "sizes": tuple(data.get("sizes", ()))})
        if schedule.optimiser not in ("adamw", "muon"):
            raise ValueError(f"{schedule.optimiser!r} is no optimiser: adamw or muon")
        return schedule


@dataclass(frozen=True)
class Batch:
    """Images float32 (n, 1, S, S) 0..255, labels float32 (n,), cell targets float32 (n, S/8, S/8).

    `whole` bool (n,) tells images of one radiograph from blends of two, for which neither label nor cells apply.
    `larger` float32 (n, 1, T, T) are the same images at the teacher's size; None if it is the student's.
    """

    images: torch.Tensor
    labels: torch.Tensor
    cells: torch.Tensor
    whole: torch.Tensor
    larger: torch.Tensor | None = None

    @property
    def taught(self) -> torch.Tensor:
        """The images at the teacher's size."""
        return self.images if self.larger is None else self.larger


def batches(
    images: ImageCache,
    boxes: Mapping[str, np.ndarray],
    labels: Mapping[str, int],
    recipe: Recipe,
    schedule: StageSchedule,
    first: int,
) -> Iterator[Batch]:
    """Yield batches; each depends only on the seed and the step.

    Args:
        images: Letterboxed images.
        boxes: The boxes of each image, in its pixels; (n, 4).
        labels: 0 or 1, shape (n,).
        recipe: The student's recipe.
        schedule: The stage's schedule.
        first: The first step.

    Yields:
        The batches, to the last of the schedule.
    """
    positives = [i for i, label in labels.items() if label]
    negatives = [i for i, label in labels.items() if not label]

    def image(image_id: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return augment(images.square(image_id), boxes[image_id], recipe.image_size, recipe.augmentation, rng)

    def make(step: int) -> Batch:
        rng = np.random.default_rng([recipe.seed, step])
        n = min(recipe.batch_size - 1, max(1, round(recipe.batch_size * schedule.positives)))
        ids = [*rng.choice(positives, n, replace=n > len(positives))]
        ids += [*rng.choice(negatives, recipe.batch_size - n, replace=recipe.batch_size > len(negatives))]
        drawn = [image(i, rng) for i in ids]
        squares = np.stack([square for square, _ in drawn])[:, None].astype(np.float32)
        cells = np.stack([cell_targets(b, recipe.image_size, CELL) for _, b in drawn])
        truth = np.array([labels[i] for i in ids], np.float32)
        squares, whole = blend(squares, schedule.mixing, rng)
        return Batch(*(torch.from_numpy(a) for a in (squares, truth, cells, whole)))

    return prefetch(make, range(first, schedule.steps))


def blend(squares: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Blend a share of the images, each with another of the batch.

    A teacher and a student that see the same blends agree far beyond the few images there are (Beyer et al. 2022,
    "Knowledge distillation: a good teacher is patient and consistent"). The first image always stays whole.

    Args:
        squares: Images, shape (n, S, S).
        share: Share of them to blend, 0..1.
        rng: Random generator.

    Returns:
        The images, and which stayed whole, bool (n,).
    """
    whole = np.ones(len(squares), bool)
    if not share:
        return squares, whole
    whole[1:] = rng.random(len(squares) - 1) >= share
    weight = np.where(whole, 1.0, rng.random(len(squares))).astype(np.float32)[:, None, None, None]
    other = np.roll(squares, rng.integers(1, len(squares)), axis=0)
    return weight * squares + (1 - weight) * other, whole
