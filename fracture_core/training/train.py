"""Train a network: a recipe and a dataset in, a run folder out.

`train` reads from top to bottom: what to train on, the network and its initial weights, where an earlier attempt
stopped, the loop, the end. A step depends only on the recipe and its own number, and everything that changes is in the
checkpoint, so a run that was killed at any point ends with the weights it would have had.

It runs unchanged under `tf.distribute`: set TF_CONFIG for several machines, or pass a strategy. Shared by several
processors, losses and weights equal those of one with the same batch, except for rounding and dropout.
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
from fracture_core.provenance import provenance
from fracture_core.recipe import Recipe
from fracture_core.training.distribution import Workers
from fracture_core.training.initial_weights import start_from
from fracture_core.training.pipeline import Batches
from fracture_core.training.progress import Reporter, TrainingError, TrainingEvent, TrainingStoppedError, print_progress
from fracture_core.training.run_folder import RunFolder, digest_of, new_run_path
from fracture_core.training.schedule import is_better, learning_rate, stale_epochs
from fracture_core.training.trainer import Trainer
from fracture_core.training.training_data import load_training_data, training_sources

__all__ = ["TrainingError", "TrainingStoppedError", "print_progress", "split_for", "train"]

ShouldStop = Callable[[], str | None]


def split_for(recipe: Recipe, dataset: Dataset, audit: Audit | None = None) -> Split:
    """Return the split that a recipe trains on, made leak-free by an audit if the recipe asks for that.

    FracAtlas is split as in the reference study, a user's own radiographs as they specify or else by patient, and both
    together each as it would be alone.

    Args:
        recipe: What to train.
        dataset: What to train on.
        audit: The dataset's audit; carried out here if it is needed and missing.

    Returns:
        The split.

    Raises:
        SplitError: The dataset cannot be split.
    """
    if recipe.leak_free and audit is None:
        from fracture_core.data.combined.audit import audit_sources

        audit = audit_sources(dataset)
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
    """Train by a recipe, or resume an unfinished run.

    A finished folder contains weights.safetensors (of the best epoch on val by the recipe's monitor, averaged if it
    says so), network.json, recipe.json, history.csv, split.json and run.json.

    Args:
        recipe: What to train.
        dataset: What to train on.
        run: The run's folder, resumed if it contains an unfinished run; by default a new one.
        split: Train, val and test; by default `split_for`.
        audit: The dataset's audit, if it is known.
        progress: Called with an event at every step.
        should_stop: Called before every step; if it returns a reason, a checkpoint is written and the run stops.
        strategy: How processors share the work; by default what TF_CONFIG and the GPUs call for.
        checkpoint_seconds: Time between two checkpoints within an epoch.

    Returns:
        The run's folder.

    Raises:
        TrainingError: Recipe, data and folder do not fit together, or the loss is not finite.
        TrainingStoppedError: `should_stop` returned a reason.
        StartingWeightsError: The initial weights are not available or do not fit.
        FeaturesError: The cached features do not fit the disk.
        SplitError: The dataset cannot be split.
        DatasetError: An image cannot be read.
    """
    workers = Workers(strategy)
    folder = RunFolder(run or new_run_path(recipe), writes=workers.is_chief)
    resumed = _resumed(folder, workers)
    if resumed:
        _check_same(folder, recipe, split)
        if folder.finished:
            return folder.path
        split = folder.split()
        _check_complete(folder, dataset, split)
    else:
        split = split or split_for(recipe, dataset, audit)
        folder.write_setup(recipe, split)
    trainer = _trainer(folder, recipe, workers, split, dataset, resumed)
    reporter = Reporter(folder.path, recipe.epochs, progress, should_stop)
    data = load_training_data(recipe, dataset, split, trainer.model, reporter)
    batches = Batches(data.examples, data.labels, recipe, data.weights)
    workers.check_batch(batches.batch_size)
    trainer.compile(data)
    reporter.should_stop = workers.synced_should_stop(should_stop)
    _loop(trainer, batches, folder, reporter, checkpoint_seconds)
    _finish(trainer, folder, split)
    workers.barrier()
    reporter.report_stage("finished", done=trainer.step, total=trainer.step)
    return folder.path


def _trainer(
    folder: RunFolder, recipe: Recipe, workers: Workers, split: Split, dataset: Dataset, resumed: bool
) -> Trainer:
    """Return the network with its initial weights, which are recorded, or as the run's checkpoint left it."""
    keras.utils.set_random_seed(recipe.seed)
    with workers.strategy.scope():
        model = build_model(recipe)
        workers.share_normalisation(model)
        start = None if resumed else start_from(model, recipe)
        train_last_blocks(model, recipe)
        trainer = Trainer(model, recipe, workers.strategy)
        if resumed:
            trainer.restore(folder.load("checkpoint"))
    if start is not None:
        folder.write_graph(graph_from_keras(model).to_json())
        folder.save("checkpoint", *trainer.state())
        folder.update_record(
            **provenance(),
            name=recipe.name,
            start=start.to_json(),
            split=split.digest,
            finished=False,
            dataset=dataset.name,
            **training_sources(dataset, split),
        )
    folder.update_record(replicas=workers.replicas)
    folder.log(f"{'resumed' if resumed else 'started'} at step {trainer.step}")
    return trainer


