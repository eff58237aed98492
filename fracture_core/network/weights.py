"""Weights by name: out of a Keras model, into one, and on disk as a safetensors file at half precision.

A weight's key is "layer/part". Layers that Keras names by counting are keyed by their place among their kind, so
the keys depend on the architecture alone.
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
    """Map each Keras layer's name to its key: the name itself, or kind and place for counted names."""
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
    """Yield (key, variable) for every weight of a Keras model, in the model's order of layers."""
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
    """Copy a Keras model's weights: key -> float32 array."""
    return {key: np.asarray(variable, dtype=np.float32) for key, variable in named_variables(model)}


def set_weights(model: keras.Model, weights: Mapping[str, np.ndarray], *, partly: bool = False) -> list[str]:
    """Put weights into a Keras model; give the keys that stayed as they were.

    With `partly`, keys that are missing or of another shape are left alone (a backbone without its heads); without
    it they raise WeightsError, and the model is untouched.
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
    """Round what a file keeps: kernels to float16; the rest (small, and sensitive) stays float32."""
    return {
        key: np.ascontiguousarray(a, dtype=np.float16 if key.endswith("/kernel") and a.size > 64 else np.float32)
        for key, a in weights.items()
    }


def save_weights(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Write weights at half precision in one atomic step."""
    with atomic_write(path) as temporary:
        save_file(half_precision(weights), temporary)


def load_weights(path: Path) -> Weights:
    """Read weights as float32 arrays; raise WeightsError where the file is missing or damaged."""
    try:
        return {key: array.astype(np.float32) for key, array in load_file(path).items()}
    except FileNotFoundError as error:
        raise WeightsError(f"The weights file {Path(path).name} is missing.") from error
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise WeightsError(f"The weights file {Path(path).name} is damaged and cannot be read.") from error
