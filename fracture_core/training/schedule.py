"""The learning rate over a run, and whether validation still improves: pure functions, so that a run can be resumed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from fracture_core.recipe import Recipe

_PLATEAU_EPOCHS = 3  # without improvement before the rate drops
_DROP = 0.3
_COSINE_END = 0.01  # share of the peak rate

Row = Mapping[str, float]


def learning_rate(step: int, steps: int, history: Sequence[Row], recipe: Recipe) -> float:
    """Return the learning rate of a step.

    Linear warm-up over the recipe's share of the steps, then constant; or a half cosine down to 1 % (Loshchilov and
    Hutter 2017); or times 0.3 after every three epochs without improvement.

    Args:
        step: Counted from 0.
        steps: Steps of the whole run.
        history: One row per completed epoch.
        recipe: The run's recipe.

    Returns:
        The rate.
    """
    warm = round(recipe.warmup * steps)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    if recipe.schedule == "cosine":
        done = (step - warm) / max(1, steps - warm)
        return recipe.learning_rate * (_COSINE_END + (1 - _COSINE_END) * 0.5 * (1 + math.cos(math.pi * done)))
    if recipe.schedule == "reduce_on_plateau":
        return recipe.learning_rate * _DROP ** _drops(history, recipe)
    return recipe.learning_rate


def _drops(history: Sequence[Row], recipe: Recipe) -> int:
    drops = waited = 0
    for end, row in enumerate(history):
        waited = 0 if is_better(row, history[:end], recipe) else waited + 1
        if waited == _PLATEAU_EPOCHS:
            drops, waited = drops + 1, 0
    return drops


def is_better(row: Row, before: Sequence[Row], recipe: Recipe) -> bool:
    """Return whether an epoch beats every earlier one by the recipe's monitor on val; the first always does.

    Args:
        row: The epoch.
        before: Every earlier epoch.
        recipe: The run's recipe.

    Returns:
        Whether it does.
    """
    return all(_merit(row, recipe) > _merit(other, recipe) for other in before)


def stale_epochs(history: Sequence[Row], recipe: Recipe) -> int:
    """Count the epochs since the best one.

    Args:
        history: One row per completed epoch.
        recipe: The run's recipe.

    Returns:
        0 if the last epoch is the best or none has been completed.
    """
    best = max((i for i in range(len(history)) if is_better(history[i], history[:i], recipe)), default=-1)
    return len(history) - 1 - best


def _merit(row: Row, recipe: Recipe) -> float:
    merit = -row["val_loss"] if recipe.monitor == "loss" else row["val_auc"]
    return -math.inf if math.isnan(merit) else merit
