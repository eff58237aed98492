"""Heatmap methods, from the forward pass alone: where a network's evidence for a fracture lies.

Grad-CAM and its relatives weigh the maps of one layer by the gradient of the logit that is shown. The layer is the last
one whose maps tell places apart and all of whose evidence reaches the logit: the localiser's mixing layer, or, in a
network without a localiser, the last map. The gradient there has a closed form (`evidence_head`), so a map costs no
second pass through the network; it equals what automatic differentiation gives.

Maps are signed and in units of evidence: a cell's share of the logit. Nothing is clipped or stretched here; a drawing
shows the positive part (the ReLU of Selvaraju et al. 2017) on a scale that is the same for every radiograph.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import ClassVar

import numpy as np

from fracture_core.errors import FractureCoreError
from fracture_core.explain.evidence_head import EvidenceHead
from fracture_core.imaging.letterbox import Placement

#: Points of the resampled map along the side of a cell of the first view.
_FINER = 4


class HeatmapError(FractureCoreError):
    """A heatmap method that does not exist, or that needs an output which the network does not have."""


class HeatmapMethod(ABC):
    """A way to turn a forward pass into a map of evidence."""

    title: ClassVar[str]
    sentence: ClassVar[str]
    #: Whether a cell's evidence is its share of a whole, so that finer cells have less each.
    shares: ClassVar[bool] = True

    @abstractmethod
    def evidence(self, outputs: Mapping[str, np.ndarray], head: EvidenceHead) -> np.ndarray:
        """Return the evidence of each cell.

        Args:
            outputs: One image's network outputs by name: maps float32 (h, w, C), `cells` (H, W) or (H, W, 1) logits.
            head: The network's last part.

        Returns:
            float32 (h, w), signed, in the method's own units.
        """

    def available(self, outputs: Mapping[str, np.ndarray], head: EvidenceHead) -> bool:
        """Return whether a network with these outputs supports this method.

        Args:
            outputs: The network's outputs.
            head: Its head.

        Returns:
            Whether it does.
        """
        return head.layer in outputs


class _GradientMethod(HeatmapMethod):
    """A method that weighs a layer's maps by gradients; `weigh` is all that differs between them."""

    @abstractmethod
    def weigh(self, maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Weigh maps (h, w, C) by the gradients (h, w, C) of the logit with respect to them: float32 (h, w)."""

    def evidence(self, outputs: Mapping[str, np.ndarray], head: EvidenceHead) -> np.ndarray:
        """Return the layer's maps weighed by the gradient of the shown logit: float32 (h, w)."""
        return self.weigh(outputs[head.layer], head.gradient(outputs))


class GradCAM(_GradientMethod):
    """Weigh each channel by its mean gradient over the map, negative ones too (Selvaraju et al. 2017).

    Where the logit is linear in the maps (average pooling and one dense unit) the cells sum to the logit less its bias.
    """

    title = "Grad-CAM"
    sentence = "Which regions raise the score shown here, by its gradient at the layer where the evidence is gathered."

    def weigh(self, maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Sum the maps, each times its mean gradient, also where that is negative: it counts against a fracture.

        Args:
            maps: float (h, w, C).
            gradients: float (h, w, C).

        Returns:
            float (h, w), signed.
        """
        return maps @ gradients.mean((0, 1))


class GradCAMPlusPlus(_GradientMethod):
    """Weigh each channel by its positive gradients alone, strong maps less (Chattopadhyay et al. 2018, eq. 19).

    Its alpha, g^2 / (2 g^2 + g^3 sum(A)), is written as 1 / (2 + g sum(A)), which needs no constant against a
    division by zero. The cells sum to less than half of the positive evidence, not to the logit.
    """

    title = "Grad-CAM++"
    sentence = "Grad-CAM with strong features damped, so that a second, weaker region shows as well."

    def weigh(self, maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Sum the maps, each times its positive gradients, which count the less the stronger the map is already.

        Unlike Grad-CAM's mean, no negative gradient takes anything away, so that a channel never has a negative weight.

        Args:
            maps: float (h, w, C).
            gradients: float (h, w, C).

        Returns:
            float (h, w), at or above 0 where the maps are.
        """
        positive = np.maximum(gradients, 0)
        # The paper's maps come out of a ReLU; taking others as if they did keeps alpha between 0 and 1/2.
        alpha = 1 / (2 + positive * np.maximum(maps, 0).sum((0, 1)))
        return maps @ (alpha * positive).sum((0, 1))


class HiResCAM(_GradientMethod):
    """Weigh each cell by its own gradient (Draelos and Carin 2020); behind average pooling the same as Grad-CAM."""

    title = "HiRes-CAM"
    sentence = "Grad-CAM without averaging the gradient over the image: only the regions that decided the score."

    def weigh(self, maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Multiply maps and gradients cell by cell, and sum over the channels.

        Args:
            maps: float (h, w, C).
            gradients: float (h, w, C).

        Returns:
            float (h, w).
        """
        return np.einsum("hwc,hwc->hw", maps, gradients)


class Localiser(HeatmapMethod):
    """Evidence of a cell, in nats: -log(1 - p), which is softplus of its logit.

    Summed over cells it is the evidence of a noisy-OR, -log of the probability that no cell lies on a fracture. A
    cell that is surely clean adds nothing, so a clean radiograph looks clean.
    """

    shares = False
    title = "Localiser"
    sentence = "Learned from radiologists' boxes: the model's confidence that each region contains a fracture."

    def evidence(self, outputs: Mapping[str, np.ndarray], head: EvidenceHead) -> np.ndarray:
        """Return the softplus of each cell's logit.

        Args:
            outputs: The network's outputs.
            head: Its head.

        Returns:
            float32 (h, w), nats.
        """
        cells = outputs["cells"]
        return np.logaddexp(0, cells.reshape(cells.shape[:2])).astype(np.float32)

    def available(self, outputs: Mapping[str, np.ndarray], head: EvidenceHead) -> bool:
        """Return whether the network has a localiser.

        Args:
            outputs: The network's outputs.
            head: Its head.

        Returns:
            Whether it does.
        """
        return "cells" in outputs


#: Every method, by the name that options and files use, in the order in which they are offered.
METHODS: dict[str, HeatmapMethod] = {
    "grad-cam": GradCAM(),
    "localiser": Localiser(),
    "hires-cam": HiResCAM(),
    "grad-cam++": GradCAMPlusPlus(),
}


def heatmap(
    method: str,
    views: Sequence[Mapping[str, np.ndarray]],
    head: EvidenceHead,
    placement: Placement,
    shape: tuple[int, int],
) -> np.ndarray:
    """Return one radiograph's evidence at each of its pixels, interpolated between cells, never rescaled.

    The score is the mean over the views that the network reads (plain, mirrored, smaller), so its evidence is the mean
    of theirs, each view computed by itself and turned back.

    Args:
        method: One of `METHODS`.
        views: The outputs of one radiograph, a view an entry, each turned upright.
        head: The network's last part.
        placement: Where the radiograph lies in the network's input.
        shape: The radiograph's (H, W), in pixels.

    Returns:
        float32 (H, W), signed, in the method's units; 0 outside the part that the network saw.

    Raises:
        HeatmapError: There is no such method, or the network lacks what it needs.
    """
    if method not in METHODS:
        raise HeatmapError(f"There is no heatmap method {method!r}; choose one of {', '.join(METHODS)}.")
    chosen = METHODS[method]
    if not all(chosen.available(view, head) for view in views):
        raise HeatmapError(f"This network has no output for the heatmap {chosen.title!r}; choose another method.")
    cells = [chosen.evidence(view, head) for view in views]
    first = cells[0]
    height, width = (_FINER * n for n in first.shape)
    # A coarser cell's share stands for several of the first view's.
    shares = [evidence * np.float32(evidence.size / first.size) if chosen.shares else evidence for evidence in cells]
    smooth = np.stack([_smooth(evidence, height, width) for evidence in shares]).mean(axis=0, dtype=np.float32)
    return placement.map_to_radiograph(np.asarray(smooth), shape)


def _smooth(evidence: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resample cells, float32 (h, w), on a finer grid, float32 (height, width), by cubic B-splines.

    Bilinear interpolation has its peaks at the middles of cells, which are larger than many fractures; a spline's peak
    moves towards the stronger neighbour. Unlike bicubic interpolation it stays within the values of the cells.
    """
    return _spline(evidence.shape[0], height) @ evidence @ _spline(evidence.shape[1], width).T


@cache
def _spline(cells: int, points: int) -> np.ndarray:
    """Return the weights of `cells` cells at each of `points` points of a finer grid: float32 (points, cells)."""
    where = (np.arange(points) + 0.5) * (cells / points) - 0.5
    first = np.floor(where).astype(int)
    t = where - first
    weights = np.zeros((len(where), cells), np.float32)
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for offset, piece in zip((-1, 0, 1, 2), pieces, strict=True):
        # Beyond the outermost cell the map is mirrored about it, so that a peak there stays at its middle.
        place = np.abs(first + offset)
        place = np.clip(np.where(place >= cells, 2 * (cells - 1) - place, place), 0, cells - 1)
        np.add.at(weights, (np.arange(len(where)), place), piece / 6)
    return weights
