"""Batch normalisation's statistics of averaged weights, measured anew on training radiographs.

Averaging weights over steps leaves the statistics of the networks that were averaged, and those of random views are not
those of the radiographs that are read. Measuring them again costs a forward pass and no label (Izmailov et al. 2018,
"Averaging Weights Leads to Wider Optima and Better Generalization", section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch

from fracture_core.data.image_pyramid import ImagePyramid
from fracture_core.data.random_views import random_view
from fracture_core.imaging.letterbox import letterbox
from fracture_core.network.graph import Graph
from fracture_core.network.weights import Weights
from fracture_core.pretraining.torch_model import GraphModule

_BATCH = 32


def measured_again(graph: Graph, weights: Mapping[str, np.ndarray], batches: Iterable[np.ndarray]) -> Weights:
    """Measure the mean and variance of every normalisation layer again, on images.

    Args:
        graph: The network.
        weights: Its weights, float32.
        batches: Letterboxed images, uint8 (n, S, S); each batch counts the same.

    Returns:
        A copy of the weights with the new statistics, float32.
    """
    network = GraphModule(graph, weights).to(memory_format=torch.channels_last).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over batches
    with torch.no_grad():
        for squares in batches:
            network(torch.from_numpy(squares[:, None].astype(np.float32)))
    return network.export()


def reading_batches(
    images: Mapping[str, ImagePyramid], labels: Mapping[str, int], size: int, count: int, seed: int
) -> Iterator[np.ndarray]:
    """Yield training radiographs in batches: half of them letterboxed as at inference, half as random views.

    Args:
        images: Radiographs by id.
        labels: 1 fractured, 0 not, by id.
        size: Side S of the letterboxed images, pixels.
        count: Number of radiographs, at most all of them.
        seed: Which radiographs, and their views.

    Yields:
        uint8 (n, S, S).
    """
    rng = np.random.default_rng([seed, count])
    ids = rng.choice(list(images), min(count, len(images)), replace=False)
    for start in range(0, len(ids), _BATCH):
        squares = []
        for image_id in ids[start : start + _BATCH]:
            source = images[image_id]
            if rng.random() < 0.5:
                squares.append(letterbox(source.levels[0], size)[0])
            else:
                squares.append(random_view(source, bool(labels[image_id]), size, rng).square)
        yield np.stack(squares)
