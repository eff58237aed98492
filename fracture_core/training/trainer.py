"""A network in training: the step, the running average of the weights, validation, and the state to resume from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fracture_core.metrics.curves import average_precision, roc_auc
from fracture_core.network.weights import Weights, weights_of
from fracture_core.recipe import Recipe
from fracture_core.training.losses import objective
from fracture_core.training.pipeline import Batches
from fracture_core.training.progress import TrainingError
from fracture_core.training.run_folder import Checkpoint, RunError
from fracture_core.training.training_data import TrainingData

_VAL_BATCH_SIZE = 32


class Trainer:
    """Everything in a run that changes. Create it, and restore it, inside the strategy's scope.

    `step` counts batches from the start of the run; `history` has one row per epoch.
    """

    def __init__(self, model: keras.Model, recipe: Recipe, strategy: tf.distribute.Strategy):
        self.model, self.recipe, self.strategy = model, recipe, strategy
        self.optimiser = _optimiser(recipe)
        self.optimiser.build(model.trainable_variables)
        self.moving = [v for layer in model.layers if layer.trainable for v in layer.weights]
        averaged = self.moving if recipe.weight_averaging else []
        self.average = [tf.Variable(_value(v), trainable=False) for v in averaged]
        self.step = 0
        self.history: list[dict[str, float]] = []
        self._sums: dict[str, float] = {}  # of the running epoch

    def compile(self, data: TrainingData) -> None:
        """Set the data to train on, and build the step; tracing a whole network takes most of a minute.

        Args:
            data: Training examples, validation inputs, and the model that reads them.
        """
        self._data = data
        self._run_step = tf.function(self._step_on_all_replicas)
        self._update_ema = tf.function(self._move_average)
        self._run_val = tf.function(
            lambda inputs: data.model(data.model_input(inputs), training=False)["logit"][:, 0], reduce_retracing=True
        )

    def distribute(self, batches: Batches, last: int) -> Any:
        """Return an iterator over the remaining batches; with several workers, over this worker's part of each.

        Args:
            batches: Every batch of the run.
            last: The step to end before.

        Returns:
            An iterator over (inputs, targets).
        """
        workers = max(1, self.strategy.num_replicas_in_sync)
        if workers == 1:
            return iter(batches.dataset(self.step, last))

        def part(context: tf.distribute.InputContext) -> tf.data.Dataset:
            pipelines = context.num_input_pipelines
            dataset = batches.dataset(self.step, last, context.input_pipeline_id, pipelines)
            return dataset.unbatch().batch(context.get_per_replica_batch_size(batches.batch_size), drop_remainder=True)

        return iter(self.strategy.distribute_datasets_from_function(part))

    def train_step(self, batch: Any, rate: float) -> float:
        """Run one training step.

        Args:
            batch: Inputs and targets.
            rate: Learning rate.

        Returns:
            The loss.

        Raises:
            TrainingError: The loss is not finite.
        """
        began = time.monotonic()
        self.optimiser.learning_rate = rate
        terms = {name: float(value) for name, value in self._run_step(*batch).items()}
        loss = sum(terms.values())
        if not math.isfinite(loss):
            raise TrainingError("The loss is not finite: lower the learning rate, or start from other weights.")
        self.step += 1
        if self.average:
            # The decay grows from a small value, or the random heads would dominate the average for hundreds of steps.
            decay = min(self.recipe.weight_averaging, (1 + self.step) / (10 + self.step))
            self._update_ema(tf.constant(1 - decay, tf.float32))
        for name, value in {"loss": loss, **terms, "seconds": time.monotonic() - began}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        return loss

    def _move_average(self, share: tf.Tensor) -> None:
        # Inside the graph, because fetching every variable to average it in NumPy is slow.
        for average, variable in zip(self.average, self.moving, strict=True):
            average.assign_add(share * (variable.value - average))

    def _step_on_all_replicas(self, inputs: Any, targets: Any) -> dict[str, tf.Tensor]:
        terms = self.strategy.run(self._step_on_one_replica, args=(inputs, targets))
        return {k: self.strategy.reduce(tf.distribute.ReduceOp.SUM, v, axis=None) for k, v in terms.items()}

    def _step_on_one_replica(self, inputs: Any, targets: Any) -> dict[str, tf.Tensor]:
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = self._data.model(self._data.model_input(inputs), training=True)
            terms = objective(outputs, targets, self.recipe)
            loss = tf.add_n(list(terms.values()))
        gradients = tape.gradient(loss, [v.value for v in variables])
        if self.recipe.gradient_norm:
            gradients = _clipped(gradients, self.recipe.gradient_norm)
        self.optimiser.apply(gradients, variables)
        return terms

    def end_epoch(self, steps: int, rate: float) -> dict[str, float]:
        """Validate with the weights that would be saved, and add the epoch's row to the history.

        Args:
            steps: Steps in the epoch.
            rate: Learning rate of the last step.

        Returns:
            The row.
        """
        began = time.monotonic()
        logits = self._on_averaged(self._val_logits)
        truth = self._data.val_labels
        # Plain cross-entropy of the image, neither smoothed nor weighted, so that recipes can be compared.
        losses = np.logaddexp(0, logits) - truth * logits
        row = {"epoch": float(len(self.history) + 1), "learning_rate": rate}
        row |= {name: total / steps for name, total in self._sums.items() if name != "seconds"}
        row |= {"val_loss": float(losses.mean()), "val_auc": roc_auc(truth, logits)}
        row |= {"val_ap": average_precision(truth, logits)}
        row["seconds"] = self._sums["seconds"] + time.monotonic() - began
        self.history.append(row)
        self._sums = {}
        return row

    def _val_logits(self) -> np.ndarray:
        data, parts = self._data, []
        for start in range(0, len(data.val_labels), _VAL_BATCH_SIZE):
            inputs = {k: tf.constant(v[start : start + _VAL_BATCH_SIZE]) for k, v in data.val_inputs.items()}
            parts.append(self._run_val(inputs).numpy())
        logits = np.concatenate(parts).astype(np.float64)
        if not np.isfinite(logits).all():
            raise TrainingError("The network's outputs are no longer finite: lower the learning rate.")
        return logits

    def weights(self) -> Weights:
        """Return the weights that would be saved: averaged if the recipe says so.

        Returns:
            float32 arrays by key.
        """
        return self._on_averaged(lambda: weights_of(self.model))

    def _on_averaged(self, look: Callable[[], Any]) -> Any:
        if not self.average:
            return look()
        own = [_value(v) for v in self.moving]
        _assign(self.moving, [averaged.numpy() for averaged in self.average])
        try:
            return look()
        finally:
            _assign(self.moving, own)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return everything that changes in training; `restore` is the inverse.

        Returns:
            Arrays by name, and plain data.
        """
        arrays = {f"model/{v.path}": _value(v) for v in self.model.variables}
        arrays |= {f"optimiser/{i}": _value(v) for i, v in enumerate(self.optimiser.variables)}
        if self.average:
            arrays |= {
                f"average/{v.path}": averaged.numpy() for v, averaged in zip(self.moving, self.average, strict=True)
            }
        return arrays, {"step": self.step, "history": self.history, "sums": self._sums}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Resume from what `state` returned.

        Args:
            checkpoint: Arrays and plain data.

        Raises:
            RunError: It belongs to another network.
        """
        arrays, state = checkpoint.arrays, checkpoint.state
        try:
            _assign(self.model.variables, [arrays[f"model/{v.path}"] for v in self.model.variables])
            _assign(self.optimiser.variables, [arrays[f"optimiser/{i}"] for i in range(len(self.optimiser.variables))])
            if self.average:
                _assign(self.average, [arrays[f"average/{v.path}"] for v in self.moving])
        except (KeyError, ValueError) as error:
            raise RunError("The checkpoint belongs to another network; start a new run.") from error
        self.step, self.history, self._sums = state["step"], list(state["history"]), dict(state["sums"])


def _optimiser(recipe: Recipe) -> keras.optimizers.Optimizer:
    """Adam (Kingma and Ba 2015), with decoupled weight decay on the kernels alone (Loshchilov and Hutter 2019)."""
    if not recipe.weight_decay:
        return keras.optimizers.Adam(recipe.learning_rate)
    optimiser = keras.optimizers.AdamW(recipe.learning_rate, weight_decay=recipe.weight_decay)
    optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimiser


def _clipped(gradients: list[tf.Tensor], norm: float) -> list[tf.Tensor]:
    """Clip gradients by their norm over the whole batch; each replica returns its even share of them."""
    replica = tf.distribute.get_replica_context()
    replicas = replica.num_replicas_in_sync
    if replicas > 1:
        gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    clipped, _ = tf.clip_by_global_norm(gradients, norm)
    return [gradient / replicas for gradient in clipped] if replicas > 1 else clipped


def _value(variable: keras.Variable) -> np.ndarray:
    return np.array(variable)


def _assign(variables: list[keras.Variable] | list[tf.Variable], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
