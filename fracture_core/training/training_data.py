"""What a run learns from and what measures it: the split's pictures, or what the frozen blocks make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from fracture_core.data.augmentation import UNKNOWN
from fracture_core.data.dataset import Dataset
from fracture_core.data.image_cache import ImageCache, load_image_cache
from fracture_core.data.split import Split
from fracture_core.recipe import Recipe
from fracture_core.training.feature_cache import (
    Features,
    FeatureSource,
    FrozenBackbone,
    compute_features,
    split_at_boundary,
)
from fracture_core.training.pipeline import Arrays, Examples, PictureExamples
from fracture_core.training.progress import Reporter, TrainingError

#: How much larger than the network's the pictures are that augmentation starts from, so that zooming in loses little.
MARGIN = 1.25


@dataclass(frozen=True)
class TrainingData:
    """Training examples with their labels int8 (n,); val's inputs, by name, with labels; the model that reads them.

    `model` is the whole network, or on the fast path the part of it that trains; it reads the inputs `names`, in
    this order.
    """

    examples: Examples
    labels: np.ndarray
    val_inputs: Arrays
    val_labels: np.ndarray
    model: keras.Model
    names: tuple[str, ...]

    def model_input(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor | list[tf.Tensor]:
        """What the model is called with: float32, and with a channel's axis for pictures."""
        made = [tf.cast(inputs[name], tf.float32) for name in self.names]
        made = [values[..., None] if values.shape.rank == 3 else values for values in made]
        return made if isinstance(self.model.input, list) else made[0]


def load_training_data(
    recipe: Recipe, dataset: Dataset, split: Split, model: keras.Model, report: Reporter
) -> TrainingData:
    """Decode the dataset (once, ever) and, on the fast path, compute what the frozen blocks make of it.

    Raises TrainingError where train or val lacks one of the classes.
    """
    labels, val_labels = (dataset.table.loc[list(ids), "label"].to_numpy() for ids in (split.train, split.val))
    for part, truth in (("train", labels), ("val", val_labels)):
        if len(set(truth)) < 2:
            raise TrainingError(f"The {part} images are all of one class ({len(truth)} images): both are needed.")
    plain = _decoded(dataset, recipe, recipe.image_size, report)
    larger = plain
    if recipe.augmentation.active:
        larger = _decoded(dataset, recipe, round(recipe.image_size * MARGIN / 32) * 32, report)
    val = _rows(plain, split.val)
    if not recipe.fast_path:
        boxes = _boxes(dataset, larger, split.train)
        examples = PictureExamples(split.train, larger, boxes, recipe)
        return TrainingData(examples, labels, {"radiograph": val}, val_labels, model, ("radiograph",))
    part = split_at_boundary(model)
    views = recipe.views if recipe.augmentation.active else 1
    train = FeatureSource(
        split.train,
        _rows(plain, split.train),
        _boxes(dataset, plain, split.train),
        larger,
        _boxes(dataset, larger, split.train),
    )
    features = _features(part, train, recipe, views, report)
    held = FeatureSource(split.val, val, _boxes(dataset, plain, split.val), None, ())
    val_maps = _features(part, held, recipe, 1, report, beside=features).maps
    return TrainingData(features, labels, dict(val_maps), val_labels, part.trainable, part.names)


def _decoded(dataset: Dataset, recipe: Recipe, size: int, report: Reporter) -> ImageCache:
    def progress(done: int, total: int) -> None:
        report.counted("decoding", done, total)
        report.stop_if_asked()

    paths = {i: dataset.path(i) for i in dataset.table.index}
    return load_image_cache(paths, size, crop_to_field=recipe.crop_to_field, progress=progress)


def _features(
    part: FrozenBackbone,
    source: FeatureSource,
    recipe: Recipe,
    views: int,
    report: Reporter,
    beside: Features | None = None,
) -> Features:
    def progress(done: int, total: int, size: int) -> None:
        report.counted("features", done, total, bytes=size)
        report.stop_if_asked()

    return compute_features(part, source, recipe, views, beside=beside, progress=progress)


def _rows(pictures: ImageCache, ids: Sequence[str]) -> np.ndarray:
    return pictures.squares[[pictures.rows[i] for i in ids]]


def _boxes(dataset: Dataset, pictures: ImageCache, ids: Sequence[str]) -> list[np.ndarray]:
    boxes = (dataset.boxes(i) if dataset.outlined(i) else UNKNOWN for i in ids)
    return [pictures.placement(i).boxes_in_square(one) for i, one in zip(ids, boxes, strict=True)]
