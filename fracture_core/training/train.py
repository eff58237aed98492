"""Train a network: a recipe and a dataset in, a run folder out.

`train` reads from top to bottom: what to train on, the network and its start, where an earlier attempt stopped, the
loop, the end. A step depends on the recipe and its own number alone and everything that changes is in the
checkpoint, so a run that was killed anywhere ends with the weights it would have had.

It runs unchanged under `tf.distribute`: set TF_CONFIG for several machines, or give a strategy. Shared by several
processors the losses and weights are those of one with the same batch, but for rounding and for dropout's dice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import keras
import tensorflow as tf

from fracture_core.data.audit import Audit
from fracture_core.data.dataset import Dataset
from fracture_core.data.split import Split, project_split
from fracture_core.network.keras_graph import graph_from_keras
from fracture_core.network.model import build_model, train_last_blocks
from fracture_core.network.weights import save_weights
from fracture_core.recipe import Recipe
from fracture_core.training.distribution import (
    available_strategy,
    barrier,
    check_batch,
    fraction_true,
    is_chief,
    normalise_over_replicas,
    synced_should_stop,
)
from fracture_core.training.initial_weights import start_from
from fracture_core.training.learner import Trainer
from fracture_core.training.pipeline import Batches
from fracture_core.training.progress import Reporter, TrainingError, TrainingEvent, TrainingStoppedError, print_progress
from fracture_core.training.run_folder import RunFolder, digest_of, new_run_path, provenance
from fracture_core.training.schedule import is_better, learning_rate, stale_epochs
from fracture_core.training.training_data import load_training_data

__all__ = ["TrainingError", "TrainingStoppedError", "print_progress", "split_for", "train"]

ShouldStop = Callable[[], str | None]


def split_for(recipe: Recipe, dataset: Dataset, audit: Audit | None = None) -> Split:
    """The split a recipe trains on, made leak-free by an audit if it asks for that.

    FracAtlas is split as the reference study did, a user's own radiographs as they say or else by patient.
    """
    if recipe.leak_free and audit is None:
        from fracture_core.data.audit import audit as look

        audit = look(dataset)
    return project_split(dataset, audit if recipe.leak_free else None)


def train(
    recipe: Recipe,
    dataset: Dataset,
    *,
    run: Path | None = None,
    split: Split | None = None,
    audit: Audit | None = None,
    progress: Callable[[TrainingEvent], None] | None = None,
    should_stop: ShouldStop | None = None,
    strategy: tf.distribute.Strategy | None = None,
    checkpoint_seconds: float = 60,
) -> Path:
    """Train by a recipe and give the run folder; `run`, where it holds an unfinished run, goes on.

    A finished folder holds weights.safetensors (of the best epoch on val by the recipe's monitor, averaged if it
    says so), network.json, recipe.json, history.csv, split.json and run.json. `progress` hears of every step.
    `should_stop` is asked before every step; when it gives a reason, a checkpoint is written and
    TrainingStoppedError raised. Raises TrainingError where recipe, data and folder do not fit together,
    StartingWeightsError, FeaturesError, SplitError or DatasetError as their names say.
    """
    strategy = strategy or available_strategy()
    folder = RunFolder(run or new_run_path(recipe), writes=is_chief(strategy))
    resumed = _resumed(folder, strategy)
    if resumed:
        _check_same(folder, recipe, split)
        if folder.finished:
            return folder.path
        split = folder.split()
    else:
        split = split or split_for(recipe, dataset, audit)
        folder.begin(recipe, split)
    learner = _learner(folder, recipe, strategy, split, dataset, resumed)

    report = Reporter(folder.path, recipe.epochs, progress, should_stop)
    data = load_training_data(recipe, dataset, split, learner.model, report)
    batches = Batches(data.examples, data.labels, recipe)
    check_batch(batches.batch_size, strategy)
    learner.compile(data)
    report.should_stop = synced_should_stop(should_stop, strategy)
    _loop(learner, batches, folder, report, checkpoint_seconds)
    _finish(learner, folder, split)
    barrier(strategy)
    report.tell("finished", done=learner.step, total=learner.step)
    return folder.path


def _learner(
    folder: RunFolder, recipe: Recipe, strategy: tf.distribute.Strategy, split: Split, dataset: Dataset, resumed: bool
) -> Trainer:
    """The network at its start, which is written down, or where the run's checkpoint left it."""
    keras.utils.set_random_seed(recipe.seed)
    with strategy.scope():
        model = build_model(recipe)
        normalise_over_replicas(model, strategy)
        start = None if resumed else start_from(model, recipe)
        train_last_blocks(model, recipe)
        learner = Trainer(model, recipe, strategy)
        if resumed:
            learner.restore(folder.load("checkpoint"))
    if not resumed:
        folder.write_graph(graph_from_keras(model).to_json())
        folder.save("checkpoint", *learner.state())
        folder.note(**provenance(), name=recipe.name, start=start.to_json(), split=split.digest, finished=False)
        folder.note(dataset=dataset.name)
    folder.note(replicas=strategy.num_replicas_in_sync)
    folder.log(f"{'resumed' if resumed else 'started'} at step {learner.step}")
    return learner


