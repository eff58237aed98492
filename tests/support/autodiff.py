"""Gradients by TensorFlow's automatic differentiation: the reference that closed forms are held against."""

from __future__ import annotations

import numpy as np


def maps_and_gradients(model, square: np.ndarray, layer: str, output: str = "logit") -> tuple[np.ndarray, np.ndarray]:
    """A layer's maps for one letterboxed image (S, S), and the gradient of an output there, both float32 (h, w, C)."""
    import keras
    import tensorflow as tf

    tail = keras.Model(model.input, [model.get_layer(layer).output, model.output[output]])
    image = tf.constant(np.asarray(square, np.float32)[None, :, :, None])
    with tf.GradientTape() as tape:
        tape.watch(image)
        maps, logit = tail(image, training=False)
    return maps[0].numpy(), tape.gradient(logit, maps)[0].numpy()
