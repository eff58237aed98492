"""Time some training steps of a recipe on this machine, on images of noise, and save the result.

For a process of its own (the `estimate` command), because it builds the network.
"""

from __future__ import annotations

import time

import cv2
import keras
import numpy as np
import tensorflow as tf

from fracture_core.data.image_cache import ImageCache
from fracture_core.imaging.letterbox import letterbox
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.engine import Engine
from fracture_core.network.model import CELL, build_model, train_last_blocks
from fracture_core.recipe import Recipe
from fracture_core.training.estimate import StepTiming, save_timing
from fracture_core.training.feature_cache import Features
from fracture_core.training.frozen_backbone import FrozenBackbone, split_at_boundary
from fracture_core.training.pipeline import Batches, ImageExamples
from fracture_core.training.trainer import Trainer
from fracture_core.training.training_data import MARGIN, TrainingData

_STEPS = 3  # timed, after the first, which traces
_VIEWS = 32
_TYPICAL_SIZE = (454, 373)  # pixels, (height, width) of most images of FracAtlas


def measure(recipe: Recipe, began: float) -> StepTiming:
    """Time a recipe's training step and what precedes it, and save the result.

    Args:
        recipe: What to train.
        began: `time.monotonic()` at the first line of the process, so that importing and building count.

    Returns:
        The measurement.
    """
    keras.utils.set_random_seed(recipe.seed)
    model = build_model(recipe)
    train_last_blocks(model, recipe)
    trainer = Trainer(model, recipe, tf.distribute.get_strategy())
    checkpoint = sum(array.nbytes for array in trainer.state()[0].values())
    built = time.monotonic() - began
    rng, view_seconds, view_bytes = np.random.default_rng(0), 0.0, 0
    if recipe.fast_path:
        data, view_seconds, view_bytes = _feature_data(split_at_boundary(model), recipe, rng)
    else:
        data = _image_data(model, recipe, rng)
    batches = Batches(data.examples, data.labels, recipe)
    trainer.compile(data)
    steps = trainer.distribute(batches, _STEPS + 1)
    times = []
    for batch in steps:
        began = time.monotonic()
        trainer.train_step(batch, 0.0)
        times.append(time.monotonic() - began)
    step = float(np.median(times[1:]))
    timing = StepTiming(
        step_seconds=step,
        start_seconds=built + times[0] - step,
        view_seconds=view_seconds,
        view_bytes=view_bytes,
        checkpoint_bytes=checkpoint,
        decode_seconds=_decoding_seconds(rng, recipe),
    )
    return save_timing(recipe, timing)


def _image_data(model: keras.Model, recipe: Recipe, rng: np.random.Generator) -> TrainingData:
    """Two batches of noise, as ordinary training gets its images."""
    n = recipe.batch_size * 2
    side = round(recipe.image_size * MARGIN / 32) * 32 if recipe.augmentation.active else recipe.image_size
    squares = rng.integers(0, 256, (n, side, side), np.uint8)
    ids = [str(place) for place in range(n)]
    placements = (letterbox(squares[0], side)[1],) * n
    images = ImageCache(squares, placements, {name: place for place, name in enumerate(ids)})
    examples = ImageExamples(ids, images, [np.zeros((0, 4), np.float32)] * n, recipe)
    labels = np.arange(n) % 2
    return TrainingData(examples, labels, {}, labels[:0], model, ("radiograph",))


def _feature_data(part: FrozenBackbone, recipe: Recipe, rng: np.random.Generator) -> tuple[TrainingData, float, int]:
    """Two batches of what the frozen blocks make of noise; seconds and bytes that one stored view takes."""
    engine = Engine(part.graph, part.weights)
    squares = rng.integers(0, 256, (_VIEWS, recipe.image_size, recipe.image_size), np.uint8)
    engine.run(squares[:1])
    began = time.monotonic()
    outputs = engine.run(squares)
    seconds = (time.monotonic() - began) / _VIEWS
    n = recipe.batch_size * 2
    maps = {name: values.astype(np.float16)[np.arange(n) % _VIEWS] for name, values in outputs.items()}
    cells = np.zeros((n, recipe.image_size // CELL, recipe.image_size // CELL), np.float16)
    per_view = sum(values[0].nbytes for values in maps.values()) + cells[0].nbytes
    labels = np.arange(n) % 2
    data = TrainingData(Features(maps, cells, n, 1), labels, {}, labels[:0], part.trainable, part.names)
    return data, seconds, per_view


def _decoding_seconds(rng: np.random.Generator, recipe: Recipe) -> float:
    """Seconds that one JPEG of the usual size takes to be read and letterboxed."""
    grey = cv2.resize(rng.integers(0, 256, (60, 50), np.uint8), _TYPICAL_SIZE[::-1])
    data = cv2.imencode(".jpg", grey)[1].tobytes()
    began = time.monotonic()
    for _ in range(_VIEWS):
        letterbox(read_radiograph(data).pixels, recipe.image_size)
    return (time.monotonic() - began) / _VIEWS
