"""The network that tells limb radiographs from everything else, as PyTorch trains it, and its first weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from fracture_core.inference.scope import CONTENTS
from fracture_core.network.graph import Graph
from fracture_core.network.weights import Weights
from fracture_core.pretraining.torch_model import GraphModule

SIZE = 96
_STAGE = "block5d_add"
_HIDDEN = 96


class ContentModule(torch.nn.Module):
    """The trunk, and two dense layers on the mean and the maximum of each of its channels."""

    def __init__(self, trunk: Graph, weights: Mapping[str, np.ndarray], channels: int):
        super().__init__()
        self.trunk = GraphModule(trunk, weights)
        self.hidden = torch.nn.Linear(2 * channels, _HIDDEN)
        self.output = torch.nn.Linear(_HIDDEN, len(CONTENTS) + 1)
        self.dropout = torch.nn.Dropout(0.3)

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """Run the network.

        Args:
            views: float (n, 1, 96, 96), 0..255.

        Returns:
            Logits, float32 (n, 13).
        """
        maps = self.trunk(views)["map"].float()
        features = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)
        return self.output(self.dropout(F.relu(self.hidden(features))))


def published_trunk() -> tuple[Graph, Weights, int]:
    """Build the trunk with its published weights.

    Returns:
        The graph, its weights by key, and how many channels its map has.

    Raises:
        PublishedWeightsError: The weights are not installed.
    """
    import keras  # TensorFlow takes seconds, and only this function needs it

    from fracture_core.network.efficientnet_lite import efficientnet_lite2, published_weights
    from fracture_core.network.keras_graph import graph_from_keras
    from fracture_core.network.weights import set_weights
    from fracture_core.network.weights import weights_of as keras_weights

    grey = keras.Input((SIZE, SIZE, 1))
    x = keras.layers.Concatenate()([grey, grey, grey])
    x = keras.layers.Rescaling([1 / 128] * 3, [-127 / 128] * 3)(x)
    last = efficientnet_lite2(input_tensor=x).get_layer(_STAGE).output
    model = keras.Model(grey, {"map": last})
    set_weights(model, {**keras_weights(model), **_of(model, published_weights())})
    return graph_from_keras(model), keras_weights(model), int(last.shape[-1])


def _of(model: Any, weights: Weights) -> Weights:
    names = {layer.name for layer in model.layers}
    return {key: array for key, array in weights.items() if key.rpartition("/")[0] in names}
