"""The teacher of pre-training: a frozen network on the inference engine, whose maps and outputs the student matches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from fracture_core.inference.engine import Engine
from fracture_core.network.graph import Graph
from fracture_core.network.weights import Weights

_CLIP = 4.0


class Teacher:
    """A frozen network, run by the inference engine, whose standardised maps the student matches.

    Where it is `mirrored`, its logits and cells are the means over an image and its mirror image, as a bundle with both
    test-time views answers. Its maps are those of the image alone.
    """

    def __init__(
        self,
        graph: Graph,
        weights: Weights,
        matches: tuple[tuple[str, str], ...],
        precision: str = "f32",
        *,
        mirrored: bool = False,
    ):
        self.mirrored = mirrored
        taps = {node: node for node, _ in matches}
        self.engine = Engine(graph.with_outputs(taps), weights, precision=precision)
        self.matches = matches
        self.statistics: list[tuple[torch.Tensor, torch.Tensor]] = []

    def measure(self, images: list[torch.Tensor]) -> None:
        """Fix each channel's mean and standard deviation over some batches.

        Args:
            images: Batches of images.
        """
        maps = [self._maps(self._outputs(batch)) for batch in images]
        for place in range(len(self.matches)):
            values = torch.cat([m[place] for m in maps])
            deviation, mean = torch.std_mean(values, (0, 2, 3), keepdim=True)
            self.statistics.append((mean, deviation + 1e-3))

    def targets(self, images: torch.Tensor) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
        """Compute the maps to match.

        Args:
            images: A batch of images.

        Returns:
            The maps, float32 (n, C, h, w) within +-4, one per match; and all outputs of the network.
        """
        outputs = self._outputs(images)
        if self.mirrored:
            other = self._outputs(images.flip(-1))
            outputs["logit"] = (outputs["logit"] + other["logit"]) / 2
            outputs["cells"] = (outputs["cells"] + other["cells"].flip(-1)) / 2
        pairs = zip(self._maps(outputs), self.statistics, strict=True)
        return [((value - mean) / deviation).clamp(-_CLIP, _CLIP) for value, (mean, deviation) in pairs], outputs

    def _outputs(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return in_torch(self.engine.run(images[:, 0].numpy()))

    def _maps(self, outputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        return [outputs[node] for node, _ in self.matches]


def in_torch(outputs: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Convert the engine's maps (n, h, w, C) to PyTorch's (n, C, h, w), channels last in memory.

    Args:
        outputs: Maps and vectors by name.

    Returns:
        Tensors by name; vectors unchanged.
    """
    tensors = {name: torch.from_numpy(values) for name, values in outputs.items()}
    return {name: tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor for name, tensor in tensors.items()}
