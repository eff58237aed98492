"""At which image size, and with which views, a bundle's network reads best: figures on val and time an image.

    python -m benchmarks.reading_size [--bundle NAME] [--sizes 256 320 384 320+384]

A convolutional network reads images of any size, and not always best at the one it was trained on. For every size, or
several whose answers are averaged (320+384), and for the plain view beside plain and mirrored together: AUC, average
precision, specificity at the threshold of the single operating point, the share called indeterminate, how often
Grad-CAM's hottest point lies in a box of the fractured val images, and the time of an image relative to the first
row's, measured in the same run. Val decides; test is not looked at.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np

from fracture_core.bundle.loading import DEFAULT_BUNDLE, load_bundle
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.audit import audit
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.data.split import project_split
from fracture_core.explain.evidence_head import EvidenceHead
from fracture_core.explain.heatmap_methods import heatmap
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.engine import Engine
from fracture_core.inference.evidence_layer import evidence_head, with_evidence
from fracture_core.inference.scorer import Scorer, scoring_engines
from fracture_core.metrics.confusion import sigmoid
from fracture_core.metrics.curves import average_precision, roc_auc
from fracture_core.metrics.localisation import hottest_point_in_box
from fracture_core.metrics.operating_points import INDETERMINATE, default_operating_points, triage_groups

VIEWS = (("plain",), ("plain", "flip"))


class Reading(NamedTuple):
    """What one way to read gave on the images: logits (n,), hits among those with boxes, seconds an image."""

    logits: np.ndarray
    hits: int
    boxed: int
    seconds: float


def sizes(text: str) -> tuple[int, ...]:
    """Return the sides that an argument names, the largest first: "320+384" is (384, 320)."""
    sides = sorted({int(part) for part in text.split("+")}, reverse=True)
    if any(side < 32 or side % 32 for side in sides):
        raise argparse.ArgumentTypeError(f"{text} names a size that is not a multiple of 32")
    return tuple(sides)


def measure(scorer: Scorer, head: EvidenceHead, dataset: FracAtlas, ids: tuple[str, ...]) -> Reading:
    """Read images, and return what that gave; the seconds are the network's alone."""
    logits, hits, boxed, spent = [], 0, 0, 0.0
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
    return Reading(np.concatenate(logits), hits, boxed, spent / len(ids))


def figures(truth: np.ndarray, logits: np.ndarray) -> str:
    """Return AUC, average precision, specificity at the single threshold and share indeterminate, as columns."""
    probabilities = sigmoid(logits)
    points = default_operating_points(truth, probabilities)
    groups = triage_groups(truth, probabilities, points["rule_out"].threshold, points["rule_in"].threshold)
    indeterminate = next(group.share.value for group in groups if group.triage == INDETERMINATE)
    values = roc_auc(truth, logits), average_precision(truth, logits), points["single"].specificity, indeterminate
    return " ".join(f"{value:6.3f}" for value in values)


def main() -> None:
    """Print a row for every size and set of views."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default=DEFAULT_BUNDLE)
    parser.add_argument("--sizes", type=sizes, nargs="+", default=[(256,), (320,), (384,)])
    arguments = parser.parse_args()
    bundle, dataset = load_bundle(arguments.bundle), FracAtlas(find_fracatlas())
    weights, val = bundle.weights(), project_split(dataset, audit(dataset)).val
    truth = dataset.table.loc[list(val), "label"].to_numpy()
    print(
        f"{bundle.version}, {len(val)} val images, {truth.sum()} fractured; it reads at {bundle.recipe.image_size} px"
    )
    print(f"{'size':>7}  {'views':12} {'AUC':>6} {'AP':>6} {'spec.':>6} {'indet.':>6} {'pointing':>8} {'time':>6}")
    first = None
    for size, *smaller in arguments.sizes:
        graph = bundle.graph.at_size(size)
        for views in VIEWS:
            recipe = bundle.recipe.replace(image_size=size, test_time_sizes=tuple(smaller), test_time_views=views)
            engines = scoring_engines(with_evidence(graph), recipe, lambda each, _: Engine(each, weights))
            reading = measure(Scorer(engines[0], recipe, engines[1]), evidence_head(graph, weights), dataset, val)
            first = first or reading.seconds
            label = "+".join(map(str, (size, *smaller)))
            print(
                f"{label:>7}  {' + '.join(views):12} {figures(truth, reading.logits)} "
                f"{f'{reading.hits}/{reading.boxed}':>8} {reading.seconds / first:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
