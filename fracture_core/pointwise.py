"""1x1 convolutions as the matrix products that they are.

On a CPU, TensorFlow takes several times as long over the gradient of a 1x1 convolution with respect to its input as
over the same figures from a matrix product, and half of DenseNet's layers are such convolutions. A step of the last
block gained between nothing and a fifth by it, from process to process (`benchmarks.training_step --stored`).
"""

from __future__ import annotations

import keras


def multiply_pointwise(model: keras.Model) -> None:
    """Let every 1x1 convolution of a built model compute by a matrix product; figures change by rounding alone."""
    for layer in model.layers:
        plain = type(layer) is keras.layers.Conv2D and layer.kernel_size == (1, 1) and layer.strides == (1, 1)
        if plain and layer.groups == 1 and layer.data_format == "channels_last":
            layer.convolution_op = _product


def _product(inputs: keras.KerasTensor, kernel: keras.KerasTensor) -> keras.KerasTensor:
    """(N, H, W, C) and a kernel (1, 1, C, D) -> (N, H, W, D)."""
    _, height, width, channels = inputs.shape
    rows = keras.ops.matmul(keras.ops.reshape(inputs, (-1, channels)), kernel[0, 0])
    return keras.ops.reshape(rows, (-1, height, width, kernel.shape[3]))
