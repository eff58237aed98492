"""One run on several processors: which `tf.distribute` strategy there is, and what its processes must agree on.

Nothing of it is a choice of the recipe. TF_CONFIG makes a run one worker of several machines, several GPUs are used
where there are any, and otherwise one process does all. The run folder and the dataset must lie on a disk that every
machine sees; the chief alone writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import keras
import tensorflow as tf

from fracture_core.training.progress import TrainingError


def available_strategy() -> tf.distribute.Strategy:
    """The strategy that TF_CONFIG and the machine's GPUs ask for; raise TrainingError where TF_CONFIG makes no sense.

    Call it before anything else of TensorFlow: the workers must know each other before the first operation.
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
            'TF_CONFIG must name the cluster and this worker, for instance {"cluster": {"worker": ["10.0.0.1:8620", '
            '"10.0.0.2:8620"]}, "task": {"type": "worker", "index": 0}}.'
        ) from error
    if mine not in workers:
        raise TrainingError(f"TF_CONFIG makes this process a {task['type']!r}; only chief and worker can train.")


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes: the chief, the first worker where none is named, or the only one."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if resolver.task_type == "worker" and not resolver.cluster_spec().as_dict().get("chief"):
        return resolver.task_id == 0
    return resolver.task_type == "chief"


def fraction_true(strategy: tf.distribute.Strategy, yes: bool) -> float:
    """How many of a run's processes say yes, as a share 0..1; each waits here for all the others."""
    if not _several_processes(strategy):
        return float(yes)
    votes = strategy.run(lambda: tf.constant(float(yes)))
    return float(strategy.reduce(tf.distribute.ReduceOp.MEAN, votes, axis=None))


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Come back once every process of the run is here; one that leaves early looks like a crash to the others."""
    fraction_true(strategy, True)


def synced_should_stop(
    should_stop: Callable[[], str | None] | None, strategy: tf.distribute.Strategy
) -> Callable[[], str | None] | None:
    """`should_stop` for a step that all processes take together: as soon as one is asked to stop, each hears of it."""
    if not _several_processes(strategy):
        return should_stop

    def asked() -> str | None:
        reason = should_stop() if should_stop else None
        return (reason or "another worker was stopped") if fraction_true(strategy, bool(reason)) else None

    return asked


def _several_processes(strategy: tf.distribute.Strategy) -> bool:
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return False
    return sum(map(len, resolver.cluster_spec().as_dict().values())) > 1


def normalise_over_replicas(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Let batch normalisation see the whole batch, not each replica its own part of it.

    Otherwise the statistics would depend on how many replicas share a batch, and the run's result with them.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = strategy.num_replicas_in_sync > 1


def check_batch(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """Raise TrainingError where the replicas cannot share a batch evenly."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise TrainingError(
            f"A batch of {batch_size} images cannot be shared evenly by {replicas} replicas: choose another batch_size."
        )
