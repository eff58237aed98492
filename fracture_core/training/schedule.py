"""How the learning rate goes over a run, and what its history says of val: pure functions, so that a run can resume."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from fracture_core.recipe import Recipe

_PATIENCE = 3  # epochs without a better monitor before the rate falls
_FALL = 0.3
_LAST = 0.01  # share of the peak at which a cosine ends

Row = Mapping[str, float]


def learning_rate(step: int, steps: int, history: Sequence[Row], recipe: Recipe) -> float:
    """The rate of step `step` of `steps`, counted from 0; `history` holds the epochs that have ended.

    A linear rise over the recipe's share of warm-up, then constant; or a half cosine down to a hundredth (Loshchilov
    and Hutter 2017); or times 0.3 after each three epochs without a better monitor.
    """
    warm = round(recipe.warmup * steps)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    if recipe.schedule == "cosine":
        done = (step - warm) / max(1, steps - warm)
        return recipe.learning_rate * (_LAST + (1 - _LAST) * 0.5 * (1 + math.cos(math.pi * done)))
    if recipe.schedule == "reduce_on_plateau":
        return recipe.learning_rate * _FALL ** _falls(history, recipe)
    return recipe.learning_rate


def _falls(history: Sequence[Row], recipe: Recipe) -> int:
    falls = waited = 0
    for end, row in enumerate(history):
        waited = 0 if is_better(row, history[:end], recipe) else waited + 1
        if waited == _PATIENCE:
            falls, waited = falls + 1, 0
    return falls


def is_better(row: Row, before: Sequence[Row], recipe: Recipe) -> bool:
    """Whether an epoch beats every one before it by the recipe's monitor on val; the first always does."""
    return all(_merit(row, recipe) > _merit(other, recipe) for other in before)


def stale_epochs(history: Sequence[Row], recipe: Recipe) -> int:
    """Epochs since the best one; 0 where the last is the best or none has ended."""
    best = max((i for i in range(len(history)) if is_better(history[i], history[:i], recipe)), default=-1)
    return len(history) - 1 - best


def _merit(row: Row, recipe: Recipe) -> float:
    merit = -row["val_loss"] if recipe.monitor == "loss" else row["val_auc"]
    return -math.inf if math.isnan(merit) else merit
