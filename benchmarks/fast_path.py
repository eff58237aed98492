"""Training on cached features beside ordinary training of the same blocks: wall time and validation AUC, in one run.

    python -m benchmarks.fast_path [--images 320] [--epochs 25] [--ordinary-epochs 2] [--blocks N] [--start WEIGHTS]

Both train the default recipe's blocks on the same radiographs of FracAtlas from the same weights: cached features with
an empty cache, ordinary training, and cached features again with the cache filled. Early stopping is off, so that all
run the same epochs. The shipped bundle has seen these images before and has little left to learn from them: for more
informative AUCs, `--start` from weights without heads (a backbone's file). The time of a run is everything from the
call of `train` to the finished folder, except decoding, which happens once before all of them and is reported
separately.

Every epoch of ordinary training takes the same time. With `--ordinary-epochs` below `--epochs` only the first ones are
run and timed, and the mean of those after the first (which includes tracing) is used for the others; the AUCs are then
compared at the last epoch that both have run. If ordinary training runs to its end too, the weights that each run keeps
are also scored on the whole of val. A subset (drawn by class, val in the same proportion) is scaled to the whole:
features and epochs grow with the images, building and tracing do not. The table says what was scaled.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from fracture_core.bundle.loading import DEFAULT_BUNDLE
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.audit import audit
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.image_cache import load_image_cache
from fracture_core.data.split import Split, project_split
from fracture_core.inference.engine import Engine
from fracture_core.metrics.curves import roc_auc
from fracture_core.metrics.paired_tests import auc_difference
from fracture_core.network.graph import Graph
from fracture_core.network.weights import load_weights
from fracture_core.recipe import Recipe
from fracture_core.training.progress import TrainingEvent, TrainingStoppedError
from fracture_core.training.run_folder import RunFolder
from fracture_core.training.train import train
from fracture_core.training.training_data import MARGIN


@dataclass
class Run:
    """A timed run: seconds as measured, and scaled to all the epochs; `history` has one row per epoch run."""

    name: str
    seconds: float
    features: float
    history: list[dict[str, float]]
    epochs: int
    folder: Path

    @property
    def whole(self) -> bool:
        """Whether it ran to its end."""
        return len(self.history) == self.epochs

    def scaled(self, factor: float = 1.0) -> float:
        """Return the seconds for all the epochs with `factor` times as many images.

        Epochs that were not run take the mean of those after the first; features and epochs grow with the images, and
        the rest (building, tracing, compiling) does not.
        """
        epoch = float(np.mean([row["seconds"] for row in self.history[1:]]))
        constant = self.seconds - self.features - len(self.history) * epoch
        return constant + factor * (self.features + self.epochs * epoch)

    def auc(self, epochs: int) -> float:
        """Return the best validation AUC of the first `epochs`."""
        return max(row["val_auc"] for row in self.history[:epochs])


def timed(name: str, recipe: Recipe, dataset: FracAtlas, split: Split, folder: Path, epochs: int | None = None) -> Run:
    """Train, and stop after `epochs` if that is fewer than the recipe's."""
    ended, spent, began = 0, {"features": 0.0}, time.monotonic()
    last = began

    def hear(progress: TrainingEvent) -> None:
        nonlocal ended, last
        now = time.monotonic()
        if progress.stage == "features":
            spent["features"] += now - last if progress.done else 0.0
        elif progress.stage == "epoch ended":
            ended = progress.epoch
            print(
                f"  {name}: epoch {ended}, {progress.row['seconds']:.1f} s, AUC {progress.row['val_auc']:.3f}",
                flush=True,
            )
        last = now

    def enough() -> str | None:
        return "measured" if epochs and ended >= epochs else None

    with contextlib.suppress(TrainingStoppedError):
        train(recipe, dataset, run=folder, split=split, progress=hear, should_stop=enough, checkpoint_seconds=1e9)
    return Run(name, time.monotonic() - began, spent["features"], RunFolder(folder).history(), recipe.epochs, folder)


