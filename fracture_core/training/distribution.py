"""Run one training on several processors: choose the `tf.distribute` strategy and keep the processes in agreement.

None of this is part of the recipe. TF_CONFIG makes a run one worker of several machines, several GPUs are used if
present, and otherwise one process does everything. The run folder and the dataset must be on a disk that every machine
sees; only the chief writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import keras
import tensorflow as tf

from fracture_core.training.progress import TrainingError


def available_strategy() -> tf.distribute.Strategy:
    """Return the strategy that TF_CONFIG and the machine's GPUs call for.

    Call it before any other TensorFlow operation: the workers must know each other first.

    Returns:
        The strategy; TensorFlow's default for a single processor.

    Raises:
        TrainingError: TF_CONFIG is invalid, or its workers cannot be reached.
    """
    if config := os.environ.get("TF_CONFIG"):
        _check(config)
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except (RuntimeError, ValueError, tf.errors.OpError) as error:
            raise TrainingError(
                f"The workers that TF_CONFIG names cannot be reached ({str(error).splitlines()[0][:200]})."
            ) from error
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _check(config: str) -> None:
    try:
        described = json.loads(config)
        task = described["task"]
        workers = [name for kind in ("chief", "worker") for name in described["cluster"].get(kind, ())]
        mine = described["cluster"][task["type"]][int(task["index"])]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise TrainingError(
            'TF_CONFIG must name the cluster and this worker, for example {"cluster": {"worker": ["10.0.0.1:8620", '
            '"10.0.0.2:8620"]}, "task": {"type": "worker", "index": 0}}.'
        ) from error
    if mine not in workers:
        raise TrainingError(f"TF_CONFIG makes this process a {task['type']!r}; only chief and worker can train.")


class Workers:
    """The processes and processors that share a run: who writes, and what all of them must agree on.

    Args:
        strategy: How they share the work; by default `available_strategy()`.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None) -> None:
        self.strategy = strategy or available_strategy()

    @property
    def replicas(self) -> int:
        """Number of replicas that share a batch."""
        return self.strategy.num_replicas_in_sync

    @property
    def is_chief(self) -> bool:
        """Whether this process writes: the chief, the first worker if there is none, or the only process."""
        resolver = self.strategy.cluster_resolver
        if resolver is None or not resolver.task_type:
            return True
        if resolver.task_type == "worker" and not resolver.cluster_spec().as_dict().get("chief"):
            return resolver.task_id == 0
        return resolver.task_type == "chief"

    def fraction_true(self, yes: bool) -> float:
        """Return the share of the processes that vote yes; each waits here for all the others.

        Args:
            yes: The vote of this process.

        Returns:
            0..1.
        """
        if not self._several_processes:
            return float(yes)
        votes = self.strategy.run(lambda: tf.constant(float(yes)))
        return float(self.strategy.reduce(tf.distribute.ReduceOp.MEAN, votes, axis=None))

    def barrier(self) -> None:
        """Wait for every process of the run; one that leaves early looks like a crash to the others."""
        self.fraction_true(True)

    def synced_should_stop(self, should_stop: Callable[[], str | None] | None) -> Callable[[], str | None] | None:
        """Make all processes stop at the same step, as soon as one of them is asked to.

        Args:
            should_stop: Returns a reason, or None; None if this process is never asked.

        Returns:
            A function that every process must call before every step; `should_stop` itself if there is only one.
        """
        if not self._several_processes:
            return should_stop

        def stop_reason() -> str | None:
            reason = should_stop() if should_stop else None
            return (reason or "another worker was stopped") if self.fraction_true(bool(reason)) else None

        return stop_reason

    def share_normalisation(self, model: keras.Model) -> None:
        """Make batch normalisation use the whole batch rather than each replica's part of it.

        Otherwise the statistics, and the result of the run, would depend on how many replicas share a batch.

        Args:
            model: The network.
        """
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = self.replicas > 1

    def check_batch(self, batch_size: int) -> None:
        """Check that the replicas can share a batch evenly.

        Args:
            batch_size: Images per batch.

        Raises:
            TrainingError: They cannot.
        """
        if batch_size % self.replicas:
            raise TrainingError(
                f"A batch of {batch_size} images cannot be divided evenly among {self.replicas} replicas; "
                "change batch_size."
            )

    @property
    def _several_processes(self) -> bool:
        resolver = self.strategy.cluster_resolver
        if resolver is None or not resolver.task_type:
            return False
        return sum(map(len, resolver.cluster_spec().as_dict().values())) > 1
