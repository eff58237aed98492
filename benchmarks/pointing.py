"""How often other heatmaps than the shown ones point at the fracture: Grad-CAM by differentiation, of either logit.

FRACATLAS_DIR=/path/to/FracAtlas python -m benchmarks.pointing [--bundle NAME]

Needs PyTorch (requirements-pretrain.txt), whose twin of the network differentiates several times faster than
TensorFlow. Two to be compared: the global head's logit and the whole one, on the last map (stride 32) and the
localiser's finer one (stride 16), by Grad-CAM and HiRes-CAM. Beside each stands how often a map of that resolution
could hit at all: its hottest point is the middle of a cell, and most boxes are smaller than a cell.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch

from fracture_core.bundle.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.explain.gradcam import METHODS, heatmap
from fracture_core.imaging.exposed_field import fit
from fracture_core.imaging.letterbox import Placement
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.metrics.localisation import centre_in_box, hottest_point_in_box
from fracture_core.network.model import BACKBONES
from fracture_core.pretraining.torch_model import GraphModule


class Differentiator:
    """A bundle's network, and the gradients of its logits with respect to its last two maps."""

    def __init__(self, bundle: Bundle):
        self.graph = bundle.graph
        self.twin = GraphModule(bundle.graph, bundle.weights()).eval().requires_grad_(False)
        self.maps = {"middle": BACKBONES[bundle.recipe.backbone].middle, "last": bundle.graph.outputs["last_map"]}

    def run(self, square: np.ndarray) -> tuple[dict[tuple[str, str], tuple[np.ndarray, np.ndarray]], dict]:
        """(logit, map) -> the map and the gradient, both (h, w, C); and the outputs as the engine gives them."""
        values: dict[str, torch.Tensor] = {}
        for node in self.graph.nodes:
            inputs = [values[name] for name in node.inputs]
            picture = torch.from_numpy(square.astype(np.float32))[None, None]
            value = picture if node.operation == "input" else self.twin._run(node, inputs)
            if node.name == self.maps["middle"]:
                value = value.detach().requires_grad_(True)
            values[node.name] = value
        tensors = [values[name] for name in self.maps.values()]
        found = {}
        for logit in ("global_logit", "logit"):
            gradients = torch.autograd.grad(values[self.graph.outputs[logit]].sum(), tensors, retain_graph=True)
            for name, tensor, gradient in zip(self.maps, tensors, gradients, strict=True):
                found[logit, name] = _upright(tensor), _upright(gradient)
        outputs = {name: values[node].detach() for name, node in self.graph.outputs.items()}
        return found, {name: _upright(v) if v.ndim == 4 else v[0].numpy() for name, v in outputs.items()}


def _upright(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach()[0].permute(1, 2, 0).numpy()


def reachable(placement: Placement, boxes: np.ndarray, cells: int) -> bool:
    """Whether the middle of any cell of a map (cells, cells) lies in a box."""
    middles = (np.arange(cells) + 0.5) * placement.size / cells
    left, top, width, height = placement.boxes_in_square(boxes).T[..., None]
    across = (middles >= left) & (middles < left + width)
    down = (middles >= top) & (middles < top + height)
    return bool((across.any(1) & down.any(1)).any())


def count(bundle: Bundle, dataset: FracAtlas) -> tuple[Mapping[str, int], float, int]:
    """Hits by heatmap, the largest difference of closed form and autodiff, and the radiographs that were asked."""
    table = bundle.predictions()
    ids = table.loc[(table["split"] == "test") & (table["label"] == 1), "image_id"]
    network, kernel = Differentiator(bundle), bundle.weights()["global_logit/kernel"][:, 0]
    hits: dict[str, int] = defaultdict(int)
    apart, n = 0.0, 0
    for image_id in ids:
        boxes = dataset.boxes(image_id)
        if not len(boxes):
            continue
        n += 1
        pixels = read_radiograph(dataset.path(image_id), accept_cut_short=True).pixels
        square, placement = fit(pixels, bundle.recipe.image_size, crop_to_field=bundle.recipe.crop_to_field)
        gradients, outputs = network.run(square)
        for (logit, name), (maps, gradient) in gradients.items():
            for method in ("grad-cam", "hires-cam"):
                shown = placement.map_to_radiograph(METHODS[method].weigh(maps, gradient), pixels.shape)
                hits[f"{method} of {logit}, {name} map ({len(maps)} x {len(maps)})"] += hottest_point_in_box(
                    shown, boxes
                )
        closed = METHODS["grad-cam"].evidence(outputs, kernel)
        apart = max(apart, float(np.abs(METHODS["grad-cam"].weigh(*gradients["global_logit", "last"]) - closed).max()))
        if "cells" in outputs:
            shown = heatmap("localiser", outputs, kernel, placement, pixels.shape)
            hits["localiser"] += hottest_point_in_box(shown, boxes)
        hits["the picture's middle"] += centre_in_box(pixels.shape, boxes)
        for stride in (32, 16, 8):
            cells = bundle.recipe.image_size // stride
            hits[f"any map of {cells} x {cells}, at best"] += reachable(placement, boxes, cells)
    return hits, apart, n


def main() -> int:
    """Print every count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default=DEFAULT_BUNDLE)
    bundle = load_bundle(parser.parse_args().bundle)
    hits, apart, n = count(bundle, FracAtlas(find_fracatlas()))
    print(f"{bundle.version}: hottest point in a box, {n} fractured test radiographs")
    for name, number in hits.items():
        print(f"{number:4}  {name}")
    print(f"Grad-CAM in closed form and by differentiation differ by {apart:.1e} at most.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