def subset(dataset: FracAtlas, images: int) -> tuple[Split, float]:
    """Draw `images` of the project's train images, and val images in proportion, class by class.

    Also returns how many times as many images the whole has.
    """
    whole = project_split(dataset, audit(dataset))
    share = min(1.0, images / len(whole.train)) if images else 1.0
    rng = np.random.default_rng(0)

    def drawn(ids: Sequence[str]) -> tuple[str, ...]:
        labels = dataset.table.loc[list(ids), "label"].to_numpy()
        chosen = [rng.permutation(np.flatnonzero(labels == y))[: round(share * (labels == y).sum())] for y in (0, 1)]
        return tuple(ids[k] for k in sorted(np.concatenate(chosen)))

    train_ids = drawn(whole.train)
    return Split(train_ids, drawn(whole.val), (), {}), len(whole.train) / len(train_ids)


def decode_once(dataset: FracAtlas, split: Split, recipe: Recipe) -> float:
    """Leave only the split's images in the dataset, decode them as training needs them, and return the seconds."""
    began = time.monotonic()
    dataset.table = dataset.table.loc[[*split.train, *split.val]]
    paths = {i: dataset.path(i) for i in dataset.table.index}
    for size in (recipe.image_size, round(recipe.image_size * MARGIN / 32) * 32):
        load_image_cache(paths, size, crop_to_field=recipe.crop_to_field)
    return time.monotonic() - began


def arithmetic(recipe: Recipe) -> float:
    """Return the multiplications of a step from cached features, relative to those of an ordinary step.

    What trains is computed forwards and, for its weights and its inputs, backwards: three times. What is frozen is
    computed forwards only.
    """
    import keras

    from fracture_core.network.model import build_model, train_last_blocks

    model = build_model(recipe)
    train_last_blocks(model, recipe)
    work = {True: 0.0, False: 0.0}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            places = layer.input if isinstance(layer, keras.layers.Conv2DTranspose) else layer.output
            work[layer.trainable] += float(np.prod(layer.kernel.shape) * np.prod(places.shape[1:3]))
    return 3 * work[True] / (work[False] + 3 * work[True])


def table(runs: Sequence[Run], factor: float) -> list[str]:
    """Return the comparison as lines; the second run is the ordinary one, `factor` scales the subset to the whole."""
    ordinary, shared = runs[1], min(len(run.history) for run in runs)
    heads = ["features", "a run", "ratio", "all images", "ratio", f"val AUC by epoch {shared}", "at its best"]
    lines = [f"{'':18}" + "".join(f"{head:>{len(head) + 5}}" for head in heads)]
    for run in runs:
        best = f"{run.auc(run.epochs):.3f}" if run.whole else "not run"
        cells = [f"{run.features:.1f} s", f"{run.scaled():.1f} s", f"{run.scaled() / ordinary.scaled():.3f}"]
        cells += [f"{run.scaled(factor):.0f} s", f"{run.scaled(factor) / ordinary.scaled(factor):.3f}"]
        cells += [f"{run.auc(shared):.3f}", best]
        lines.append(f"{run.name:18}" + "".join(f"{c:>{len(h) + 5}}" for c, h in zip(cells, heads, strict=True)))
    if not ordinary.whole:
        lines.append(
            f"Of the ordinary run's {ordinary.epochs} epochs {len(ordinary.history)} were run, in "
            f"{ordinary.seconds:.1f} s; the others are taken to last as long as the mean of those after the first."
        )
    if factor > 1:
        lines.append(f"'all images' is scaled by {factor:.2f}: features and epochs with the images, the rest as it is.")
    for name, run, bar in (("cold", runs[0], 0.2), ("warm", runs[2], 0.1)):
        ratio = run.scaled(factor) / ordinary.scaled(factor)
        lines.append(f"bar, {name}: at most {bar:.2f} of ordinary training: {_held(ratio <= bar)} ({ratio:.3f})")
    reached = min(runs[0].auc(shared), runs[2].auc(shared)) >= ordinary.auc(shared)
    lines.append(f"bar, val AUC by epoch {shared}: at least ordinary training's: {_held(reached)}")
    return lines


