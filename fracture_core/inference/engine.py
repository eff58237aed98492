"""The fast forward pass: OpenVINO at full precision, and TensorFlow behind the same interface as its reference.

One image is read by all threads together. Several are read side by side, one thread each, which spares the threads
waiting for each other and on two cores takes a fifth less time an image than one batch does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

import numpy as np

from fracture_core.errors import FractureCoreError
from fracture_core.files import atomic_write
from fracture_core.network.graph import Graph
from fracture_core.recipe import Recipe

try:
    import openvino

    from fracture_core.inference.openvino_backend import openvino_graph
except ImportError:  # a processor or system that OpenVINO is not made for; TensorFlow takes its place
    openvino = None

_log = logging.getLogger(__name__)
PRECISIONS = ("f32", "bf16", "f16")


class EngineError(FractureCoreError):
    """Images of the wrong shape or type, or a network that cannot be made ready on this computer."""


class Engine:
    """A network ready to run on the processor. Thread-safe: make it once and share it.

    `threads` is how many it may use (None: as many as OpenVINO finds useful). `precision` is what it computes in;
    anything but f32 is faster on processors that have it, and no longer gives the reference's logits.

    Example:
        >>> engine = Engine(bundle.graph, bundle.weights())
        >>> engine.run(np.zeros((1, 224, 224), np.uint8))["logit"].shape
        (1, 1)
    """

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, np.ndarray],
        *,
        threads: int | None = None,
        precision: str = "f32",
    ):
        if openvino is None:
            raise EngineError("OpenVINO is not installed on this computer.")
        if precision not in PRECISIONS:
            raise EngineError(f"There is no precision {precision!r}; choose one of {', '.join(PRECISIONS)}.")
        if threads is not None and threads < 1:
            raise EngineError(f"The engine cannot run on {threads} threads; at least one is needed.")
        self.graph = graph
        self._model = openvino_graph(graph, weights, batch=1)
        self._options: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": precision}
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = threads
        self._compiled: dict[str, openvino.CompiledModel] = {}
        self._lock = Lock()

    def run(self, squares: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network.

        Args:
            squares: Letterboxed images, uint8 or float32 (n, S, S), 0..255.

        Returns:
            Every output of the graph by name, float32: maps (n, h, w, C), vectors (n, C).

        Raises:
            EngineError: The images do not fit the network.
        """
        self.check(squares)
        outputs = {name: np.empty((len(squares), *shape), np.float32) for name, shape in self.shapes.items()}
        if len(squares) == 1:
            self._run_together(squares, outputs)
        elif len(squares):
            self._run_side_by_side(squares, outputs)
        return outputs

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each output for one image, by name: (h, w, C) or (C,)."""
        return {
            name: tuple(port.get_shape())[1:]
            for name, port in zip(self.graph.outputs, self._model.outputs, strict=True)
        }

    def check(self, squares: np.ndarray) -> None:
        """Check that images fit the network.

        Args:
            squares: Letterboxed images.

        Raises:
            EngineError: They do not.
        """
        _check(squares, self.graph)

    def warm_up(self) -> None:
        """Compile for single images now, so that the first one need not wait; raise EngineError where that fails."""
        self._ready("LATENCY")

    def _run_together(self, squares: np.ndarray, outputs: Mapping[str, np.ndarray]) -> None:
        # A request of its own for each call costs some 20 microseconds, and no two threads ever share one.
        request = self._ready("LATENCY").create_infer_request()
        request.infer([_tensor(squares[0])], share_inputs=True)
        _collect(request, outputs, 0)

    def _run_side_by_side(self, squares: np.ndarray, outputs: Mapping[str, np.ndarray]) -> None:
        # Not OpenVINO's AsyncInferQueue: its callbacks need Python's lock, and hang when it is let go at a bad moment.
        compiled = self._ready("THROUGHPUT")
        ahead = min(len(squares), 2 * compiled.get_property("NUM_STREAMS"))
        requests = [compiled.create_infer_request() for _ in range(ahead)]
        for row in range(len(squares) + ahead):
            request = requests[row % ahead]
            if row >= ahead:
                request.wait()
                _collect(request, outputs, row - ahead)
            if row < len(squares):
                request.start_async([_tensor(squares[row])])

    def _ready(self, hint: str) -> openvino.CompiledModel:
        """Compile for a hint at its first use: a command that reads one file never pays for folders."""
        with self._lock:
            if hint not in self._compiled:
                options = {**self._options, "PERFORMANCE_HINT": hint}
                try:
                    self._compiled[hint] = openvino.Core().compile_model(self._model, "CPU", options)
                except RuntimeError as error:
                    raise EngineError("OpenVINO cannot make this network ready on this processor.") from error
            return self._compiled[hint]

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write OpenVINO's own format for a model server: `path` (.xml), and beside it the weights (.bin).

        The exported network takes any number of images, float32 (n, S, S, 1), 0..255, named "radiograph".

        Args:
            path: The .xml file.
        """
        path = Path(path).with_suffix(".xml")
        model = self._model.clone()
        height, width = self.graph.input_size
        model.reshape([-1, height, width, 1])
        with atomic_write(path.with_suffix(".bin")) as data, atomic_write(path) as description:
            openvino.serialize(model, description, data)


