"""At which image size, and with which views, a bundle's network reads best: figures on val and time an image.

    python -m benchmarks.reading_size [--bundle NAME] [--sizes 256 320 384]

A convolutional network reads images of any size, and not always best at the one it was trained on. For every size,
and for the plain view beside plain and mirrored together: AUC, average precision, how often Grad-CAM's hottest
point lies in a box of the fractured val images, and the time of an image relative to the first row's, measured in the
same run. Val decides; test is not looked at.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from fracture_core.bundle.loading import DEFAULT_BUNDLE, load_bundle
from fracture_core.data.audit import audit
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.data.split import project_split
from fracture_core.explain.heatmap_methods import heatmap
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.engine import Engine
from fracture_core.inference.evidence_layer import evidence_head, with_evidence
from fracture_core.inference.scorer import Scorer
from fracture_core.metrics.curves import average_precision, roc_auc
from fracture_core.metrics.localisation import hottest_point_in_box
from fracture_core.network.graph import Graph
from fracture_core.network.keras_graph import graph_from_keras
from fracture_core.network.model import build_model
from fracture_core.network.weights import Weights

VIEWS = (("plain",), ("plain", "flip"))


def measure(
    scorer: Scorer, graph: Graph, weights: Weights, dataset: FracAtlas, ids: tuple[str, ...]
) -> tuple[np.ndarray, int, int, float]:
    """Return logits (n,), hits, images with boxes, and seconds per image of the network alone."""
    head, logits, hits, boxed, spent = evidence_head(graph, weights), [], 0, 0, 0.0
    for start in range(0, len(ids), 32):
        chunk = ids[start : start + 32]
        images = [read_radiograph(dataset.path(i), accept_cut_short=True).pixels for i in chunk]
        fitted = [scorer.fit(pixels) for pixels in images]
        squares = np.stack([square for square, _ in fitted])
        began = time.perf_counter()
        outputs, views = scorer.score_views(squares)
        spent += time.perf_counter() - began
        logits.append(outputs["logit"])
        for k, image_id in enumerate(chunk):
            boxes = dataset.boxes(image_id)
            if len(boxes) and "cells" in outputs:
                own = [{name: values[k] for name, values in view.items()} for view in views]
                shown = heatmap("grad-cam", own, head, fitted[k][1], images[k].shape)
                hits, boxed = hits + hottest_point_in_box(shown, boxes), boxed + 1
    return np.concatenate(logits), hits, boxed, spent / len(ids)


def main() -> None:
    """Print a row for every size and set of views."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default=DEFAULT_BUNDLE)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 320, 384])
    arguments = parser.parse_args()
    bundle, dataset = load_bundle(arguments.bundle), FracAtlas(find_fracatlas())
    weights, val = bundle.weights(), project_split(dataset, audit(dataset)).val
    truth = dataset.table.loc[list(val), "label"].to_numpy()
    print(
        f"{bundle.version}, {len(val)} val images, {truth.sum()} fractured; it reads at {bundle.recipe.image_size} px"
    )
    print(f"{'size':>5}  {'views':12} {'AUC':>6} {'AP':>6} {'pointing':>10} {'time':>6}")
    first = None
    for size in arguments.sizes:
        graph = graph_from_keras(build_model(bundle.recipe.replace(image_size=size)))
        for views in VIEWS:
            scorer = Scorer(
                Engine(with_evidence(graph), weights), bundle.recipe.replace(image_size=size, test_time_views=views)
            )
            logits, hits, boxed, seconds = measure(scorer, graph, weights, dataset, val)
            first = first or seconds
            figures = f"{roc_auc(truth, logits):6.3f} {average_precision(truth, logits):6.3f}"
            print(
                f"{size:5}  {' + '.join(views):12} {figures} {f'{hits}/{boxed}':>10} {seconds / first:6.2f}", flush=True
            )


if __name__ == "__main__":
    main()
