"""A network as plain data: nodes, attributes and named outputs, independent of any framework.

Keras builds and trains the network; a bundle keeps this description beside the weights, so that the inference engine
(and PyTorch, for pre-training) can rebuild the same arithmetic without importing TensorFlow, and so that nothing in a
bundle is code. Tensors are (N, H, W, C) in this description, as in Keras.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fracture_core.errors import FractureCoreError

FORMAT = 1

#: Every operation a network may contain, with the weights each one needs.
OPERATIONS: dict[str, tuple[str, ...]] = {
    "input": (),
    "rescale": (),
    "convolution": ("kernel",),
    "split_convolution": ("kernel",),
    "depthwise_convolution": ("kernel",),
    "batch_norm": ("beta", "mean", "variance"),
    "activation": (),
    "pad": (),
    "max_pool": (),
    "average_pool": (),
    "global_average_pool": (),
    "upsample": (),
    "concatenate": (),
    "add": (),
    "reshape": (),
    "multiply": (),
    "dense": ("kernel",),
    "log_mean_exp_pool": (),
}


#: Larger than any attribute of a layer: sizes, strides, scales.
_LARGEST = 1e6


class GraphError(FractureCoreError):
    """A network description that cannot be run: unknown format or operation, or a missing or misshapen weight."""


@dataclass(frozen=True)
class Node:
    """One operation: its name, kind, the names of its inputs, and its fixed attributes."""

    name: str
    operation: str
    inputs: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """Nodes ordered so that each reads only earlier ones; `outputs` maps a public name to a node's name."""

    nodes: tuple[Node, ...]
    outputs: Mapping[str, str]

    def with_outputs(self, more: Mapping[str, str]) -> Graph:
        """Return the same network with more outputs.

        Args:
            more: Node names by public name.

        Returns:
            The new graph.

        Raises:
            GraphError: There is no such node.
        """
        graph = Graph(self.nodes, {**self.outputs, **more})
        graph._check_order()
        return graph

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the network's input, in pixels."""
        height, width, _ = self.nodes[0].attributes["shape"]
        return int(height), int(width)

    def at_size(self, size: int) -> Graph:
        """Return the same network for images of another size.

        The networks here are convolutional, and the padding is the same for every multiple of 32.

        Args:
            size: Side of the images, in pixels.

        Returns:
            The new graph.

        Raises:
            GraphError: The size is not a multiple of 32.
        """
        if size < 32 or size % 32:
            raise GraphError(f"A network cannot read images of {size} pixels: give a multiple of 32.")
        first = self.nodes[0]
        first = replace(first, attributes={**first.attributes, "shape": [size, size, 1]})
        return Graph((first, *self.nodes[1:]), self.outputs)

    def to_json(self) -> dict[str, Any]:
        """Return plain data; `Graph.from_json` is its inverse.

        Returns:
            The graph as plain data.
        """
        nodes = [
            {"name": n.name, "operation": n.operation, "inputs": list(n.inputs), **dict(n.attributes)}
            for n in self.nodes
        ]
        return {"format": FORMAT, "nodes": nodes, "outputs": dict(self.outputs)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Graph:
        """Read what `to_json` returned.

        Args:
            data: The graph as plain data.

        Returns:
            The graph.

        Raises:
            GraphError: It contains anything that this version does not know.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            version = data.get("format") if isinstance(data, Mapping) else None
            raise GraphError(
                f"The network description has format {version!r}; this version of the program reads format {FORMAT}."
            )
        try:
            nodes = tuple(_node(entry) for entry in data["nodes"])
            graph = cls(nodes, {str(k): str(v) for k, v in data["outputs"].items()})
            if min(graph.input_size) < 1:
                raise ValueError("a image without pixels")
        except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise GraphError(f"The network description is damaged ({error}).") from error
        graph._check_order()
        return graph

    def _check_order(self) -> None:
        if not self.nodes or self.nodes[0].operation != "input":
            raise GraphError("The network description does not start with an input.")
        seen: set[str] = set()
        for node in self.nodes:
            if node.operation not in OPERATIONS:
                raise GraphError(f"The network uses an operation this version does not know: {node.operation!r}.")
            if node.name in seen or not set(node.inputs) <= seen:
                raise GraphError(f"The network description is damaged at the layer {node.name!r}.")
            seen.add(node.name)
        if not set(self.outputs.values()) <= seen:
            raise GraphError("The network description names an output that it does not contain.")

    def check_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        """Check that every weight that the graph needs is present, finite, and of the right rank.

        Args:
            weights: Arrays by key.

        Raises:
            GraphError: One is not.
        """
        ranks = {"kernel": (2, 4), "bias": (1,), "gamma": (1,), "beta": (1,), "mean": (1,), "variance": (1,)}
        for node in self.nodes:
            wanted = OPERATIONS[node.operation] + (("bias",) if node.attributes.get("bias") else ())
            if node.operation == "batch_norm" and node.attributes.get("scale", True):
                wanted += ("gamma",)
            for part in wanted:
                array = weights.get(f"{node.name}/{part}")
                if array is None:
                    raise GraphError(f"The weights lack {part!r} of the layer {node.name!r}.")
                sound = array.ndim in ranks[part] and np.isfinite(array).all()
                if not sound or (part == "variance" and (array < 0).any()):
                    raise GraphError(f"The weights hold a damaged {part!r} for the layer {node.name!r}.")


def _node(entry: Mapping[str, Any]) -> Node:
    fixed = ("name", "operation", "inputs")
    attributes = {key: value for key, value in entry.items() if key not in fixed}
    if entry["operation"] == "batch_norm" and not 0 < attributes["epsilon"] <= 1:
        raise ValueError("a normalisation's epsilon is no small number")
    # Not-a-number fails the comparison too.
    if not all(abs(number) <= _LARGEST for value in attributes.values() for number in _numbers(value)):
        raise ValueError("a number is far too large")
    return Node(str(entry["name"]), str(entry["operation"]), tuple(map(str, entry["inputs"])), attributes)


def _numbers(value: Any) -> list[float]:
    if isinstance(value, list | tuple):
        return [number for part in value for number in _numbers(part)]
    return [value] if isinstance(value, int | float) else []


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's SAME padding, which may be uneven.

    Args:
        size: Input size, in pixels.
        kernel: Kernel size, in pixels.
        stride: Stride, in pixels.

    Returns:
        (before, after), in pixels.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
