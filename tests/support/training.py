"""What the training tests train on: a miniature FracAtlas with a break to find, and a recipe that takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.applications.densenet import DenseNet

from fracture_core.data.fracatlas import FracAtlas
from fracture_core.recipe import Augmentation, Recipe
from tests.support.miniature import Entry, build, picture

SMALL = Recipe(
    name="small",
    image_size=32,
    start="none",
    localiser=8,
    dropout=0.2,
    trainable_blocks=1,
    leak_free=False,
    box_weight=0.2,
    global_weight=0.3,
    epochs=3,
    batch_size=8,
    learning_rate=1e-3,
    weight_decay=0.01,
    weight_averaging=0.9,
    gradient_norm=5.0,
    views=3,
    augmentation=Augmentation(rotation=10, shift=0.05, zoom=0.1, horizontal_flip=True, noise=4),
)


def miniature(root: Path, images: int = 60) -> FracAtlas:
    """FracAtlas in small, one image in three fractured: a bright block with a dark gap, outlined."""
    entries = []
    for number in range(images):
        pixels, fractured = picture(number, 64, 48), number % 3 == 0
        boxes = ()
        if fractured:
            x, y = np.random.default_rng(number).integers(4, 20, 2)
            pixels[y : y + 20, x : x + 16] = 250
            pixels[y + 8 : y + 11, x : x + 16] = 5
            boxes = ((float(x), float(y), 16.0, 20.0),)
        folder = ("Fractured",) if fractured else ("Non_fractured",)
        entries.append(Entry(f"IMG{number:07d}", folder, int(fractured), boxes=boxes, picture=pixels))
    return FracAtlas(build(root, entries))


def tiny_densenet(include_top: bool = False, weights: str | None = None, input_tensor=None) -> keras.Model:
    """DenseNet121's architecture, layer names included, with one layer a block instead of 6, 12, 24 and 16."""
    return DenseNet([1, 1, 1, 1], include_top, weights, input_tensor, name="tiny")


@contextmanager
def tiny_network(folder: Path) -> Iterator[None]:
    """Put the tiny DenseNet in DenseNet121's place, and the caches under `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.applications, "DenseNet121", tiny_densenet)
        patch.setenv("FRACTURE_CACHE_DIR", str(folder / "cache"))
        patch.setenv("FRACTURE_RUNS_DIR", str(folder / "runs"))
        yield
