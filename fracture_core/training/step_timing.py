"""How fast this machine trains a recipe: some real steps on pictures of noise, timed; the figures are kept.

For a process of its own (`python -m fracture_core estimate`): it builds the network.
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
from fracture_core.training.estimate import StepTiming, keep
from fracture_core.training.feature_cache import Features, FrozenBackbone, split_at_boundary
from fracture_core.training.learner import Trainer
from fracture_core.training.pipeline import Batches, PictureExamples
from fracture_core.training.training_data import MARGIN, TrainingData

_STEPS = 3  # timed, after one that traces
_VIEWS = 32
_TYPICAL = (454, 373)  # pixels; most of FracAtlas


def measure(recipe: Recipe, began: float) -> StepTiming:
    """Time a recipe's training step and what goes before it; keep and give the figures.

    `began` is the `time.monotonic()` of the process's first line, so that importing and building count.
    """
    keras.utils.set_random_seed(recipe.seed)
    model = build_model(recipe)
    train_last_blocks(model, recipe)
    learner = Trainer(model, recipe, tf.distribute.get_strategy())
    checkpoint = sum(array.nbytes for array in learner.state()[0].values())
    built = time.monotonic() - began
    rng, view = np.random.default_rng(0), (0.0, 0)
    if recipe.fast_path:
        data, *view = _on_features(split_at_boundary(model), recipe, rng)
    else:
        data = _on_pictures(model, recipe, rng)
    batches = Batches(data.examples, data.labels, recipe)
    learner.compile(data)
    steps = learner.distribute(batches, _STEPS + 1)
    times = []
    for batch in steps:
        began = time.monotonic()
        learner.train_step(batch, 0.0)
        times.append(time.monotonic() - began)
    step = float(np.median(times[1:]))
    speed = StepTiming(step, built + times[0] - step, view[0], int(view[1]), checkpoint, _decoding(rng, recipe))
    return keep(recipe, speed)


def _on_pictures(model: keras.Model, recipe: Recipe, rng: np.random.Generator) -> TrainingData:
    """Two batches of noise, as ordinary training gets its pictures."""
    n = recipe.batch_size * 2
    side = round(recipe.image_size * MARGIN / 32) * 32 if recipe.augmentation.active else recipe.image_size
    squares = rng.integers(0, 256, (n, side, side), np.uint8)
    ids = [str(place) for place in range(n)]
    placements = (letterbox(squares[0], side)[1],) * n
    pictures = ImageCache(squares, placements, {name: place for place, name in enumerate(ids)})
    examples = PictureExamples(ids, pictures, [np.zeros((0, 4), np.float32)] * n, recipe)
    labels = np.arange(n) % 2
    return TrainingData(examples, labels, {}, labels[:0], model, ("radiograph",))


def _on_features(part: FrozenBackbone, recipe: Recipe, rng: np.random.Generator) -> tuple[TrainingData, float, int]:
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


def _decoding(rng: np.random.Generator, recipe: Recipe) -> float:
    """Seconds that one JPEG of the usual size takes to be read and letterboxed."""
    grey = cv2.resize(rng.integers(0, 256, (60, 50), np.uint8), _TYPICAL[::-1])
    data = cv2.imencode(".jpg", grey)[1].tobytes()
    began = time.monotonic()
    for _ in range(_VIEWS):
        letterbox(read_radiograph(data).pixels, recipe.image_size)
    return (time.monotonic() - began) / _VIEWS
