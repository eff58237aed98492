"""A small network in plain numpy, for computers on which OpenVINO does not run, and to check it by.

It knows what the trunks of EfficientNet-Lite are made of. Slow for a large network, a few milliseconds for a small one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fracture_core.inference.graph_fusion import scale_and_offset
from fracture_core.network.graph import Graph, GraphError, Node


class PlainEngine:
    """A network that numpy runs, with the interface of `inference.engine.Engine`."""

    def __init__(self, graph: Graph, weights: Mapping[str, np.ndarray]):
        self.graph = graph
        self._weights = weights

    def run(self, squares: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network.

        Args:
            squares: Letterboxed images, uint8 or float32 (n, S, S), 0..255.

        Returns:
            Every output by name, float32: maps (n, h, w, C).

        Raises:
            GraphError: It has an operation that is not known here.
        """
        values: dict[str, np.ndarray] = {}
        for node in self.graph.nodes:
            if node.operation == "input":
                values[node.name] = np.asarray(squares, np.float32)[..., None]
            else:
                values[node.name] = self._apply(node, [values[name] for name in node.inputs])
        return {name: values[node] for name, node in self.graph.outputs.items()}

    def _apply(self, node: Node, inputs: Sequence[np.ndarray]) -> np.ndarray:
        a, x = node.attributes, inputs[0]
        match node.operation:
            case "concatenate":
                return np.concatenate(inputs, axis=-1)
            case "add":
                return np.asarray(np.sum(inputs, axis=0), np.float32)
            case "rescale":
                return x * np.asarray(a["scale"], np.float32) + np.asarray(a["offset"], np.float32)
            case "batch_norm":
                scale, offset = scale_and_offset(node, self._weights)
                return x * np.asarray(scale, np.float32) + np.asarray(offset, np.float32)
            case "activation" if a["function"] in ("relu", "relu6"):
                return np.clip(x, 0, 6 if a["function"] == "relu6" else None)
            case "convolution" | "depthwise_convolution" if not a["bias"] and list(a["dilation"]) == [1, 1]:
                return _convolved(x, self._weights[f"{node.name}/kernel"], node)
        raise GraphError(f"This network needs OpenVINO: numpy does not know its layer {node.name!r}.")


def _convolved(x: np.ndarray, kernel: np.ndarray, node: Node) -> np.ndarray:
    top, bottom, left, right = node.attributes["padding"]
    down, across = node.attributes["strides"]
    height, width = kernel.shape[:2]
    x = np.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)])
    windows = sliding_window_view(x, (height, width), (1, 2))[:, ::down, ::across]  # (n, h, w, C, kh, kw)
    if node.operation == "depthwise_convolution":
        return np.einsum("nhwcij,ijc->nhwc", windows, kernel[..., 0], optimize=True)
    return np.tensordot(windows, kernel, ([4, 5, 3], [0, 1, 2])).astype(np.float32, copy=False)
