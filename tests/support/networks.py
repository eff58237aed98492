"""Small networks of every architecture, with random statistics in their normalisations, built once a test run."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from fracture_core.recipe import Recipe

SIZE = 64
BACKBONES = ("densenet121", "resnet50v2", "efficientnetv2-b0", "efficientnet-lite2", "xception")


HEADS = ("global", "cells")


def recipe(backbone: str = "densenet121", localiser: int = 16, head: str = "global") -> Recipe:
    """The recipe of `network`'s networks."""
    return Recipe(name="small", backbone=backbone, image_size=SIZE, localiser=localiser, head=head, start="none")


@lru_cache
def network(backbone: str = "densenet121", localiser: int = 16, head: str = "global"):
    """Keras model, graph and weights: the same at every call, and with every normalisation at work.

    Kernels and offsets are drawn by name, and the statistics taken from a batch of images, so that values keep a
    trained network's size from the first layer to the last.
    """
    import keras

    from fracture_core.network.keras_graph import graph_from_keras
    from fracture_core.network.model import build_model
    from fracture_core.network.weights import set_weights, weights_of

    model = build_model(recipe(backbone, localiser, head))
    set_weights(model, {key: _drawn(key, array.shape) for key, array in weights_of(model).items()})
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the next batch's statistics replace the old ones
    model(pictures(16)[..., None].astype(np.float32), training=True)
    return model, graph_from_keras(model), weights_of(model)


def _drawn(key: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(list(key.encode()))
    if key.endswith("kernel"):
        return rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32)
    if key.endswith(("variance", "gamma")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return rng.normal(0, 0.3, shape).astype(np.float32)


def pictures(n: int, size: int = SIZE) -> np.ndarray:
    """Random images, uint8 (n, size, size)."""
    return np.random.default_rng(n).integers(0, 256, (n, size, size), dtype=np.uint8)


def real_square(fracatlas_dir: Path, size: int = SIZE) -> np.ndarray:
    """The first fractured radiograph of the dataset, letterboxed, uint8 (size, size)."""
    from fracture_core.imaging.letterbox import letterbox
    from fracture_core.imaging.radiograph import read_radiograph

    file = min((fracatlas_dir / "images" / "Fractured").glob("*.jpg"))
    return letterbox(read_radiograph(file, accept_cut_short=True).pixels, size)[0]


def keras_outputs(model, squares: np.ndarray) -> dict[str, np.ndarray]:
    """What Keras makes of images (n, S, S): every output by name."""
    outputs = model(squares[..., None].astype(np.float32), training=False)
    return {name: tensor.numpy() for name, tensor in outputs.items()}