def _loop(trainer: Trainer, batches: Batches, folder: RunFolder, reporter: Reporter, checkpoint_seconds: float) -> None:
    """Train from the current step to the last epoch, or until val stops improving."""
    recipe, per_epoch = trainer.recipe, batches.steps_per_epoch
    total = recipe.epochs * per_epoch
    steps = trainer.distribute(batches, total)
    saved = time.monotonic()
    while trainer.step < total and not _converged(trainer.history, recipe):
        reporter.stop_if_asked(lambda: folder.save("checkpoint", *trainer.state()))
        rate = learning_rate(trainer.step, total, trainer.history, recipe)
        loss = trainer.train_step(next(steps), rate)
        epoch = len(trainer.history) + 1
        reporter.report_count("training", trainer.step, total, each=batches.batch_size, epoch=epoch, loss=loss)
        if trainer.step % per_epoch == 0:
            reporter.report_stage("validating", done=trainer.step, total=total, epoch=epoch)
            row = trainer.end_epoch(per_epoch, rate)
            if is_better(row, trainer.history[:-1], recipe):
                folder.save("best", trainer.weights(), {k: row[k] for k in ("epoch", "val_loss", "val_auc", "val_ap")})
            folder.write_history(trainer.history)
            folder.log("  ".join(f"{key} {value:.4g}" for key, value in row.items()))
            reporter.report_stage("epoch ended", done=trainer.step, total=total, epoch=epoch, row=row)
        elif time.monotonic() - saved < checkpoint_seconds:
            continue
        folder.save("checkpoint", *trainer.state())
        saved = time.monotonic()


def _finish(trainer: Trainer, folder: RunFolder, split: Split) -> None:
    """Save the best epoch's weights in the format of all networks here, and record that the run is finished."""
    if not folder.writes:
        return
    best = folder.load("best")
    save_weights(folder.path / "weights.safetensors", best.arrays)
    folder.update_record(
        finished=True,
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(sum(row["seconds"] for row in trainer.history)),
        best=best.state,
        weights_sha256=digest_of(best.arrays),
        trained_on=len(split.train),
    )
    folder.log(f"finished; best epoch {best.state['epoch']:.0f}")
    folder.remove("checkpoint", "best")


def _converged(history: list[dict[str, float]], recipe: Recipe) -> bool:
    return recipe.early_stopping is not None and stale_epochs(history, recipe) >= recipe.early_stopping


def _resumed(folder: RunFolder, workers: Workers) -> bool:
    """Return whether the run continues from a checkpoint, before the chief writes the first file."""
    share = workers.fraction_true(folder.started)
    if 0 < share < 1:
        raise TrainingError(
            f"Only some workers can see the run {folder.path.name}: put it on a disk that all machines share."
        )
    return bool(share)


def _check_complete(folder: RunFolder, dataset: Dataset, split: Split) -> None:
    """Raise if images that a run was started with have gone: films are deleted from a site's set for good."""
    known = set(dataset.table.index)
    if gone := sum(image_id not in known for part in (split.train, split.val, split.test) for image_id in part):
        raise TrainingError(
            f"{gone} of the images that the run {folder.path.name} was started with are no longer in {dataset.name}: "
            "start a new run."
        )


def _check_same(folder: RunFolder, recipe: Recipe, split: Split | None) -> None:
    if folder.recipe() != recipe:
        raise TrainingError(f"The run {folder.path.name} was started with another recipe; start a new run.")
    if split is not None and folder.split().digest != split.digest:
        raise TrainingError(f"The run {folder.path.name} was started with another split; start a new run.")
