"""Simplify a network for inference without changing its function: fold normalisations and padding.

Batch normalisation after a convolution becomes part of it, padding becomes the next node's own, and an average
pooling behind a 1x1 convolution moves before it, where it leaves a quarter of the work (DenseNet's transitions).
Outputs differ by rounding alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fracture_core.network.graph import Graph, Node
from fracture_core.network.weights import Weights

_CONVOLUTIONS = ("convolution", "depthwise_convolution")


def simplify(graph: Graph, weights: Mapping[str, np.ndarray]) -> tuple[Graph, Weights]:
    """Return a graph and weights with the same outputs in fewer or cheaper steps; the arguments are unchanged.

    Args:
        graph: The network.
        weights: Its weights by key.

    Returns:
        The new graph and weights.

    Raises:
        GraphError: A weight is missing or damaged.
    """
    graph.check_weights(weights)
    fused = dict(weights)
    nodes: dict[str, Node] = {}
    readers = Counter(name for node in graph.nodes for name in node.inputs) + Counter(graph.outputs.values())
    for node in graph.nodes:
        before = nodes.get(node.inputs[0]) if node.inputs else None
        if before and readers[before.name] == 1:
            # What is merged takes the later node's name, so that its readers need not change.
            merged = _merge(before, node, nodes, fused)
            if merged:
                del nodes[before.name]
                nodes |= {merged_node.name: merged_node for merged_node in merged}
                continue
        nodes[node.name] = node
    return Graph(tuple(nodes.values()), graph.outputs), fused


def _merge(before: Node, node: Node, nodes: Mapping[str, Node], weights: Weights) -> tuple[Node, ...] | None:
    """Return what replaces `before` and `node`, or None if they must stay; `weights` change with them."""
    if before.operation in _CONVOLUTIONS and node.operation == "batch_norm":
        return (_normalised(before, node, weights),)
    if before.operation == "pad":
        source = nodes[before.inputs[0]]
        # Behind a ReLU a border of zeros and one of minus infinity have the same maximum.
        positive = source.operation == "activation" and source.attributes["function"] == "relu"
        if node.operation in _CONVOLUTIONS or (node.operation == "max_pool" and positive and _covers(node, before)):
            padding = [a + b for a, b in zip(before.attributes["padding"], node.attributes["padding"], strict=True)]
            return (replace(node, inputs=before.inputs, attributes={**node.attributes, "padding": padding}),)
    if before.operation == "convolution" and node.operation == "average_pool" and _pointwise(before, weights):
        # Both are linear, and a 1x1 convolution treats all places alike, so they commute; the names swap too.
        pool = replace(node, name=before.name, inputs=before.inputs)
        _rename(weights, before.name, node.name)
        return pool, replace(before, name=node.name, inputs=(pool.name,))
    return None


def _covers(pool: Node, pad: Node) -> bool:
    """Whether every window of the pooling holds at least one true pixel."""
    top, bottom, left, right = pad.attributes["padding"]
    height, width = pool.attributes["window"]
    return max(top, bottom) < height and max(left, right) < width


def _pointwise(node: Node, weights: Mapping[str, np.ndarray]) -> bool:
    a = node.attributes
    pointwise = weights[f"{node.name}/kernel"].shape[:2] == (1, 1)
    return pointwise and tuple(a["strides"]) == (1, 1) and not any(a["padding"])


def _rename(weights: Weights, old: str, new: str) -> None:
    for part in ("kernel", "bias"):
        if f"{old}/{part}" in weights:
            weights[f"{new}/{part}"] = weights.pop(f"{old}/{part}")


def _normalised(convolution: Node, norm: Node, weights: Weights) -> Node:
    scale, offset = scale_and_offset(norm, weights)
    kernel = weights.pop(f"{convolution.name}/kernel")
    # Depthwise kernels (h, w, C, M) have their outputs in the last two axes, others (h, w, C, out) in the last.
    depthwise = convolution.operation == "depthwise_convolution"
    per_output = (scale.reshape(kernel.shape[2:]) if depthwise else scale).astype(np.float32)
    if convolution.attributes["bias"]:
        offset = offset + weights.pop(f"{convolution.name}/bias") * scale
    weights[f"{norm.name}/kernel"] = kernel * per_output
    weights[f"{norm.name}/bias"] = offset.astype(np.float32)
    return replace(convolution, name=norm.name, attributes={**convolution.attributes, "bias": True})


def scale_and_offset(norm: Node, weights: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Express batch normalisation at inference as x * scale + offset.

    Args:
        norm: The node.
        weights: The network's weights by key.

    Returns:
        Scale and offset, float64 (C,) each.
    """
    beta, mean, variance = (weights[f"{norm.name}/{part}"].astype(np.float64) for part in ("beta", "mean", "variance"))
    scale = 1 / np.sqrt(variance + norm.attributes["epsilon"])
    if norm.attributes.get("scale", True):
        scale = scale * weights[f"{norm.name}/gamma"]
    return scale, beta - mean * scale