class TensorFlowEngine:
    """The same network in TensorFlow: the reference, and the fallback where OpenVINO does not run.

    `graph` is the network to run, if it gives more outputs than the recipe's own. `remark` is what to say of a finding.
    """

    remark = "OpenVINO does not run on this computer; TensorFlow read the image instead, which takes longer."

    def __init__(self, recipe: Recipe, weights: Mapping[str, np.ndarray], graph: Graph | None = None):
        import keras
        import tensorflow as tf  # takes seconds, and diagnosing needs none of it

        from fracture_core.network.keras_graph import graph_from_keras
        from fracture_core.network.model import build_model
        from fracture_core.network.weights import layer_keys, set_weights

        model = build_model(recipe)
        set_weights(model, weights)
        self.graph = graph or graph_from_keras(model)
        if graph is not None:
            layers = {key: model.get_layer(name) for name, key in layer_keys(model).items()}
            # An activation that is part of a layer is a node of its own in the description: "cells_mix.relu".
            ends = {name: node if node in layers else node.rpartition(".")[0] for name, node in graph.outputs.items()}
            model = keras.Model(model.input, {name: layers[key].output for name, key in ends.items()})
        self._shapes = {name: tuple(int(n) for n in tensor.shape[1:]) for name, tensor in model.output.items()}
        self._forward = tf.function(lambda images: model(images, training=False), reduce_retracing=True)

    def run(self, squares: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network as `Engine.run` does.

        Args:
            squares: Letterboxed images, uint8 or float32 (n, S, S), 0..255.

        Returns:
            Every output by name.
        """
        _check(squares, self.graph)
        outputs = self._forward(np.asarray(squares, np.float32)[..., None])
        return {name: outputs[name].numpy() for name in self.graph.outputs}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each output for one image, by name: (h, w, C) or (C,)."""
        return self._shapes

    def check(self, squares: np.ndarray) -> None:
        """Check that images fit the network.

        Args:
            squares: Letterboxed images, uint8 (n, S, S).

        Raises:
            EngineError: Their shape or dtype does not fit.
        """
        _check(squares, self.graph)


def ready_engine(
    graph: Graph, weights: Mapping[str, np.ndarray], recipe: Recipe, *, threads: int | None = None
) -> Engine | TensorFlowEngine:
    """Create an engine on OpenVINO, or on TensorFlow, with a line in the log, if OpenVINO cannot run the network.

    Args:
        graph: The network.
        weights: Its weights by key.
        recipe: Its recipe, for TensorFlow.
        threads: Number of threads, or None.

    Returns:
        The engine.
    """
    try:
        engine = Engine(graph, weights, threads=threads)
        engine.warm_up()
    except EngineError as error:
        _log.warning("%s TensorFlow takes its place; every reading takes longer.", error)
        return TensorFlowEngine(recipe, weights, graph)
    return engine


def _check(squares: np.ndarray, graph: Graph) -> None:
    height, width = graph.input_size
    if squares.ndim != 3 or squares.shape[1:] != (height, width) or squares.dtype not in (np.uint8, np.float32):
        raise EngineError(
            f"The network reads grey images of {height} x {width} pixels, uint8 or float32; these have the shape "
            f"{squares.shape} and the type {squares.dtype}."
        )


def _tensor(square: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(square, np.float32)[None, :, :, None]


def _collect(request: openvino.InferRequest, outputs: Mapping[str, np.ndarray], row: int) -> None:
    for place, array in enumerate(outputs.values()):
        array[row] = request.get_output_tensor(place).data[0]
