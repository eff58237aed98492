"""Batches of random views of radiographs, determined by the seed and the step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
import torch

from fracture_core.concurrency import prefetch
from fracture_core.data.augmentation import cell_targets
from fracture_core.data.image_pyramid import ImagePyramid
from fracture_core.data.random_views import View, random_view
from fracture_core.pretraining.batches import CELL, Batch, StageSchedule, blend
from fracture_core.recipe import Recipe

_FEWEST = 8  # images in a batch, however large they are: batch normalisation needs some


def view_batches(
    images: Mapping[str, ImagePyramid], labels: Mapping[str, int], recipe: Recipe, schedule: StageSchedule, first: int
) -> Iterator[Batch]:
    """Yield batches; each depends only on the seed and the step.

    A step's size is one of the schedule's; the number of images keeps the cost of a step about what it is at the
    recipe's size and batch. If a teacher reads a larger size, views are cut at that and shrunk for the student.

    Args:
        images: The training radiographs.
        labels: 0 or 1, shape (n,).
        recipe: The student's recipe.
        schedule: The stage's schedule.
        first: The first step.

    Yields:
        The batches, to the last of the schedule.
    """
    by_label = [[i for i, label in labels.items() if label == known] for known in (0, 1)]

    def view(image_id: str, size: int, rng: np.random.Generator) -> View:
        beside = []
        if rng.random() < schedule.joined:
            beside = [(images[i], False) for i in rng.choice(by_label[0], int(rng.integers(1, 3)))]
        kinds = {"whole": schedule.whole, "unchanged": schedule.unchanged}
        return random_view(images[image_id], bool(labels[image_id]), size, rng, **kinds, beside=beside)

    def make(step: int) -> Batch:
        rng = np.random.default_rng([recipe.seed, step])
        size = int(rng.choice(schedule.sizes or (recipe.image_size,)))
        cut_at = schedule.teacher_size or size
        count = max(_FEWEST, round(recipe.batch_size * (recipe.image_size / size) ** 2))
        positives = min(count - 1, max(1, round(count * schedule.positives)))
        ids = [i for known, n in ((1, positives), (0, count - positives)) for i in _draw(by_label[known], n, rng)]
        views = [view(i, cut_at, rng) for i in ids]
        squares = np.stack([drawn.square for drawn in views])[:, None].astype(np.float32)
        squares, whole = blend(squares, schedule.mixing, rng)
        cells = np.stack([cell_targets(drawn.boxes * np.float32(size / cut_at), size, CELL) for drawn in views])
        truth = np.array([drawn.fractured for drawn in views], np.float32)
        larger = None
        if cut_at != size:
            larger, squares = torch.from_numpy(squares), _resized(squares, size)
        return Batch(
            images=torch.from_numpy(squares),
            labels=torch.from_numpy(truth),
            cells=torch.from_numpy(cells),
            whole=torch.from_numpy(whole),
            larger=larger,
        )

    return prefetch(make, range(first, schedule.steps))


def _draw(ids: list[str], count: int, rng: np.random.Generator) -> list[str]:
    return [*rng.choice(ids, count, replace=count > len(ids))]


def _resized(squares: np.ndarray, size: int) -> np.ndarray:
    """Resize images float32 (n, 1, T, T) to (n, 1, size, size)."""
    way = cv2.INTER_AREA if size < squares.shape[-1] else cv2.INTER_LINEAR
    return np.stack([cv2.resize(square, (size, size), interpolation=way) for square in squares[:, 0]])[:, None]
