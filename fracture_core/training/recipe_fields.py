"""Describe the settings of a recipe for a form: label, kind and range of each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from fracture_core import recipe as _recipe
from fracture_core.paths import RECIPES
from fracture_core.recipe import Augmentation, Recipe

Kind = Literal["whole", "number", "switch", "one of"]

#: The main settings, in the order of the form; the others are collapsed.
FRONT = ("epochs", "trainable_blocks", "learning_rate", "batch_size", "image_size", "fast_path")
_LABELS = {
    "image_size": "Image size (px)",
    "fast_path": "Cache features",
    "start": "Starting weights",
    "backbone": "Network",
}
#: What is shown of a value whose name in a recipe is no word.
_VALUES = {
    "auc": "AUC",
    "loss": "loss",
    "cross_entropy": "cross-entropy",
    "reduce_on_plateau": "reduced on a plateau",
    "plain": "as it is",
    "flip": "mirrored",
}
#: What it means to leave a number empty.
_EMPTY = {"trainable_blocks": "all", "early_stopping": "never"}
_HELP = {
    "epochs": "Passes over the training images; the best epoch on validation is kept.",
    "trainable_blocks": (
        "Counted from the output: 0.25 trains a quarter of the last block, 0 the heads only. Leave empty to train "
        "the whole network."
    ),
    "fast_path": "Compute the features of the frozen blocks once and keep them on disk.",
    "image_size": "A multiple of 32.",
    "batch_size": "Images per step; smaller batches need less memory.",
    "early_stopping": "Stop after this many epochs without improvement on validation. Leave empty to never stop early.",
    "leak_free": "Remove duplicates across the splits, and damaged files, from training.",
    "views": "Augmented views per image if features are cached.",
    "crop_to_field": "Crop unexposed borders and empty margins.",
}
_STEPS = {"image_size": 32, "trainable_blocks": 0.25}
_ELSEWHERE = {"name", "start", "augmentation", "test_time_views", "test_time_sizes"}


@dataclass(frozen=True)
class RecipeChoice:
    """One setting: `key` as `with_values` takes it, for example "augmentation.zoom".

    A number whose `value` is None may be left empty.
    """

    key: str
    label: str
    kind: Kind
    value: Any
    low: float | None = None
    high: float | None = None
    options: tuple[str, ...] = ()
    step: float | None = None
    help: str | None = None


def about(name: str) -> str:
    """Return what a recipe of the project says about itself.

    Args:
        name: Name of the recipe.

    Returns:
        The text; empty if there is none.
    """
    text = json.loads((RECIPES / f"{name}.json").read_text("utf-8")).get("about", "")
    return text if isinstance(text, str) else " ".join(text)


def choices(recipe: Recipe) -> list[RecipeChoice]:
    """Return every setting of a recipe except its name and initial weights, the main ones first.

    Args:
        recipe: The recipe.

    Returns:
        The settings with their values.
    """
    own = [_choice(recipe, f.name, "", _recipe._RANGES) for f in fields(Recipe) if f.name not in _ELSEWHERE]
    own.sort(key=lambda choice: FRONT.index(choice.key) if choice.key in FRONT else len(FRONT))
    changes = recipe.augmentation
    return own + [_choice(changes, f.name, "augmentation.", _recipe._AUGMENTATION_RANGES) for f in fields(Augmentation)]


def setting_label(key: str) -> str:
    """Return what a setting is called on screen.

    Args:
        key: Its name in a recipe, for example "augmentation.zoom".

    Returns:
        The words.
    """
    group, _, name = key.rpartition(".")
    label = _LABELS.get(name, name.replace("_", " ").capitalize())
    return f"{group.capitalize()}: {label.lower()}" if group else label


def setting_value(key: str, value: Any) -> str:
    """Return a setting's value in words.

    Args:
        key: The setting's name in a recipe.
        value: Its value there.

    Returns:
        The words.
    """
    if value is None:
        return _EMPTY.get(key, "–")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " and ".join(setting_value(key, one) for one in value) or "none"
    if isinstance(value, str) and key not in ("name", "start", "backbone"):
        return _VALUES.get(value, value.replace("_", " "))
    return f"{value:g}" if isinstance(value, float) else str(value)


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return the recipe with some settings changed.

    Args:
        recipe: The recipe.
        values: New values by key.

    Returns:
        The new recipe.

    Raises:
        RecipeError: A value is invalid.
    """
    data = recipe.to_json()
    for key, value in values.items():
        group, _, name = key.rpartition(".")
        (data[group] if group else data)[name] = value
    return Recipe.from_json(data)


def _choice(holder: Recipe | Augmentation, name: str, prefix: str, ranges: Mapping[str, tuple]) -> RecipeChoice:
    hint, value = get_type_hints(type(holder))[name], getattr(holder, name)
    low, high = ranges.get(name, (None, None))
    label = setting_label(name)
    if get_origin(hint) is Literal:
        return RecipeChoice(prefix + name, label, "one of", value, options=get_args(hint), help=_HELP.get(name))
    optional = isinstance(hint, UnionType)
    kinds: dict[type, Kind] = {bool: "switch", int: "whole", float: "number"}
    kind = kinds[get_args(hint)[0] if optional else hint]
    step = _STEPS.get(name, None if kind == "switch" else 1)
    if kind == "number":
        value, low, high = None if value is None else float(value), float(low), float(high)
        step = _STEPS.get(name, 10.0 ** math.floor(math.log10(value)) if value else 0.01)
    return RecipeChoice(prefix + name, label, kind, value, low, high, step=step, help=_HELP.get(name))
