"""Weights by key: from a Keras model, into one, and on disk as a safetensors file at half precision.

A weight's key is "layer/part". Layers with automatic names are keyed by their position among their kind, so the keys
depend on the architecture only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from fracture_core.errors import FractureCoreError
from fracture_core.files import atomic_write

if TYPE_CHECKING:
    import keras

Weights = dict[str, np.ndarray]

_COUNTED = re.compile(r"^(conv2d|batch_normalization|add|concatenate|zero_padding2d|multiply)(_\d+)?$")
_PARTS = {
    "Conv2D": ("kernel", "bias"),
    "Conv2DTranspose": ("kernel", "bias"),
    "DepthwiseConv2D": ("kernel", "bias"),
    "SeparableConv2D": ("depthwise", "pointwise", "bias"),
    "Dense": ("kernel", "bias"),
}


class WeightsError(FractureCoreError):
    """A weights file that cannot be read, or that belongs to another network."""


def layer_keys(model: keras.Model) -> dict[str, str]:
    """Map each Keras layer's name to its key: the name itself, or kind and position for automatic names.

    Args:
        model: The network.

    Returns:
        Keys by layer name.
    """
    places: dict[str, int] = {}
    keys = {}
    for layer in model.layers:
        counted = _COUNTED.match(layer.name)
        if counted:
            kind = counted.group(1)
            keys[layer.name] = f"{kind}.{places.get(kind, 0)}"
            places[kind] = places.get(kind, 0) + 1
        else:
            keys[layer.name] = layer.name
    return keys


def named_variables(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Yield (key, variable) for every weight of a Keras model, in the order of its layers.

    Args:
        model: The network.

    Yields:
        Key and variable.
    """
    keys = layer_keys(model)
    for layer in model.layers:
        key = keys[layer.name]
        kind = type(layer).__name__
        if kind == "BatchNormalization":
            variables = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
            parts = ("gamma", "beta", "mean", "variance")
            # Some backbones switch gamma off; what is not there is not kept.
            yield from ((f"{key}/{p}", v) for p, v in zip(parts, variables, strict=True) if v is not None)
        elif kind == "SeparableConv2D":
            yield f"{key}.depthwise/kernel", layer.depthwise_kernel
            yield f"{key}.pointwise/kernel", layer.pointwise_kernel
            if layer.use_bias:
                yield f"{key}.pointwise/bias", layer.bias
        elif kind in _PARTS:
            yield f"{key}/kernel", layer.kernel
            if layer.use_bias:
                yield f"{key}/bias", layer.bias


def weights_of(model: keras.Model) -> Weights:
    """Copy the weights of a Keras model.

    Args:
        model: The network.

    Returns:
        float32 arrays by key.
    """
    return {key: np.asarray(variable, dtype=np.float32) for key, variable in named_variables(model)}


def set_weights(model: keras.Model, weights: Mapping[str, np.ndarray], *, partly: bool = False) -> list[str]:
    """Load weights into a Keras model.

    Args:
        model: The network, changed in place.
        weights: Arrays by key.
        partly: Whether keys that are missing or have another shape keep their values (a backbone without its heads).

    Returns:
        The keys that kept their values.

    Raises:
        WeightsError: A key is missing or has another shape, and `partly` is off; the model is unchanged.
    """
    fitting, left = [], []
    for key, variable in named_variables(model):
        array = weights.get(key)
        if array is not None and tuple(array.shape) == tuple(variable.shape):
            fitting.append((variable, array))
        else:
            left.append(key)
    if left and not partly:
        raise WeightsError(f"These weights belong to another network: {left[0]!r} is missing or has another shape.")
    for variable, array in fitting:
        variable.assign(np.asarray(array, dtype=np.float32))
    return left


def half_precision(weights: Mapping[str, np.ndarray]) -> Weights:
    """Round weights as a file stores them: kernels to float16; the rest (small and sensitive) stays float32.

    Args:
        weights: Arrays by key.

    Returns:
        Rounded arrays by key.
    """
    return {
        key: np.ascontiguousarray(a, dtype=np.float16 if key.endswith("/kernel") and a.size > 64 else np.float32)
        for key, a in weights.items()
    }


def save_weights(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Write weights at half precision, atomically.

    Args:
        path: The file.
        weights: Arrays by key.
    """
    with atomic_write(path) as temporary:
        save_file(half_precision(weights), temporary)


def load_weights(path: Path) -> Weights:
    """Read weights.

    Args:
        path: The file.

    Returns:
        float32 arrays by key.

    Raises:
        WeightsError: The file is missing or damaged.
    """
    try:
        return {key: array.astype(np.float32) for key, array in load_file(path).items()}
    except FileNotFoundError as error:
        raise WeightsError(f"The weights file {Path(path).name} is missing.") from error
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise WeightsError(f"The weights file {Path(path).name} is damaged and cannot be read.") from error