def _loop(learner: Trainer, batches: Batches, folder: RunFolder, report: Reporter, checkpoint_seconds: float) -> None:
    """Train from where the learner stands to the last epoch, or until val gets no better."""
    recipe, per_epoch = learner.recipe, batches.steps_per_epoch
    total = recipe.epochs * per_epoch
    steps = learner.distribute(batches, total)
    saved = time.monotonic()
    while learner.step < total and not _enough(learner.history, recipe):
        report.stop_if_asked(lambda: folder.save("checkpoint", *learner.state()))
        rate = learning_rate(learner.step, total, learner.history, recipe)
        loss = learner.train_step(next(steps), rate)
        epoch = len(learner.history) + 1
        report.counted("training", learner.step, total, each=batches.batch_size, epoch=epoch, loss=loss)
        if learner.step % per_epoch == 0:
            report.tell("validating", done=learner.step, total=total, epoch=epoch)
            row = learner.end_epoch(per_epoch, rate)
            if is_better(row, learner.history[:-1], recipe):
                folder.save("best", learner.weights(), {k: row[k] for k in ("epoch", "val_loss", "val_auc", "val_ap")})
            folder.write_history(learner.history)
            folder.log("  ".join(f"{key} {value:.4g}" for key, value in row.items()))
            report.tell("epoch ended", done=learner.step, total=total, epoch=epoch, row=row)
        elif time.monotonic() - saved < checkpoint_seconds:
            continue
        folder.save("checkpoint", *learner.state())
        saved = time.monotonic()


def _finish(learner: Trainer, folder: RunFolder, split: Split) -> None:
    """Keep the best epoch's weights, as every network here keeps them, and say that the run is finished."""
    if not folder.writes:
        return
    best = folder.load("best")
    save_weights(folder.path / "weights.safetensors", best.arrays)
    folder.note(
        finished=True,
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(sum(row["seconds"] for row in learner.history)),
        best=best.state,
        weights_sha256=digest_of(best.arrays),
        trained_on=len(split.train),
    )
    folder.log(f"finished; best epoch {best.state['epoch']:.0f}")
    folder.remove("checkpoint", "best")


def _enough(history: list[dict[str, float]], recipe: Recipe) -> bool:
    return recipe.early_stopping is not None and stale_epochs(history, recipe) >= recipe.early_stopping


def _resumed(folder: RunFolder, strategy: tf.distribute.Strategy) -> bool:
    """Whether the run goes on from a checkpoint, asked before the chief writes the first file."""
    share = fraction_true(strategy, folder.started)
    if 0 < share < 1:
        raise TrainingError(
            f"Some workers see the run {folder.path.name} and some do not: put it on a disk that all machines share."
        )
    return bool(share)


def _check_same(folder: RunFolder, recipe: Recipe, split: Split | None) -> None:
    if folder.recipe() != recipe:
        raise TrainingError(f"The run {folder.path.name} was started with another recipe; start a new run.")
    if split is not None and folder.split().digest != split.digest:
        raise TrainingError(f"The run {folder.path.name} was started with another split; start a new run.")
