"""A network rebuilt node by node as an OpenVINO model, from its description and its weights alone.

Tensors inside are (N, C, H, W), as OpenVINO wants them; the input and the outputs keep Keras's (N, H, W, C).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import openvino
from openvino import opset1
from openvino import opset13 as ops

from fracture_core.graph import Graph, GraphError, Node

_CONVOLUTIONS = ("convolution", "depthwise_convolution")
# How a kernel's axes go from Keras to OpenVINO.
_AXES = {
    "convolution": (3, 2, 0, 1),
    "depthwise_convolution": (2, 3, 0, 1),
    "split_convolution": (3, 2, 0, 1),
    "dense": (0, 1),
}


def openvino_graph(graph: Graph, weights: Mapping[str, np.ndarray], batch: int = 1) -> openvino.Model:
    """Rebuild a network for batches of `batch` pictures, or of any number where it is -1.

    Input: float32 (N, S, S, 1), 0..255, named "radiograph". Outputs, in the order and by the names of
    `graph.outputs`: maps float32 (N, h, w, C), vectors (N, C). Raises GraphError where a weight is missing.
    """
    graph.check_weights(weights)
    return _Builder(graph, weights).build(batch)


class _Builder:
    """One pass over the nodes, with what comes before or after a convolution folded into it."""

    def __init__(self, graph: Graph, weights: Mapping[str, np.ndarray]):
        self.graph = graph
        self.weights = weights
        self.values: dict[str, openvino.Node] = {}
        self.nodes = {node.name: node for node in graph.nodes}
        readers = Counter(name for node in graph.nodes for name in node.inputs) + Counter(graph.outputs.values())
        pairs = [(self.nodes[n.inputs[0]], n) for n in graph.nodes if n.inputs and readers[n.inputs[0]] == 1]
        # Both ends of a fold are named, the inner one by what replaces it.
        self.norm_of = {a.name: b for a, b in pairs if a.operation in _CONVOLUTIONS and b.operation == "batch_norm"}
        self.pad_of = {b.name: a for a, b in pairs if a.operation == "pad" and b.operation in _CONVOLUTIONS}

    def build(self, batch: int) -> openvino.Model:
        height, width = self.graph.input_size
        channels = self.graph.nodes[0].attributes["shape"][2]
        radiograph = ops.parameter([batch, height, width, channels], np.float32, name="radiograph")
        radiograph.output(0).set_names({"radiograph"})
        self.values[self.graph.nodes[0].name] = ops.transpose(radiograph, [0, 3, 1, 2])
        for node in self.graph.nodes[1:]:
            made = self._build_node(node)
            made.set_friendly_name(node.name)
            self.values[node.name] = made
        results = [self._result(name, node) for name, node in self.graph.outputs.items()]
        return openvino.Model(results, [radiograph], "network")

    def _result(self, name: str, node: str) -> openvino.Node:
        value = self.values[node]
        if len(value.output(0).get_partial_shape()) == 4:
            value = ops.transpose(value, [0, 2, 3, 1])
        value.output(0).add_names({name})
        return ops.result(value, name=name)

    def _build_node(self, node: Node) -> openvino.Node:
        inputs = [self.values[name] for name in node.inputs]
        if node.name in {bn.name for bn in self.norm_of.values()} or node.name in {
            p.name for p in self.pad_of.values()
        }:
            return inputs[0]
        a, x = node.attributes, inputs[0]
        match node.operation:
            case "convolution" | "depthwise_convolution":
                return self._convolution(node, x)
            case "split_convolution":
                return self._biased(node, ops.convolution_backprop_data(x, self._kernel(node), [a["factor"]] * 2))
            case "dense":
                product = ops.matmul(x, self._kernel(node), False, False)
                return ops.add(product, self.weights[f"{node.name}/bias"]) if a["bias"] else product
            case "batch_norm":
                scale, offset = _scale_and_offset(node, self.weights)
                return ops.add(ops.multiply(x, _channels(scale)), _channels(offset))
            case "rescale":
                return ops.add(ops.multiply(x, _channels(a["scale"])), _channels(a["offset"]))
            case "activation":
                return _activate(a["function"], x)
            case "pad":
                top, bottom, left, right = a["padding"]
                return ops.pad(x, [0, 0, top, left], [0, 0, bottom, right], "constant", np.float32(0))
        return _weightless(node, inputs)

    def _convolution(self, node: Node, x: openvino.Node) -> openvino.Node:
        a = node.attributes
        padding = np.array(a["padding"])
        if pad := self.pad_of.get(node.name):
            padding = padding + pad.attributes["padding"]
        top, bottom, left, right = map(int, padding)
        kernel = self._kernel(node)
        if node.operation == "depthwise_convolution":
            # (C, M, h, w): C groups of one input and M outputs.
            kernel, operation = kernel[:, :, None], ops.group_convolution
        else:
            operation = ops.convolution
        kernel = ops.constant(kernel, shared_memory=True)
        return self._biased(node, operation(x, kernel, a["strides"], [top, left], [bottom, right], a["dilation"]))

    def _kernel(self, node: Node) -> np.ndarray:
        """The kernel with its axes in OpenVINO's order, times the scale of a folded batch normalisation."""
        kernel = np.transpose(self.weights[f"{node.name}/kernel"], _AXES[node.operation])
        if norm := self.norm_of.get(node.name):
            scale = _scale_and_offset(norm, self.weights)[0]
            outputs = kernel.shape[:2] if node.operation == "depthwise_convolution" else (len(scale), 1)
            kernel = kernel * scale.reshape(*outputs, 1, 1)
        return np.ascontiguousarray(kernel, np.float32)

    def _biased(self, node: Node, x: openvino.Node) -> openvino.Node:
        norm = self.norm_of.get(node.name)
        bias = self.weights[f"{node.name}/bias"] if node.attributes["bias"] else None
        if norm:
            scale, offset = _scale_and_offset(norm, self.weights)
            bias = offset if bias is None else bias * scale + offset
        return x if bias is None else ops.add(x, _channels(bias))


def _channels(values: np.ndarray | list[float]) -> np.ndarray:
    """Float32 (1, C, 1, 1)."""
    return np.asarray(values, np.float32).reshape(1, -1, 1, 1)


def _scale_and_offset(node: Node, weights: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalisation at inference as x * scale + offset, float64 (C,) each."""
    beta, mean, variance = (weights[f"{node.name}/{part}"].astype(np.float64) for part in ("beta", "mean", "variance"))
    scale = 1 / np.sqrt(variance + node.attributes["epsilon"])
    if node.attributes.get("scale", True):
        scale = scale * weights[f"{node.name}/gamma"]
    return scale, beta - mean * scale


def _activate(function: str, x: openvino.Node) -> openvino.Node:
    match function:
        case "relu":
            return ops.relu(x)
        case "silu":
            return ops.swish(x)
        case "sigmoid":
            return ops.sigmoid(x)
    raise GraphError(f"The engine does not know the activation {function!r}.")


def _weightless(node: Node, inputs: list[openvino.Node]) -> openvino.Node:
    a, x = node.attributes, inputs[0]
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
        case "concatenate":
            return ops.concat(inputs, 1)
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
        case "log_mean_exp_pool":
            top = ops.reduce_max(x, [2, 3], True)
            mean = ops.reduce_mean(ops.exp(ops.subtract(x, top)), [2, 3], False)
            return ops.add(ops.log(mean), ops.squeeze(top, np.array([2, 3])))
    raise GraphError(f"The engine does not know the operation {node.operation!r}.")
