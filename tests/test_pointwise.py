"""A 1x1 convolution by a matrix product gives what Keras' own convolution gives, and so do its gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from fracture_core.model import build_model
from fracture_core.pointwise import multiply_pointwise
from fracture_core.recipe import Recipe


def gradients(model: keras.Model, x: tf.Tensor) -> tuple[np.ndarray, list[np.ndarray]]:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = model(x)
        loss = tf.reduce_sum(y * y)
    return y.numpy(), [g.numpy() for g in tape.gradient(loss, [x, *(v.value for v in model.trainable_variables)])]


@pytest.mark.parametrize("activation", [None, "relu"])
def test_a_product_is_the_convolution_and_has_its_gradients(activation):
    keras.utils.set_random_seed(3)
    image = keras.Input((5, 4, 6))
    x = keras.layers.Conv2D(7, 1, activation=activation, bias_initializer="normal")(image)
    x = keras.layers.Conv2D(3, 1, strides=2, use_bias=False)(keras.layers.Conv2D(7, 3)(x))
    model = keras.Model(image, x)
    picture = tf.constant(np.random.default_rng(0).normal(size=(2, 5, 4, 6)).astype(np.float32))
    y, plain = gradients(model, picture)
    multiply_pointwise(model)
    assert ["convolution_op" in vars(layer) for layer in model.layers[1:]] == [True, False, False]
    again, made = gradients(model, picture)
    np.testing.assert_allclose(again, y, rtol=1e-5, atol=1e-5)
    for got, wanted in zip(made, plain, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_every_network_is_built_that_way_and_may_compute_in_half_precision():
    model = build_model(Recipe(name="tiny", image_size=64))
    pointwise = [layer for layer in model.layers if getattr(layer, "kernel_size", None) == (1, 1)]
    assert len(pointwise) > 50
    assert all("convolution_op" in vars(layer) for layer in pointwise)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = build_model(Recipe(name="tiny", image_size=64))
    finally:
        keras.config.set_dtype_policy("float32")
    for ours, theirs in zip(half.variables, model.variables, strict=True):
        ours.assign(theirs)
    x = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 1)).astype(np.float32)
    np.testing.assert_allclose(half(x)["embedding"], model(x)["embedding"], atol=0.2)
