"""Heatmaps out of the forward pass: where a network's evidence for a fracture lies.

Every method weighs the last feature map by the gradient of the logit. Behind global average pooling and one dense
unit that gradient is known without differentiating: the dense kernel over the number of cells, the same in every
cell. So the maps here cost one small product, and equal what autodiff gives.

Maps are in units of evidence and signed. A Grad-CAM map sums to the global logit less its bias: each cell holds its
share, and what speaks against a fracture is below zero. Nothing is clipped or stretched here; a drawing shows the
positive part (the ReLU of Selvaraju et al. 2017) on a scale that is the same for every radiograph.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fracture_core.errors import FractureCoreError
from fracture_core.imaging.letterbox import Placement

if TYPE_CHECKING:
    import keras


class HeatmapError(FractureCoreError):
    """A method that does not exist, or that needs what the network does not give."""


class HeatmapMethod(ABC):
    """A way to turn a forward pass into a map over the radiograph."""

    title: ClassVar[str]
    sentence: ClassVar[str]
    needs: ClassVar[str] = "last_map"

    @abstractmethod
    def evidence(self, outputs: Mapping[str, np.ndarray], kernel: np.ndarray) -> np.ndarray:
        """Give the evidence of each cell, float32 (h, w), from one picture's outputs and the dense kernel (C,)."""

    def heatmap(
        self, outputs: Mapping[str, np.ndarray], kernel: np.ndarray, placement: Placement, shape: tuple[int, int]
    ) -> np.ndarray:
        """Give the evidence at each pixel of the radiograph, float32 `shape` (H, W), interpolated between cells."""
        if self.needs not in outputs:
            raise HeatmapError(f"This network has no output for the heatmap {self.title!r}; choose another method.")
        return placement.map_to_radiograph(self.evidence(outputs, kernel), shape)


