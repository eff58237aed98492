"""How often each heatmap of a bundle points at the fracture: its hottest point in a radiologist's box.

    FRACATLAS_DIR=/path/to/FracAtlas python -m benchmarks.pointing [--bundle NAME ...] [--split val]

Beside each stands the image's middle, and how often a map of that many cells could hit at all if its hottest point
were the middle of a cell: most boxes are smaller than a cell. Validation chooses; test is for a finished model.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import list_bundles, load_bundle
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.explain.heatmap_methods import METHODS
from fracture_core.imaging.letterbox import Placement
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Predictor
from fracture_core.metrics.formatting import share_text
from fracture_core.metrics.localisation import centre_in_box, hottest_point_in_box


def reachable(placement: Placement, boxes: np.ndarray, cells: int) -> bool:
    """Return whether the centre of any cell of a map (cells, cells) lies in a box."""
    middles = (np.arange(cells) + 0.5) * placement.size / cells
    left, top, width, height = placement.boxes_in_square(boxes).T[..., None]
    across = (middles >= left) & (middles < left + width)
    down = (middles >= top) & (middles < top + height)
    return bool((across.any(1) & down.any(1)).any())


def count(bundle: Bundle, dataset: FracAtlas, split: str) -> tuple[Mapping[str, int], int]:
    """Hits by heatmap, and the radiographs that were asked."""
    table = bundle.predictions()
    ids = table.loc[(table["split"] == split) & (table["label"] == 1), "image_id"]
    predictor, hits, n = Predictor(bundle), defaultdict(int), 0
    for image_id in ids:
        boxes = dataset.boxes(image_id)
        if not len(boxes):
            continue
        n += 1
        finding = predictor.predict(read_radiograph(dataset.path(image_id), accept_cut_short=True))
        for method in finding.methods:
            hits[METHODS[method].title] += hottest_point_in_box(finding.heatmap(method), boxes)
        hits["the image centre"] += centre_in_box(finding.radiograph.pixels.shape, boxes)
        for stride in (32, 16, 8):
            cells = bundle.recipe.image_size // stride
            hits[f"any map of {cells} x {cells} cells, at best"] += reachable(finding.placement, boxes, cells)
    return hits, n


def main() -> int:
    """Print every count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", nargs="+", default=list_bundles())
    parser.add_argument("--split", choices=("val", "test"), default="val")
    arguments = parser.parse_args()
    dataset = FracAtlas(find_fracatlas())
    for bundle in map(load_bundle, arguments.bundle):
        hits, n = count(bundle, dataset, arguments.split)
        print(f"{bundle.version}: hottest point in a box, {n} fractured images of {arguments.split}")
        for name, number in hits.items():
            print(f"  {name:36} {number:4}  {share_text(number, n)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
