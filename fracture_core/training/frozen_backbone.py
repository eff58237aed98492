"""Split a network into the frozen blocks, which the inference engine can run, and the layers that train."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from fracture_core.errors import FractureCoreError
from fracture_core.network.graph import Graph
from fracture_core.network.keras_graph import graph_from_keras
from fracture_core.network.weights import Weights, weights_of


class FeaturesError(FractureCoreError):
    """Features that cannot be stored: too large for the limit, or for the disk."""


@dataclass(frozen=True)
class FrozenBackbone:
    """The blocks that do not train, as the engine runs them, and the Keras model of those that do.

    The outputs of `graph` are the maps at the boundary; they are the inputs of `trainable`, a list in the order of
    `names`.
    """

    names: tuple[str, ...]
    graph: Graph
    weights: Weights
    trainable: keras.Model


def split_at_boundary(model: keras.Model) -> FrozenBackbone:
    """Split a model where frozen layers feed trainable ones.

    Describe or save the whole model first, or from its layers: afterwards its trainable layers belong to two models.

    Args:
        model: The network, after `train_last_blocks`.

    Returns:
        Its two parts.

    Raises:
        FeaturesError: Nothing is frozen.
    """
    boundary: dict[str, keras.KerasTensor] = {}
    for layer in model.layers:
        if not layer.trainable or isinstance(layer, keras.layers.InputLayer):
            continue
        for tensor in layer.input if isinstance(layer.input, (list, tuple)) else [layer.input]:
            source = tensor._keras_history.operation
            if not source.trainable:
                boundary[source.name] = tensor
            elif isinstance(source, keras.layers.InputLayer):
                raise FeaturesError("Cached features need frozen blocks: set trainable_blocks below the whole network.")
    frozen = keras.Model(model.input, boundary)
    # If the whole backbone is frozen, its last map is an input here.
    outputs = {name: tensor for name, tensor in model.output.items() if tensor._keras_history.operation.trainable}
    if outputs["logit"] is outputs["global_logit"]:
        # Without a localiser the two are one tensor, and Keras builds no model that starts at a map and gives it twice.
        outputs["logit"] = keras.layers.Activation("linear", dtype="float32")(outputs["global_logit"])
    trainable = keras.Model(list(boundary.values()), outputs, name=f"{model.name}_trainable")
    return FrozenBackbone(tuple(boundary), graph_from_keras(frozen), weights_of(frozen), trainable)
