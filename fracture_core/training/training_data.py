"""Prepare what a run trains on and validates with: the split's images, or the features of the frozen blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fracture_core.data.augmentation import UNKNOWN
from fracture_core.data.combined.dataset import CombinedDataset, is_site
from fracture_core.data.combined.images import JoinedImages, load_images
from fracture_core.data.dataset import Dataset, short_digest
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.image_cache import ImageCache
from fracture_core.data.split import Split
from fracture_core.data.user_dataset import OwnDataset
from fracture_core.recipe import Recipe
from fracture_core.training.feature_cache import Features, FeatureSource, compute_features
from fracture_core.training.frozen_backbone import FrozenBackbone, split_at_boundary
from fracture_core.training.pipeline import Arrays, Examples, ImageExamples
from fracture_core.training.progress import Reporter, TrainingError

#: Augmentation starts from images larger than the network's input by this factor, so that zooming in loses little.
MARGIN = 1.25


@dataclass(frozen=True)
class TrainingData:
    """Training examples with labels int8 (n,), validation inputs by name with labels, and the model that reads them.

    `weights` float32 (n,), of mean 1, are how much each example counts by the dataset that it is from; None for all the
    same. `model` is the whole network or, if features are cached, the part of it that trains; it reads the inputs
    `names`, in this order.
    """

    examples: Examples
    labels: np.ndarray
    val_inputs: Arrays
    val_labels: np.ndarray
    model: keras.Model
    names: tuple[str, ...]
    weights: np.ndarray | None = None

    def model_input(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor | list[tf.Tensor]:
        """Prepare inputs for the model: float32, and a channel axis for images.

        Args:
            inputs: A batch, by name.

        Returns:
            What to call the model with.
        """
        tensors = [tf.cast(inputs[name], tf.float32) for name in self.names]
        tensors = [values[..., None] if values.shape.rank == 3 else values for values in tensors]
        return tensors if isinstance(self.model.input, list) else tensors[0]


def load_training_data(
    recipe: Recipe, dataset: Dataset, split: Split, model: keras.Model, reporter: Reporter
) -> TrainingData:
    """Decode the dataset (once only) and, if the recipe caches features, compute them.

    Args:
        recipe: The run's recipe.
        dataset: What to train on.
        split: Train, val and test.
        model: The whole network.
        reporter: Receives the progress.

    Returns:
        Examples, validation inputs and the model to train.

    Raises:
        TrainingError: Train or val lacks one of the classes.
    """
    labels, val_labels = (dataset.table.loc[list(ids), "label"].to_numpy() for ids in (split.train, split.val))
    for part, truth in (("train", labels), ("val", val_labels)):
        if len(set(truth)) < 2:
            raise TrainingError(f"The {part} set has one class only ({len(truth)} images); both are needed.")
    weights = source_weights(dataset, split.train)
    plain = _decoded(dataset, recipe, recipe.image_size, reporter)
    larger = plain
    if recipe.augmentation.active:
        larger = _decoded(dataset, recipe, round(recipe.image_size * MARGIN / 32) * 32, reporter)
    val = plain.take(split.val)
    if not recipe.fast_path:
        boxes = _boxes(dataset, larger, split.train)
        examples = ImageExamples(split.train, larger, boxes, recipe)
        return TrainingData(examples, labels, {"radiograph": val}, val_labels, model, ("radiograph",), weights)
    frozen = split_at_boundary(model)
    views = recipe.views if recipe.augmentation.active else 1
    train = FeatureSource(
        split.train,
        plain.take(split.train),
        _boxes(dataset, plain, split.train),
        larger,
        _boxes(dataset, larger, split.train),
    )
    features = _features(frozen, train, recipe, views, reporter)
    held = FeatureSource(split.val, val, _boxes(dataset, plain, split.val), None, ())
    val_maps = _features(frozen, held, recipe, 1, reporter, beside=features).maps
    return TrainingData(features, labels, dict(val_maps), val_labels, frozen.trainable, frozen.names, weights)


def source_weights(dataset: Dataset, ids: Sequence[str]) -> np.ndarray:
    """Return how much each image counts by the dataset that it is from.

    Args:
        dataset: The dataset.
        ids: Images.

    Returns:
        float32 (n,), mean 1; all 1 unless FracAtlas and a site's films are combined.
    """
    return dataset.weights(ids) if isinstance(dataset, CombinedDataset) else np.ones(len(ids), np.float32)


def training_sources(dataset: Dataset, split: Split) -> dict[str, Any]:
    """Return what a run's record says about the sources of its images.

    Args:
        dataset: What it trains on.
        split: Train, val and test.

    Returns:
        `sources` of a combined dataset: name, weight of one image, share of the training weight, and images of each
        part, for FracAtlas and the site; `fracatlas_split`, the digest of FracAtlas's part of the split alone. Of any
        dataset but FracAtlas `films_seen`, short digests of the pixels of what it trains and validates with, by which
        a later comparison knows these films again under any name.
    """
    if isinstance(dataset, FracAtlas):
        return {}
    ids = (*split.train, *split.val)
    if isinstance(dataset, OwnDataset):
        return {"films_seen": " ".join(short_digest(dataset, i) for i in ids)}
    share = dataset.site_share(split.train)
    shares = ((dataset.fracatlas.name, 1.0, 1 - share, False), (dataset.site.name, dataset.site_weight, share, True))
    sources = [
        {"name": name, "weight": weight, "share": round(part, 4)}
        | {part: sum(is_site(i) == ours for i in getattr(split, part)) for part in ("train", "val", "test")}
        for name, weight, part, ours in shares
    ]
    train, val, test = (tuple(i for i in part if not is_site(i)) for part in (split.train, split.val, split.test))
    alone = Split(train=train, val=val, test=test, left_out={})
    seen = " ".join(short_digest(dataset, i) for i in ids if is_site(i))
    copies = sum(is_site(i) and why.startswith("shows the same image") for i, why in split.left_out.items())
    return {"sources": sources, "site_copies": copies, "fracatlas_split": alone.digest, "films_seen": seen}


def _decoded(dataset: Dataset, recipe: Recipe, size: int, reporter: Reporter) -> ImageCache | JoinedImages:
    def progress(done: int, total: int) -> None:
        reporter.report_count("decoding", done, total)
        reporter.stop_if_asked()

    return load_images(dataset, size, crop_to_field=recipe.crop_to_field, progress=progress)


def _features(
    part: FrozenBackbone,
    source: FeatureSource,
    recipe: Recipe,
    views: int,
    reporter: Reporter,
    beside: Features | None = None,
) -> Features:
    def progress(done: int, total: int, size: int) -> None:
        reporter.report_count("features", done, total, bytes=size)
        reporter.stop_if_asked()

    return compute_features(part, source, recipe, views, beside=beside, progress=progress)


def _boxes(dataset: Dataset, images: ImageCache | JoinedImages, ids: Sequence[str]) -> list[np.ndarray]:
    boxes = (dataset.boxes(i) if dataset.outlined(i) else UNKNOWN for i in ids)
    return [images.placement(i).boxes_in_square(outlines) for i, outlines in zip(ids, boxes, strict=True)]
