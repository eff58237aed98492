"""The last part of a network, from the layer that heatmaps explain to the logit that is shown, as plain arrays.

Its gradient is known without differentiating: every step from that layer to the logit is a small product, a ReLU or a
pooling. So a heatmap costs next to nothing beyond the forward pass, and needs no deep-learning framework.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


class EvidenceHead(ABC):
    """The way from one layer's maps to the logit; `layer` names the output that holds the maps."""

    layer: str

    @abstractmethod
    def gradient(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the gradient of the logit with respect to the layer's maps.

        Args:
            outputs: One image's network outputs by name, among them `layer`, float32 (h, w, C).

        Returns:
            The gradient, float32 (h, w, C).
        """


@dataclass(frozen=True, eq=False)
class AveragedMapHead(EvidenceHead):
    """Global average pooling and one dense unit: the head of a network without a localiser.

    Attributes:
        kernel: The dense unit's weights, float (C,) or (C, 1).
        layer: The output that is averaged.
    """

    kernel: np.ndarray
    layer: str = "last_map"

    def gradient(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the kernel over the number of cells, the same in every cell.

        Args:
            outputs: The network's outputs.

        Returns:
            float32 (h, w, C).
        """
        height, width, channels = outputs[self.layer].shape
        share = np.asarray(self.kernel, np.float32).reshape(channels) / (height * width)
        return np.broadcast_to(share, (height, width, channels))


@dataclass(frozen=True, eq=False)
class PooledCellsHead(EvidenceHead):
    """Cells pooled into the logit: [transposed convolution, ReLU,] 1x1 convolution, log-mean-exp pooling, one weight.

    What else adds to the logit (a global head's share) does not pass through this layer, so the gradient at this layer
    is that of the whole logit.

    Attributes:
        kernel: The 1x1 convolution that gives the cells, float (D,).
        share: The weight of the pooled cells in the logit.
        sharpness: r in log(mean(exp(r x))) / r.
        split_kernel: A transposed convolution of stride 2 before it, float (2, 2, D, C), or None; then D equals C.
        split_bias: Its bias, float (D,).
        layer: The output that the first of these steps reads.
    """

    kernel: np.ndarray
    share: float
    sharpness: float = 1.0
    split_kernel: np.ndarray | None = None
    split_bias: np.ndarray | None = None
    layer: str = "cells_mix"

    def gradient(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the gradient, by a backward pass through these few steps.

        Args:
            outputs: The network's outputs.

        Returns:
            float32 (h, w, C).
        """
        maps, cells = outputs[self.layer], outputs["cells"]
        scaled = self.sharpness * cells.reshape(cells.shape[:2])
        weights = np.exp(scaled - scaled.max())
        by_cell = np.float32(self.share) * (weights / weights.sum())
        if self.split_kernel is None or self.split_bias is None:
            return by_cell[..., None] * np.asarray(self.kernel, np.float32)
        # One row a place of the coarse map, one column for each of the 2 x 2 x D values that it is split into.
        height, width, channels = maps.shape
        split = np.ascontiguousarray(np.transpose(self.split_kernel, (3, 0, 1, 2)), np.float32).reshape(channels, -1)
        values = maps.reshape(-1, channels) @ split + np.tile(self.split_bias, 4)
        coarse = by_cell.reshape(height, 2, width, 2).transpose(0, 2, 1, 3).reshape(-1, 4)
        passed = (coarse[..., None] * np.asarray(self.kernel, np.float32)).reshape(len(values), -1) * (values > 0)
        return (passed @ split.T).reshape(maps.shape)
