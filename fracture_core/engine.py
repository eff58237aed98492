"""The fast forward pass: OpenVINO at full precision, and TensorFlow with the same interface as its reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino

from fracture_core.errors import FractureCoreError
from fracture_core.graph import Graph
from fracture_core.openvino_graph import openvino_graph
from fracture_core.recipe import Recipe


class EngineError(FractureCoreError):
    """Pictures of the wrong shape or type, or a network that cannot be made ready on this computer."""


class Engine:
    """A network ready to run. Thread-safe: make it once and share it."""

    def __init__(
        self, graph: Graph, weights: Mapping[str, np.ndarray], *, threads: int | None = None, precision: str = "f32"
    ):
        self.graph = graph
        self._model = openvino_graph(graph, weights)
        options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        self._compiled = openvino.Core().compile_model(self._model, "CPU", options)

    def run(self, squares: np.ndarray) -> dict[str, np.ndarray]:
        """Run uint8 or float32 (n, S, S), 0..255: every graph output by name, maps (n, h, w, C), vectors (n, C)."""
        squares = checked_squares(squares, self.graph)
        rows = []
        for square in squares:
            request = self._compiled.create_infer_request()
            request.infer([square[None, :, :, None]])
            rows.append([request.get_output_tensor(i).data for i in range(len(self.graph.outputs))])
        return {
            name: np.concatenate(parts) for name, parts in zip(self.graph.outputs, zip(*rows, strict=True), strict=True)
        }

    def export(self, path: Path) -> None:
        """Write the network as OpenVINO IR (`path`.xml and .bin), for a model server."""
        openvino.save_model(self._model, path, compress_to_fp16=False)


def checked_squares(squares: np.ndarray, graph: Graph) -> np.ndarray:
    """Give float32 (n, S, S); raise EngineError where the pictures are not what the network reads."""
    height, width = graph.input_size
    if squares.ndim != 3 or squares.shape[1:] != (height, width) or squares.dtype not in (np.uint8, np.float32):
        raise EngineError(
            f"The network reads pictures of {height} x {width} grey pixels; these have the shape {squares.shape} "
            f"and the type {squares.dtype}."
        )
    return np.ascontiguousarray(squares, np.float32)


class TensorFlowEngine:
    """The same network in TensorFlow: the reference, and the fallback where OpenVINO does not run."""

    def __init__(self, recipe: Recipe, weights: Mapping[str, np.ndarray]):
        import tensorflow as tf

        from fracture_core.describe import describe
        from fracture_core.model import build_model
        from fracture_core.weights import set_weights

        model = build_model(recipe)
        set_weights(model, weights)
        self.graph = describe(model)
        self._forward = tf.function(lambda x: model(x, training=False))

    def run(self, squares: np.ndarray) -> dict[str, np.ndarray]:
        """As `Engine.run`."""
        outputs = self._forward(checked_squares(squares, self.graph)[..., None])
        return {name: outputs[name].numpy() for name in self.graph.outputs}
