"""Rebuild a network node by node as an OpenVINO model, from its graph and weights alone.

Tensors inside are (N, C, H, W), as OpenVINO wants them; the input and the outputs keep Keras's (N, H, W, C).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import openvino
from openvino import opset1
from openvino import opset13 as ops

from fracture_core.inference.graph_fusion import scale_and_offset, simplify
from fracture_core.network.graph import Graph, GraphError, Node

# The order of a kernel's axes, from Keras to OpenVINO.
_AXES = {
    "convolution": (3, 2, 0, 1),
    "depthwise_convolution": (2, 3, 0, 1),
    "split_convolution": (3, 2, 0, 1),
    "dense": (0, 1),
}

#: Largest map between two layers, in values an image: DenseNet121's at 1,024 pixels takes a quarter.
_MOST_VALUES = 2**26


def openvino_graph(graph: Graph, weights: Mapping[str, np.ndarray], batch: int = -1) -> openvino.Model:
    """Rebuild a network, simplified, in OpenVINO.

    Input: float32 (N, S, S, 1), 0..255, named "radiograph". Outputs, in the order and by the names of `graph.outputs`:
    maps float32 (N, h, w, C), vectors (N, C).

    Args:
        graph: The network.
        weights: Its weights by key.
        batch: Images per batch; -1 for any number.

    Returns:
        The OpenVINO model.

    Raises:
        GraphError: A weight is missing or the description is damaged.
    """
    try:
        return _rebuild(*simplify(graph, weights), batch)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:  # OpenVINO's own errors are RuntimeErrors
        raise GraphError("The network description is damaged, or its weights belong to another network.") from error


def _rebuild(graph: Graph, weights: Mapping[str, np.ndarray], batch: int) -> openvino.Model:
    shape = graph.nodes[0].attributes["shape"]
    radiograph = ops.parameter([batch, *shape], np.float32, name="radiograph")
    radiograph.output(0).set_names({"radiograph"})
    values = {graph.nodes[0].name: ops.transpose(radiograph, [0, 3, 1, 2])}
    for node in graph.nodes[1:]:
        values[node.name] = _build(node, [values[name] for name in node.inputs], weights)
        values[node.name].set_friendly_name(node.name)
        if int(np.prod(_lengths(values[node.name]), dtype=object)) > _MOST_VALUES:
            raise GraphError(f"The network would fill the memory at the layer {node.name[:60]!r}.")
    _check_outputs({name: _lengths(values[node]) for name, node in graph.outputs.items()})
    results = [_result(name, values[node]) for name, node in graph.outputs.items()]
    return openvino.Model(results, [radiograph], "network")


def _lengths(value: openvino.Node) -> list[int]:
    """(C,) or (C, H, W) of one image."""
    return [length.get_max_length() for length in list(value.output(0).get_partial_shape())[1:]]


def _check_outputs(shapes: Mapping[str, list[int]]) -> None:
    """Raise ValueError where an output that has a meaning is not of the shape which that meaning has."""
    channels = shapes.get("embedding", [])
    sound = {
        "logit": lambda shape: shape == [1],
        "global_logit": lambda shape: shape == [1],
        "embedding": lambda shape: len(shape) == 1,
        "last_map": lambda shape: len(shape) == 3 and channels in ([], shape[:1]),
        "middle_map": lambda shape: len(shape) == 3,
        "cells": lambda shape: len(shape) == 3 and shape[0] == 1,
    }
    for name in sound.keys() & shapes.keys():
        if not sound[name](shapes[name]):
            raise ValueError(f"{name} has the shape {shapes[name]}")


def _result(name: str, value: openvino.Node) -> openvino.Node:
    if len(value.output(0).get_partial_shape()) == 4:
        value = ops.transpose(value, [0, 2, 3, 1])
    value.output(0).add_names({name})
    return ops.result(value, name=name)


def _build(node: Node, inputs: Sequence[openvino.Node], weights: Mapping[str, np.ndarray]) -> openvino.Node:
    a, x = node.attributes, inputs[0]
    match node.operation:
        case "convolution" | "depthwise_convolution" | "split_convolution" | "dense":
            output = _weighted(node, x, weights)
            return ops.add(output, _channels(weights[f"{node.name}/bias"], output)) if a["bias"] else output
        case "batch_norm":
            scale, offset = scale_and_offset(node, weights)
            return ops.add(ops.multiply(x, _channels(scale, x)), _channels(offset, x))
        case "rescale":
            return ops.add(ops.multiply(x, _channels(a["scale"], x)), _channels(a["offset"], x))
        case "activation":
            return _activate(a["function"], x)
        case "pad":
            top, bottom, left, right = a["padding"]
            return ops.pad(x, [0, 0, top, left], [0, 0, bottom, right], "constant", np.float32(0))
        case "concatenate":
            return ops.concat(list(inputs), 1)
        case "add":
            total = x
            for other in inputs[1:]:
                total = ops.add(total, other)
            return total
        case "multiply":
            return ops.multiply(x, inputs[1])
        case "reshape":
            height, width, channels = a["shape"]
            if (height, width) != (1, 1):
                raise GraphError("The network reshapes a map, which the engine does not know.")
            return ops.reshape(x, np.array([-1, channels, 1, 1]), False)
    return _resized(node, x)


def _weighted(node: Node, x: openvino.Node, weights: Mapping[str, np.ndarray]) -> openvino.Node:
    a = node.attributes
    kernel = np.transpose(weights[f"{node.name}/kernel"], _AXES[node.operation])
    if node.operation == "depthwise_convolution":
        kernel = kernel[:, :, None]  # (C, M, 1, h, w): C groups of one input and M outputs
    # A bare array would go through a Python list on its way, which takes ten times as long.
    kernel = ops.constant(np.ascontiguousarray(kernel, np.float32), shared_memory=True)
    if node.operation == "dense":
        return ops.matmul(x, kernel, False, False)
    if node.operation == "split_convolution":
        return ops.convolution_backprop_data(x, kernel, [a["factor"]] * 2)
    top, bottom, left, right = a["padding"]
    window = (a["strides"], [top, left], [bottom, right], a["dilation"])
    convolve = ops.convolution if node.operation == "convolution" else ops.group_convolution
    return convolve(x, kernel, *window)


def _channels(values: np.ndarray | list[float], x: openvino.Node) -> np.ndarray:
    """One value a channel, float32, in the shape that broadcasts over x: (1, C) or (1, C, 1, 1)."""
    rank = len(x.output(0).get_partial_shape())
    return np.asarray(values, np.float32).reshape(1, -1, *[1] * (rank - 2))


def _activate(function: str, x: openvino.Node) -> openvino.Node:
    match function:
        case "relu":
            return ops.relu(x)
        case "relu6":
            return ops.clamp(x, 0.0, 6.0)
        case "silu":
            return ops.swish(x)
        case "sigmoid":
            return ops.sigmoid(x)
    raise GraphError(f"The engine does not know the activation {function!r}.")


def _resized(node: Node, x: openvino.Node) -> openvino.Node:
    """Build an operation without weights that changes a map's height and width."""
    a = node.attributes
    match node.operation:
        case "max_pool":
            top, bottom, left, right = a["padding"]
            # Version 1 of the operation: later ones have a second output, of places, that nothing here reads.
            return opset1.max_pool(x, a["strides"], [top, left], [bottom, right], a["window"])
        case "average_pool":
            return ops.avg_pool(x, a["strides"], [0, 0], [0, 0], a["window"], True)
        case "global_average_pool":
            return ops.reduce_mean(x, [2, 3], a["keepdims"])
        case "upsample":
            scales = np.array([a["factor"]] * 2, np.float32)
            modes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            return ops.interpolate(x, scales, "nearest", "scales", axes=np.array([2, 3]), **modes)
        case "log_mean_exp_pool":
            sharpness = np.float32(a.get("sharpness", 1.0))
            if not 0 < sharpness < np.inf:
                raise GraphError(f"The network pools its cells with a sharpness of {sharpness}, which is invalid.")
            top = ops.reduce_max(x, [2, 3], True)
            above = ops.multiply(ops.subtract(x, top), sharpness)
            mean = ops.reduce_mean(ops.exp(above), [2, 3], False)
            return ops.add(ops.divide(ops.log(mean), sharpness), ops.squeeze(top, np.array([2, 3])))
    raise GraphError(f"The engine does not know the operation {node.operation!r}.")