def kept_weights(runs: Sequence[Run], recipe: Recipe, dataset: FracAtlas, ids: Sequence[str]) -> list[str]:
    """Return how each run's weights score the radiographs `ids`, as lines; the second run is the ordinary one."""
    paths = {i: dataset.path(i) for i in ids}
    images = load_image_cache(paths, recipe.image_size, crop_to_field=recipe.crop_to_field)
    squares = np.stack([images.square(i) for i in ids])
    truth = dataset.table.loc[list(ids), "label"].to_numpy()
    scores = []
    for run in runs:
        graph = Graph.from_json(json.loads((run.folder / "network.json").read_text("utf-8")))
        scores.append(Engine(graph, load_weights(run.folder / "weights.safetensors")).run(squares)["logit"][:, 0])
    lines = [f"The weights that were kept, on all {len(ids)} val images: AUC, and less ordinary training's (95 %)"]
    for run, score in zip(runs, scores, strict=True):
        difference = auc_difference(truth, score, scores[1])
        apart = difference.difference
        lines.append(f"{run.name:18}{difference.first:.3f}  {apart.value:+.3f} ({apart.low:+.3f} to {apart.high:+.3f})")
    reached = min(roc_auc(truth, scores[0]), roc_auc(truth, scores[2])) >= roc_auc(truth, scores[1])
    lines.append(f"bar, AUC on all of val: at least ordinary training's: {_held(reached)}")
    return lines


def _held(yes: bool) -> str:
    return "held" if yes else "missed"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--images", type=int, default=320, help="of train; 0 for all (default: 320)")
    arguments.add_argument("--epochs", type=int, default=25, help="at least 2 (default: 25)")
    arguments.add_argument("--ordinary-epochs", type=int, default=2, help="how many are really run, at least 2")
    arguments.add_argument("--start", default=f"bundle:{DEFAULT_BUNDLE}", help="the weights that all start from")
    arguments.add_argument("--recipe", default="default")
    arguments.add_argument(
        "--blocks", type=float, help="how many of the last blocks train (default: as the recipe says)"
    )
    arguments = arguments.parse_args()
    recipe = Recipe.load(arguments.recipe).replace(
        start=arguments.start, epochs=max(2, arguments.epochs), early_stopping=None, fast_path=True
    )
    if arguments.blocks is not None:
        recipe = recipe.replace(trainable_blocks=arguments.blocks)
    really = min(max(2, arguments.ordinary_epochs), recipe.epochs)
    dataset = FracAtlas()
    split, factor = subset(dataset, arguments.images)
    table_of_all, val_of_all = dataset.table, project_split(dataset, audit(dataset)).val
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FRACTURE_CACHE_DIR"] = folder
        seconds = decode_once(dataset, split, recipe)
        print(
            f"{len(split.train)} train and {len(split.val)} val images, {recipe.epochs} epochs, {recipe.views} views, "
            f"last {recipe.trainable_blocks} block(s) and heads of {recipe.backbone} at {recipe.image_size} px, from "
            f"{Path(recipe.start).name}; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; "
            f"decoded in {seconds:.1f} s",
            flush=True,
        )
        ordinary = recipe.replace(fast_path=False)
        runs = [
            timed("fast path, cold", recipe, dataset, split, Path(folder) / "cold"),
            timed("ordinary", ordinary, dataset, split, Path(folder) / "ordinary", really),
            timed("fast path, warm", recipe, dataset, split, Path(folder) / "warm"),
        ]
        print("\n" + "\n".join(table(runs, factor)))
        if all(run.whole for run in runs):
            dataset.table = table_of_all
            print("\n".join(kept_weights(runs, recipe, dataset, val_of_all)))
    print(f"Multiplications of a step from stored activations, of an ordinary step's: {arithmetic(recipe):.3f}")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
