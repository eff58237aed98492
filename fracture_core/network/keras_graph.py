"""Describe a Keras model as plain data: the graph that the engine and PyTorch rebuild."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from fracture_core.network.graph import Graph, GraphError, Node, same_padding
from fracture_core.network.weights import layer_keys


def graph_from_keras(model: keras.Model) -> Graph:
    """Describe a flat functional Keras model with named outputs.

    Args:
        model: The network.

    Returns:
        The graph.

    Raises:
        GraphError: It has a layer that cannot be described.
    """
    keys = layer_keys(model)
    nodes: list[Node] = []
    finished: dict[str, str] = {}  # a layer's name -> the node that ends it
    for layer in model.layers:
        sources = tuple(finished[name] for name in _source_names(layer))
        added = _nodes(layer, keys[layer.name], sources)
        nodes += added
        finished[layer.name] = added[-1].name if added else sources[0]
    outputs = {name: finished[tensor._keras_history.operation.name] for name, tensor in model.output.items()}
    return Graph(tuple(nodes), outputs)


def _source_names(layer: keras.layers.Layer) -> list[str]:
    if isinstance(layer, keras.layers.InputLayer):
        return []
    tensors = layer.input if isinstance(layer.input, (list, tuple)) else [layer.input]
    return [tensor._keras_history.operation.name for tensor in tensors]


def _nodes(layer: keras.layers.Layer, key: str, sources: tuple[str, ...]) -> list[Node]:
    kind = type(layer).__name__
    if kind == "Dropout" or (kind == "Activation" and layer.activation.__name__ == "linear"):
        return []
    if kind in _SIMPLE:
        operation, attributes = _SIMPLE[kind]
        return [Node(key, operation, sources, attributes(layer))]
    if kind in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "Dense"):
        return _weighted(layer, kind, key, sources)
    raise GraphError(f"The network has a layer that the engine does not know: {kind}.")


def _weighted(layer: keras.layers.Layer, kind: str, key: str, sources: tuple[str, ...]) -> list[Node]:
    bias = {"bias": bool(layer.use_bias)}
    if kind == "Dense":
        nodes = [Node(key, "dense", sources, bias)]
    elif kind == "Conv2DTranspose":
        if tuple(layer.kernel_size) != tuple(layer.strides) or layer.padding != "valid":
            raise GraphError("The network has a transposed convolution whose kernel is not its stride.")
        nodes = [Node(key, "split_convolution", sources, {"factor": layer.strides[0], **bias})]
    elif kind == "SeparableConv2D":
        first = Node(f"{key}.depthwise", "depthwise_convolution", sources, {**_window(layer), "bias": False})
        point = {"strides": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1]}
        nodes = [first, Node(f"{key}.pointwise", "convolution", (first.name,), {**point, **bias})]
    else:
        operation = "convolution" if kind == "Conv2D" else "depthwise_convolution"
        nodes = [Node(key, operation, sources, {**_window(layer), **bias})]
    activation = layer.activation.__name__
    if activation != "linear":
        nodes.append(Node(f"{key}.{activation}", "activation", (nodes[-1].name,), {"function": activation}))
    return nodes


def _window(layer: keras.layers.Layer) -> dict:
    """Return strides, dilation and explicit padding (top, bottom, left, right) of a convolution or a pooling."""
    strides = list(layer.strides)
    dilation = list(getattr(layer, "dilation_rate", (1, 1)))
    window = getattr(layer, "kernel_size", None) or layer.pool_size
    padding = [0, 0, 0, 0]
    if layer.padding == "same":
        _, height, width, _ = layer.input.shape
        reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
        padding = [
            *same_padding(height, reach[0], strides[0]),
            *same_padding(width, reach[1], strides[1]),
        ]
    return {"strides": strides, "padding": padding, "dilation": dilation}


def _pool(layer: keras.layers.Layer) -> dict:
    window = _window(layer)
    if type(layer).__name__ == "AveragePooling2D" and any(window["padding"]):
        raise GraphError("The network has a padded average pooling, which the engine does not know.")
    return {"window": list(layer.pool_size), "strides": window["strides"], "padding": window["padding"]}


def _upsample(layer: keras.layers.UpSampling2D) -> dict:
    if layer.interpolation != "nearest" or layer.size[0] != layer.size[1]:
        raise GraphError("The network has an upsampling other than nearest, which the engine does not know.")
    return {"factor": int(layer.size[0])}


_SIMPLE: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "InputLayer": ("input", lambda layer: {"shape": [int(n) for n in layer.output.shape[1:]]}),
    "Rescaling": ("rescale", lambda layer: {"scale": list(layer.scale), "offset": list(layer.offset)}),
    "BatchNormalization": (
        "batch_norm",
        lambda layer: {"epsilon": float(layer.epsilon), "scale": bool(layer.scale)},
    ),
    "Activation": ("activation", lambda layer: {"function": layer.activation.__name__}),
    "ZeroPadding2D": ("pad", lambda layer: {"padding": [int(n) for side in layer.padding for n in side]}),
    "MaxPooling2D": ("max_pool", _pool),
    "AveragePooling2D": ("average_pool", _pool),
    "GlobalAveragePooling2D": ("global_average_pool", lambda layer: {"keepdims": bool(layer.keepdims)}),
    "UpSampling2D": ("upsample", _upsample),
    "Concatenate": ("concatenate", lambda layer: {}),
    "Add": ("add", lambda layer: {}),
    "Multiply": ("multiply", lambda layer: {}),
    "Reshape": ("reshape", lambda layer: {"shape": [int(n) for n in layer.target_shape]}),
    "LogMeanExpPool": ("log_mean_exp_pool", lambda layer: {"sharpness": layer.sharpness}),
}
