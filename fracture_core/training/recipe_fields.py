"""The choices of a recipe as a form can draw them: what each is called, of what kind it is, and its range."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from fracture_core import recipe as _recipe
from fracture_core.errors import FractureCoreError
from fracture_core.paths import RECIPES
from fracture_core.recipe import Augmentation, Recipe

Kind = Literal["whole", "number", "switch", "one of"]

#: What matters, in the order of a form; every other choice is folded away.
FRONT = ("epochs", "trainable_blocks", "learning_rate", "batch_size", "image_size", "fast_path")
_LABELS = {
    "trainable_blocks": "Blocks that train",
    "image_size": "Picture's side",
}
_HELP = {
    "epochs": "Times that every picture is seen; the best epoch on validation is kept.",
    "trainable_blocks": (
        "Counted from the output: 0.25 trains a quarter of the last block, 0 the heads alone, an empty field "
        "the whole network."
    ),
    "fast_path": "What the frozen blocks make of each view is computed once and kept on disk.",
    "image_size": "In pixels, a multiple of 32.",
    "batch_size": "Pictures a step; a smaller batch needs less memory.",
    "early_stopping": "Epochs without gain on validation; empty: never.",
    "leak_free": "Duplicates across the parts, and damaged files, leave train.",
    "views": "Augmented views a picture on the fast path.",
    "crop_to_field": "Borders and empty margins go.",
}
_STEPS = {"image_size": 32, "trainable_blocks": 0.25}
_ELSEWHERE = {"name", "start", "augmentation", "test_time_views"}


@dataclass(frozen=True)
class RecipeChoice:
    """One choice: `key` as `with_values` takes it, "augmentation.zoom" for one of the augmentation.

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


def recipe_names() -> list[str]:
    """The project's recipes, the default one first."""
    names = []
    for path in sorted(RECIPES.glob("*.json"), key=lambda path: (path.stem != "default", path.stem)):
        try:
            Recipe.load(path)
        except FractureCoreError:
            continue  # a plan of another kind
        names.append(path.stem)
    return names


def about(name: str) -> str:
    """What a recipe of the project says of itself."""
    said = json.loads((RECIPES / f"{name}.json").read_text("utf-8")).get("about", "")
    return said if isinstance(said, str) else " ".join(said)


def choices(recipe: Recipe) -> list[RecipeChoice]:
    """Every choice of a recipe but its name and its start, with its value: those in front first."""
    own = [_choice(recipe, f.name, "", _recipe._RANGES) for f in fields(Recipe) if f.name not in _ELSEWHERE]
    own.sort(key=lambda choice: FRONT.index(choice.key) if choice.key in FRONT else len(FRONT))
    changes = recipe.augmentation
    return own + [_choice(changes, f.name, "augmentation.", _recipe._AUGMENTATION_RANGES) for f in fields(Augmentation)]


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with choices replaced by key; raise RecipeError where they make no sense."""
    data = recipe.to_json()
    for key, value in values.items():
        group, _, name = key.rpartition(".")
        (data[group] if group else data)[name] = value
    return Recipe.from_json(data)


def _choice(holder: Recipe | Augmentation, name: str, prefix: str, ranges: Mapping[str, tuple]) -> RecipeChoice:
    hint, value = get_type_hints(type(holder))[name], getattr(holder, name)
    low, high = ranges.get(name, (None, None))
    label = _LABELS.get(name, name.replace("_", " ").capitalize())
    if get_origin(hint) is Literal:
        return RecipeChoice(prefix + name, label, "one of", value, options=get_args(hint), help=_HELP.get(name))
    optional = isinstance(hint, UnionType)
    kind: Kind = {bool: "switch", int: "whole", float: "number"}[get_args(hint)[0] if optional else hint]
    step = _STEPS.get(name, None if kind == "switch" else 1)
    if kind == "number":
        value, low, high = None if value is None else float(value), float(low), float(high)
        step = _STEPS.get(name, 10.0 ** math.floor(math.log10(value)) if value else 0.01)
    return RecipeChoice(prefix + name, label, kind, value, low, high, step=step, help=_HELP.get(name))