class _GradientMethod(HeatmapMethod):
    """A method that weighs feature maps by gradients; `weigh` is all that differs between them."""

    @abstractmethod
    def weigh(self, maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Weigh maps (h, w, C) by the gradients (h, w, C) of the logit with respect to them: float32 (h, w)."""

    def evidence(self, outputs: Mapping[str, np.ndarray], kernel: np.ndarray) -> np.ndarray:
        """Give the evidence of each cell with the gradient in closed form: kernel / (h w) in every cell."""
        maps = outputs["last_map"]
        height, width, channels = maps.shape
        gradient = np.asarray(kernel, np.float32).reshape(channels) / (height * width)
        return self.weigh(maps, np.broadcast_to(gradient, maps.shape))


class GradCAM(_GradientMethod):
    """Each channel weighs its mean gradient (Selvaraju et al. 2017); the cells sum to the logit less its bias."""

    title = "Grad-CAM"
    sentence = "How the whole-image part of the score spreads over the picture; too coarse to point at a fracture."

    def weigh(self, maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Sum the maps, each times its mean gradient."""
        return maps @ gradients.mean((0, 1))


class GradCAMPlusPlus(_GradientMethod):
    """Only channels that speak for a fracture, the strong ones damped (Chattopadhyay et al. 2018, eq. 19).

    Its alpha, g^2 / (2 g^2 + g^3 sum(A)), is written as 1 / (2 + g sum(A)), which needs no constant against a
    division by zero. The cells sum to less than half of the positive evidence, not to the logit.
    """

    title = "Grad-CAM++"
    sentence = "Only what speaks for a fracture, with strong features damped so that a second spot shows as well."

    def weigh(self, maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Sum the maps, each times the sum of its positive gradients times alpha."""
        positive = np.maximum(gradients, 0)
        # The paper's maps come out of a ReLU; taking others as if they did keeps alpha between 0 and 1/2.
        alpha = 1 / (2 + positive * np.maximum(maps, 0).sum((0, 1)))
        return maps @ (alpha * positive).sum((0, 1))


class HiResCAM(_GradientMethod):
    """Each cell weighs its own gradient (Draelos and Carin 2020); behind average pooling the same as Grad-CAM."""

    title = "HiRes-CAM"
    sentence = "Feature by feature in place, without averaging; for this network it equals Grad-CAM, which checks it."

    def weigh(self, maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Multiply maps and gradients cell by cell, and sum over the channels."""
        return np.einsum("hwc,hwc->hw", maps, gradients)


class Localiser(HeatmapMethod):
    """Evidence of a cell, in nats: -log(1 - p), which is softplus of its logit.

    Summed over cells it is the evidence of a noisy-OR, -log of the probability that no cell lies on a fracture. A
    cell that is surely clean adds nothing, so a clean radiograph looks clean.
    """

    title = "Localiser"
    sentence = "What the network learned from radiologists' boxes: how surely each small region lies on a fracture."
    needs = "cells"

    def evidence(self, outputs: Mapping[str, np.ndarray], kernel: np.ndarray) -> np.ndarray:
        """Give the softplus of each cell's logit, float32 (h, w), nats; the kernel plays no part."""
        cells = outputs["cells"]
        return np.logaddexp(0, cells.reshape(cells.shape[:2])).astype(np.float32)


#: Every method, by the name that options and files use.
METHODS: dict[str, HeatmapMethod] = {
    "localiser": Localiser(),
    "grad-cam": GradCAM(),
    "grad-cam++": GradCAMPlusPlus(),
    "hires-cam": HiResCAM(),
}


def heatmap(
    method: str,
    outputs: Mapping[str, np.ndarray],
    kernel: np.ndarray,
    placement: Placement,
    shape: tuple[int, int],
) -> np.ndarray:
    """Give one radiograph's evidence, float32 `shape` (H, W), signed, in the method's units.

    `outputs` are one picture's: `last_map` (h, w, C) and, for the localiser, `cells` (h, w) logits; `kernel` is the
    dense kernel of the global head, (C,). Raises HeatmapError where there is no such method or the network lacks
    what it needs.
    """
    if method not in METHODS:
        raise HeatmapError(f"There is no heatmap method {method!r}; choose one of {', '.join(METHODS)}.")
    return METHODS[method].heatmap(outputs, kernel, placement, shape)


class AutodiffGradCAM:
    """Grad-CAM by differentiation, for any layer of a Keras model: for research, and to hold the closed form against.

    It differentiates the logit, never the sigmoid, whose gradient vanishes where the network is sure. With another
    `method` (any of the gradient ones) that method's weighing is used.
    """

    def __init__(
        self, model: keras.Model, layer: str | None = None, *, method: str = "grad-cam", output: str = "global_logit"
    ):
        import keras  # TensorFlow comes with it, and diagnosing needs neither

        self._method = METHODS.get(method)
        if not isinstance(self._method, _GradientMethod):
            raise HeatmapError(f"{method!r} is no gradient method; choose grad-cam, grad-cam++ or hires-cam.")
        if layer is not None and layer not in {one.name for one in model.layers}:
            raise HeatmapError(f"The network has no layer {layer!r}.")
        maps = model.output["last_map"] if layer is None else model.get_layer(layer).output
        self._model = keras.Model(model.input, [maps, model.output[output]])

    def evidence(self, square: np.ndarray) -> np.ndarray:
        """Give the evidence of each cell of the layer's map, float32 (h, w), for a picture (S, S), 0..255."""
        import tensorflow as tf

        picture = tf.constant(np.asarray(square, np.float32)[None, :, :, None])
        with tf.GradientTape() as tape:
            tape.watch(picture)
            maps, logit = self._model(picture, training=False)
        gradients = tape.gradient(logit, maps)
        if gradients is None or maps.shape.rank != 4:
            raise HeatmapError("The logit does not depend on a map of this layer; choose a convolutional one.")
        return self._method.weigh(maps[0].numpy(), gradients[0].numpy())
