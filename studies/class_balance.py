"""Compare remedies for class imbalance (none, weights, oversampling, focal loss); write docs/class_balance.md.

    FRACATLAS_DIR=/path/to/FracAtlas python -m studies.class_balance [--start WEIGHTS] [--epochs N] [--seeds 0 1 2]

The whole trunk is frozen, its features of each image are computed once, and only the two heads are trained, from random
weights: some 15 minutes on two idle cores instead of a day. If run again it continues where it stopped. Only val is
used.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fracture_core.bundle.loading import load_bundle
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.files import write_text
from fracture_core.metrics.confusion import confusion, sigmoid
from fracture_core.metrics.curves import average_precision, roc_auc
from fracture_core.metrics.thresholds import threshold_for_sensitivity, threshold_for_specificity
from fracture_core.network.graph import Graph
from fracture_core.recipe import Recipe

PAGE = Path(__file__).resolve().parents[1] / "docs" / "class_balance.md"
#: What each remedy changes in the recipe.
ANSWERS: dict[str, Mapping[str, object]] = {
    "none": {},
    "weights": {"class_balance": "weights"},
    "oversampling": {"class_balance": "oversample"},
    "focal loss": {"loss": "focal", "focal_gamma": 2.0},
}
FIGURES = {
    "auc": "AUC",
    "ap": "average precision",
    "sensitivity": "sensitivity at specificity 0.70",
    "specificity": "specificity at sensitivity 0.90",
    "log_loss": "log loss, uncalibrated",
}
BASE = Recipe(
    name="class-balance",
    localiser=128,
    dropout=0.2,
    trainable_blocks=0,
    box_weight=0.5,
    box_positive_weight=2.0,
    global_weight=0.3,
    learning_rate=1e-3,
    schedule="cosine",
    warmup=0.05,
    weight_decay=0.02,
    gradient_norm=5.0,
    weight_averaging=0.99,
    monitor="auc",
    fast_path=True,
)


@dataclass(frozen=True)
class Comparison:
    """Where the runs are, what they start from and how they differ; `trunk` is the SHA-256 of that start."""

    folder: Path
    base: Recipe
    trunk: str
    source: str

    def recipe(self, answer: str, seed: int) -> Recipe:
        """Return the recipe of one run."""
        name = f"class-balance-{answer.replace(' ', '-')}-{seed}"
        return self.base.replace(name=name, seed=seed, **ANSWERS[answer])

    def result(self, answer: str, seed: int) -> Path:
        """Return the file that the results of one run are written to."""
        return self.folder / self.recipe(answer, seed).name / "val.json"


def prepare(start: str, base: Recipe, root: Path) -> Comparison:
    """Save the trunk of the starting weights, so that every head starts at random, untouched by any remedy."""
    from fracture_core.network.weights import save_weights
    from fracture_core.training.initial_weights import read_start

    base = _seen_by(start, base)
    weights, digest, _ = read_start(base.replace(start=start))
    folder = root / f"class-balance-{digest[:8]}-{base.epochs}"
    folder.mkdir(parents=True, exist_ok=True)
    trunk = folder / "trunk.safetensors"
    heads = ("global_logit/", "local_logit/", "cells")
    save_weights(trunk, {key: array for key, array in weights.items() if not key.startswith(heads)})
    return Comparison(folder, base.replace(start=str(trunk)), digest, start)


def _seen_by(start: str, base: Recipe) -> Recipe:
    """Return what a bundle's trunk was trained on, so that it is applied to similar images."""
    if not start.startswith("bundle:"):
        return base
    recipe = load_bundle(start.removeprefix("bundle:")).recipe
    return base.replace(backbone=recipe.backbone, image_size=recipe.image_size, crop_to_field=recipe.crop_to_field)


