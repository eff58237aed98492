"""Make training batches: their order, augmentation, and the tf.data pipeline that prepares them in the background.

A batch depends only on the recipe's seed and the number of the step: not on what was trained before, nor on how many
workers share it. That is why a killed run can be resumed exactly, and several machines see what one would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import tensorflow as tf

from fracture_core.data.augmentation import augment, cell_targets
from fracture_core.data.combined.images import JoinedImages
from fracture_core.data.image_cache import ImageCache
from fracture_core.network.model import CELL
from fracture_core.recipe import ClassBalance, Recipe
from fracture_core.training.losses import class_weights

Arrays = dict[str, np.ndarray]


class Examples(Protocol):
    """What a network can be trained on, by index: decoded images, or cached features."""

    @property
    def signature(self) -> Mapping[str, tf.TensorSpec]:
        """One example's inputs by name, without the batch axis."""
        ...

    def __len__(self) -> int: ...

    def sample_view(self, index: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
        """Return one random view of an example.

        Args:
            index: Number of the example.
            rng: Random generator.

        Returns:
            Its inputs by name, and its cells float32 (S/8, S/8), 0..1.
        """
        ...


@dataclass(frozen=True)
class ImageExamples:
    """Images, augmented again each time they are used.

    `images` may be larger than the network's input, so that zooming in loses nothing; `boxes` are in their pixels.
    """

    ids: Sequence[str]
    images: ImageCache | JoinedImages
    boxes: Sequence[np.ndarray]
    recipe: Recipe

    @property
    def signature(self) -> Mapping[str, tf.TensorSpec]:
        """One letterboxed image, uint8."""
        size = self.recipe.image_size
        return {"radiograph": tf.TensorSpec((size, size), tf.uint8)}

    def __len__(self) -> int:
        return len(self.ids)

    def sample_view(self, index: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
        """Return one augmented view of an image.

        Args:
            index: Number of the example.
            rng: Random generator.

        Returns:
            The image uint8 (S, S) by name, and its cells float32 (S/8, S/8), 0..1.
        """
        square = self.images.square(self.ids[index])
        size = self.recipe.image_size
        image, boxes = augment(square, self.boxes[index], size, self.recipe.augmentation, rng)
        return {"radiograph": image}, cell_targets(boxes, size, CELL)


def epoch_order(labels: np.ndarray, batch_size: int, balance: ClassBalance, seed: int, epoch: int) -> np.ndarray:
    """Return which image goes where in an epoch.

    Every image appears at least once. "oversample" repeats the rarer class until both are equally frequent. The last
    batch is filled up with images drawn again, because a short one would disturb batch normalisation.

    Args:
        labels: 0 or 1, shape (n,).
        batch_size: Images per batch.
        balance: How to balance the classes.
        seed: The recipe's seed.
        epoch: Counted from 0.

    Returns:
        Indices, int64 (steps, batch).
    """
    rng = np.random.default_rng([seed, epoch, 0])
    order = rng.permutation(len(labels))
    if balance == "oversample":
        few, many = sorted((np.flatnonzero(labels == label) for label in (0, 1)), key=len)
        again = [rng.permutation(few) for _ in range(len(many) // len(few))] if len(few) else []
        order = rng.permutation(np.concatenate([order, *again])[: 2 * len(many)] if again else order)
    batch_size = min(batch_size, len(labels))
    filling = -len(order) % batch_size
    return np.concatenate([order, rng.permutation(len(labels))[:filling]]).reshape(-1, batch_size)


class Batches:
    """Every batch of a run, by the number of its step.

    Args:
        examples: What to train on.
        labels: 0 or 1, shape (n,).
        recipe: The run's recipe.
        source_weights: How much each example counts by the dataset that it is from, float32 (n,) of mean 1; by default
            all the same.
    """

    def __init__(
        self, examples: Examples, labels: np.ndarray, recipe: Recipe, source_weights: np.ndarray | None = None
    ):
        self.examples, self.recipe = examples, recipe
        self.labels = np.asarray(labels, np.int64)
        self.source_weights = np.ones(len(self.labels), np.float32) if source_weights is None else source_weights
        self.weights = class_weights(self.labels, recipe.class_balance) * self.source_weights
        self.steps_per_epoch, self.batch_size = self._order(0).shape
        self._epoch = lru_cache(maxsize=2)(self._order)

    def _order(self, epoch: int) -> np.ndarray:
        r = self.recipe
        return epoch_order(self.labels, r.batch_size, r.class_balance, r.seed, epoch)

    def batch(self, step: int, part: slice = slice(None)) -> tuple[Arrays, Arrays]:
        """Return the inputs and targets of a step.

        Args:
            step: Counted from 0.
            part: Which part of the batch to return.

        Returns:
            Inputs by name, and the targets `label`, `weight`, `source_weight` and `cells`.
        """
        epoch, number = divmod(step, self.steps_per_epoch)
        indices = self._epoch(epoch)[number]
        places = range(*part.indices(self.batch_size))
        if self.recipe.mixup:
            places = range(self.batch_size)  # an image's partner may be in another worker's part
        first = number * self.batch_size
        drawn = [
            self.examples.sample_view(int(indices[k]), np.random.default_rng([self.recipe.seed, epoch, 1, first + k]))
            for k in places
        ]
        inputs = {name: np.stack([values[name] for values, _ in drawn]) for name in drawn[0][0]}
        chosen = indices[list(places)]
        targets = {
            "label": self.labels[chosen].astype(np.float32),
            "weight": self.weights[chosen],
            "source_weight": self.source_weights[chosen],
            "cells": np.stack([cells for _, cells in drawn]),
        }
        if self.recipe.mixup:
            rng = np.random.default_rng([self.recipe.seed, epoch, 2, number])
            inputs, targets = ({k: v[part] for k, v in d.items()} for d in _mix(inputs, targets, self.recipe, rng))
        return inputs, targets

    def dataset(self, first: int, last: int, worker: int = 0, workers: int = 1) -> tf.data.Dataset:
        """Return the batches as a dataset; with several workers each gets its own part of every batch.

        Args:
            first: The first step.
            last: The step to end before.
            worker: Index of this worker.
            workers: How many there are.

        Returns:
            A dataset of (inputs, targets).
        """
        size = self.batch_size // workers
        part = slice(worker * size, (worker + 1) * size)
        structure = self._structure(size)
        flat = tf.nest.flatten(structure)

        def make(step: np.ndarray) -> list[np.ndarray]:
            return tf.nest.flatten(self.batch(int(step), part))

        def load(step: tf.Tensor) -> tuple:
            arrays = tf.numpy_function(make, [step], [spec.dtype for spec in flat])
            for array, spec in zip(arrays, flat, strict=True):
                array.set_shape(spec.shape)
            return tf.nest.pack_sequence_as(structure, arrays)

        steps = tf.data.Dataset.range(first, last)
        return steps.map(load, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _structure(self, size: int) -> tuple[dict[str, tf.TensorSpec], dict[str, tf.TensorSpec]]:
        n = self.recipe.image_size // CELL
        cells = tf.TensorSpec((size, n, n), tf.float32)
        scalar = tf.TensorSpec((size,), tf.float32)
        inputs = {
            name: tf.TensorSpec((size, *spec.shape), tf.float32 if self.recipe.mixup else spec.dtype)
            for name, spec in self.examples.signature.items()
        }
        return inputs, {"label": scalar, "weight": scalar, "source_weight": scalar, "cells": cells}


def _mix(inputs: Arrays, targets: Arrays, recipe: Recipe, rng: np.random.Generator) -> tuple[Arrays, Arrays]:
    """Blend each image and its targets with another of the batch (mixup, Zhang et al. 2018)."""
    n = len(targets["label"])
    share = rng.beta(recipe.mixup, recipe.mixup, n).astype(np.float32)
    # The image itself keeps the larger share: the same set of blends, without repeats.
    share = np.maximum(share, 1 - share)
    partner = rng.permutation(n)

    def blend(values: np.ndarray) -> np.ndarray:
        own = share.reshape(-1, *[1] * (values.ndim - 1))
        return own * values.astype(np.float32) + (1 - own) * values[partner].astype(np.float32)

    return {k: blend(v) for k, v in inputs.items()}, {k: blend(v) for k, v in targets.items()}