def run(comparison: Comparison, dataset: FracAtlas, answers: Sequence[str], seeds: Sequence[int]) -> None:
    """Train what is missing, and save the results of each run on val."""
    todo = [(a, s) for s in seeds for a in answers if not comparison.result(a, s).exists()]
    if not todo:
        return
    from fracture_core.training.train import split_for, train

    split = split_for(comparison.base, dataset)
    for answer, seed in todo:
        recipe = comparison.recipe(answer, seed)
        folder = train(recipe, dataset, run=comparison.folder / recipe.name, split=split)
        figures = figures_on_val(folder, recipe, dataset, split.val)
        write_text(comparison.result(answer, seed), json.dumps(figures) + "\n")
        print(f"{answer}, seed {seed}: {figures}", flush=True)


def figures_on_val(folder: Path, recipe: Recipe, dataset: FracAtlas, ids: Sequence[str]) -> dict[str, float]:
    """Score val with a finished run's network on the engine, and return every value of the table."""
    from fracture_core.data.image_cache import load_image_cache
    from fracture_core.inference.engine import Engine
    from fracture_core.network.weights import load_weights

    graph = Graph.from_json(json.loads((folder / "network.json").read_text("utf-8")))
    paths = {i: dataset.path(i) for i in dataset.table.index}
    images = load_image_cache(paths, recipe.image_size, crop_to_field=recipe.crop_to_field)
    squares = np.stack([images.square(i) for i in ids])
    logits = Engine(graph, load_weights(folder / "weights.safetensors")).run(squares)["logit"][:, 0].astype(np.float64)
    truth = dataset.table.loc[list(ids), "label"].to_numpy()
    scores = sigmoid(logits)
    at_specificity = confusion(truth, scores, threshold_for_specificity(truth, scores, 0.70))
    at_sensitivity = confusion(truth, scores, threshold_for_sensitivity(truth, scores, 0.90))
    return {
        "auc": roc_auc(truth, logits),
        "ap": average_precision(truth, logits),
        "sensitivity": at_specificity.sensitivity,
        "specificity": at_sensitivity.specificity,
        "log_loss": float(np.mean(np.logaddexp(0, logits) - truth * logits)),
    }


def page(comparison: Comparison, answers: Sequence[str], seeds: Sequence[int], command: str) -> str:
    """Return the table, means and standard deviations over the seeds, as Markdown."""
    base = comparison.base
    lines = [
        "# Class imbalance: none, weights, oversampling or focal loss",
        "",
        f"Written by `{command}`; all computed. Initial weights `{comparison.source}`, SHA-256",
        f"`{comparison.trunk}`.",
        "",
        f"Every run: frozen trunk, heads from random weights, {base.epochs} epochs on the leak-free training images",
        f"without augmentation, the best epoch by AUC on val. {len(seeds)} seeds; mean ± standard deviation on val.",
        "Thresholds are also chosen on val, so compare the rows with each other and do not take them as predictions.",
        "With a frozen trunk and no augmentation, differences are smaller than in full training; and a trunk that was",
        "trained on these labels makes the training images easier than new ones, equally for every row.",
        "",
        "| remedy | " + " | ".join(FIGURES.values()) + " |",
        "|" + "---|" * (len(FIGURES) + 1),
    ]
    for answer in answers:
        results = [json.loads(comparison.result(answer, seed).read_text("utf-8")) for seed in seeds]
        lines.append(f"| {answer} | " + " | ".join(_spread([r[name] for r in results]) for name in FIGURES) + " |")
    lines += ["", "The log loss is that of the raw logits; calibration on val removes the shift in base rate."]
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def main() -> int:
    """Train what is missing and write the page."""
    from fracture_core.paths import runs_folder

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", default="bundle:densenet121-fracatlas", help="bundle:NAME or a weights file")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    comparison = prepare(options.start, BASE.replace(epochs=options.epochs), runs_folder())
    run(comparison, FracAtlas(find_fracatlas()), list(ANSWERS), options.seeds)
    seeds = " ".join(map(str, options.seeds))
    command = f"python -m studies.class_balance --start {options.start} --epochs {options.epochs} --seeds {seeds}"
    write_text(PAGE, page(comparison, list(ANSWERS), options.seeds, command))
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
