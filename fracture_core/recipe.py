"""The settings of a training run: one frozen dataclass, validated on creation and saved beside the results."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from fracture_core.errors import FractureCoreError
from fracture_core.json_files import load_json
from fracture_core.paths import RECIPES

BackboneName = Literal["densenet121", "resnet50v2", "efficientnetv2-b0", "efficientnet-lite2", "xception"]
ClassBalance = Literal["none", "weights", "oversample"]
Loss = Literal["cross_entropy", "focal"]
LearningRateSchedule = Literal["constant", "cosine", "reduce_on_plateau"]
Monitor = Literal["loss", "auc"]
View = Literal["plain", "flip"]
Head = Literal["global", "cells"]


class RecipeError(FractureCoreError):
    """A recipe with an invalid value, or a file that does not contain a recipe."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes to a training image. Ranges are half-widths around no change; 0 switches a change off."""

    rotation: float = 0.0  # degrees
    shift: float = 0.0  # share of the side, each axis by itself
    shear: float = 0.0  # degrees
    zoom: float = 0.0  # factor 1 - zoom .. 1 + zoom
    horizontal_flip: bool = False
    vertical_flip: bool = False
    brightness: float = 0.0  # factor 1 - brightness .. 1 + brightness
    contrast: float = 0.0  # factor about the mean, 1 - contrast .. 1 + contrast
    gamma: float = 0.0  # exponent exp(-gamma .. gamma)
    noise: float = 0.0  # standard deviation, up to, in grey levels
    erase: float = 0.0  # probability of blanking one random box (Zhong et al. 2017)
    nearest_fill: bool = False  # repeat edge pixels into what a shift uncovers, as Keras' generator does; else black

    def __post_init__(self) -> None:
        """Validate every value; raise RecipeError naming the first invalid one."""
        _check_types(self)
        _check_ranges(self, _AUGMENTATION_RANGES)

    @property
    def active(self) -> bool:
        """Whether anything changes at all."""
        return dataclasses.replace(self, nearest_fill=False) != Augmentation()


@dataclass(frozen=True)
class Recipe:
    """What a run trains, on what, from which weights and how. Two equal recipes give the same run."""

    name: str
    backbone: BackboneName = "densenet121"
    image_size: int = 224  # pixels; the side of the letterboxed square
    start: str = "imagenet"  # "imagenet", "none", "bundle:NAME", or the path of a weights file
    localiser: int = 0  # channels of the localisation head; 0 leaves it out
    # What the image's logit is: "global", a pooled last map's, plus the pooled cells where there is a localiser;
    # "cells", the pooled cells alone.
    head: Head = "global"
    dropout: float = 0.0
    trainable_blocks: float | None = None  # of the backbone, from the output; 0.25: a quarter of the last; None: all
    crop_to_field: bool = False  # crop unexposed borders and empty margins before letterboxing
    leak_free: bool = True  # remove duplicates across the split, and truncated files, from train and val
    # the objective
    loss: Loss = "cross_entropy"
    focal_gamma: float = 2.0
    class_balance: ClassBalance = "none"
    label_smoothing: float = 0.0
    box_weight: float = 0.0  # weight of the loss on cells, relative to that on the image
    box_positive_weight: float = 8.0  # weight of a cell on a fracture, relative to one elsewhere
    global_weight: float = 0.0  # weight of the global head's own loss
    mixup: float = 0.0  # alpha of the beta distribution; 0 switches it off
    # the optimiser
    epochs: int = 25
    batch_size: int = 32
    learning_rate: float = 1e-4
    schedule: LearningRateSchedule = "constant"
    warmup: float = 0.0  # share of all steps
    weight_decay: float = 0.0  # decoupled, as AdamW
    gradient_norm: float = 0.0  # gradients are clipped to this norm; 0 switches clipping off
    weight_averaging: float = 0.0  # decay per step of the running average of the weights; 0 switches it off
    early_stopping: int | None = None  # epochs without improvement of the monitor; None never stops early
    monitor: Monitor = "loss"  # the validation metric that selects the checkpoint
    fast_path: bool = False  # train on cached features of the frozen blocks
    views: int = 4  # augmented views per image if features are cached, including the plain one
    test_time_views: tuple[View, ...] = ("plain",)
    test_time_sizes: tuple[int, ...] = ()  # smaller sides, pixels, at which each view is read as well
    seed: int = 42
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Validate every value; raise RecipeError naming the first invalid one."""
        _check_types(self)
        _check_ranges(self, _RANGES)
        if self.image_size % 32:
            raise RecipeError(f"image_size is {self.image_size}; it must be a multiple of 32.")
        if self.box_weight and not self.localiser:
            raise RecipeError("box_weight needs the localiser; set its channels, for example localiser=128.")
        if self.head == "cells" and not self.localiser:
            raise RecipeError("The cells head needs the localiser; set its channels, for example localiser=128.")
        if self.localiser % 4:
            raise RecipeError(f"localiser is {self.localiser}; it must be a multiple of 4.")
        if self.trainable_blocks and self.trainable_blocks > 1 and self.trainable_blocks % 1:
            raise RecipeError(f"trainable_blocks is {self.trainable_blocks}; above 1 it must be a whole number.")
        if not self.test_time_views or any(view not in get_args(View) for view in self.test_time_views):
            raise RecipeError(f"test_time_views is {self.test_time_views!r}; use some of plain, flip.")
        if any(not _is_a(n, int) or n % 32 or not 0 < n < self.image_size for n in self.test_time_sizes):
            raise RecipeError(f"test_time_sizes is {self.test_time_sizes!r}; use multiples of 32 below image_size.")
        if self.fast_path and (self.trainable_blocks is None or self.mixup):
            raise RecipeError("fast_path needs frozen blocks (set trainable_blocks) and no mixup.")
        if not self.name or "/" in self.name or "\\" in self.name or self.name.startswith("."):
            raise RecipeError(f"{self.name!r} cannot be used as a name; use letters, digits, dots and hyphens.")

    def replace(self, **changes: Any) -> Recipe:
        """Return a copy with some settings changed.

        Args:
            **changes: New values by field name, or by "augmentation.zoom" and the like; plain data will do.

        Returns:
            The new recipe.

        Raises:
            RecipeError: A field does not exist or a value is invalid.
        """
        inner = {key.partition(".")[2]: changes.pop(key) for key in list(changes) if key.startswith("augmentation.")}
        _refuse_unknown(changes, Recipe, "A recipe")
        _refuse_unknown(inner, Augmentation, "The augmentation")
        changed = dataclasses.replace(self, **_from_plain(changes))
        return dataclasses.replace(changed, augmentation=dataclasses.replace(changed.augmentation, **inner))

    @property
    def reading(self) -> str:
        """How a radiograph is read, in words: the sizes, and the views if there are more than the plain one."""
        sizes = " and ".join(f"{size} x {size}" for size in (self.image_size, *self.test_time_sizes))
        views = " and ".join({"plain": "as it is", "flip": "mirrored"}[view] for view in self.test_time_views)
        return f"{sizes} pixels" if self.test_time_views == ("plain",) else f"{sizes} pixels, {views},"

    def to_json(self) -> dict[str, Any]:
        """Return plain data; `Recipe.from_json` is its inverse.

        Returns:
            One entry per field.
        """
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Recipe:
        """Read plain data; missing settings take their defaults.

        Args:
            data: One entry per field, at least a name.

        Returns:
            The recipe.

        Raises:
            RecipeError: A setting is unknown or invalid, or `data` is not an object with a name.
        """
        if not isinstance(data, dict) or not isinstance(data.get("name"), str):
            raise RecipeError("This is not a recipe: it must be an object with a name.")
        values = {key: value for key, value in data.items() if key != "about"}  # free text in recipe files
        _refuse_unknown(values, cls, "In this version a recipe")
        return cls(**_from_plain(values))

    @classmethod
    def load(cls, name_or_path: str | Path) -> Recipe:
        """Read one of the project's recipes by name, or a recipe file by path.

        Args:
            name_or_path: "default" and the like, or a path that ends in .json.

        Returns:
            The recipe.

        Raises:
            RecipeError: It does not exist, cannot be read or is invalid.
        """
        path = Path(name_or_path)
        if path.suffix != ".json":
            path = RECIPES / f"{Path(name_or_path).name}.json"
        if path.exists() and not path.is_file():
            raise RecipeError(f"The recipe {str(name_or_path)!r} cannot be read (it is not a file).")
        try:
            data = load_json(path)
        except FileNotFoundError as error:
            raise RecipeError(f"There is no recipe {str(name_or_path)!r}; available: {_recipes()}.") from error
        except (OSError, ValueError) as error:
            raise RecipeError(f"The recipe {str(name_or_path)!r} cannot be read ({error}).") from error
        if _is_plan(data):
            raise RecipeError(
                f"{str(name_or_path)!r} is a plan for pre-training, not a recipe: run it with `pretrain`."
            )
        return cls.from_json(data)


def _recipes() -> str:
    """Return the names of the project's recipes, for a sentence."""
    return ", ".join(path.stem for path in sorted(RECIPES.glob("*.json")) if not _is_plan(load_json(path)))


def _is_plan(data: Any) -> bool:
    """Return whether plain data is a plan for pre-training, which lies among the recipes and has one inside."""
    return isinstance(data, dict) and "recipe" in data and "stages" in data


def _refuse_unknown(values: Mapping[str, Any], kind: type, words: str) -> None:
    if unknown := set(values) - {f.name for f in dataclasses.fields(kind)}:
        raise RecipeError(f"{words} has no setting {', '.join(sorted(unknown))}.")


def _from_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the kinds of the fields: a list as a tuple, an object as an augmentation."""
    lists = {key for key, hint in _hints(Recipe).items() if get_origin(hint) is tuple}
    made = {key: tuple(value) if key in lists and isinstance(value, list) else value for key, value in values.items()}
    if isinstance(augmentation := made.get("augmentation"), Mapping):
        _refuse_unknown(augmentation, Augmentation, "The augmentation")
        made["augmentation"] = Augmentation(**augmentation)
    return made


@cache
def _hints(kind: type) -> dict[str, Any]:
    # Cached, because Python evaluates the annotations on every call.
    return get_type_hints(kind)


def _check_types(choices: Augmentation | Recipe) -> None:
    kind: type = type(choices)
    for name, hint in _hints(kind).items():
        value = getattr(choices, name)
        if get_origin(hint) is Literal:
            if value not in get_args(hint):
                raise RecipeError(f"{name} is {value!r}; it must be one of {', '.join(get_args(hint))}.")
        elif not _is_a(value, hint):
            words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", tuple: "a list"}
            kind = get_args(hint)[0] if isinstance(hint, UnionType) else hint
            raise RecipeError(f"{name} is {value!r}; it must be {words.get(get_origin(kind) or kind, 'an object')}.")


def _is_a(value: Any, hint: Any) -> bool:
    if isinstance(hint, UnionType):
        return any(_is_a(value, option) for option in get_args(hint))
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, get_origin(hint) or hint)


def _check_ranges(choices: Augmentation | Recipe, ranges: Mapping[str, tuple[float, float]]) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(choices, name)
        if value is not None and not low <= value <= high:
            raise RecipeError(f"{name} is {value!r}; it must be a number from {low} to {high}.")


_AUGMENTATION_RANGES = {
    "rotation": (0, 180),
    "shift": (0, 0.5),
    "shear": (0, 45),
    "zoom": (0, 0.9),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "gamma": (0, 3),
    "noise": (0, 255),
    "erase": (0, 1),
}
_RANGES = {
    "image_size": (32, 1024),
    "localiser": (0, 512),
    "dropout": (0, 0.9),
    "trainable_blocks": (0, 99),
    "focal_gamma": (0, 10),
    "label_smoothing": (0, 0.5),
    "box_weight": (0, 100),
    "box_positive_weight": (0.01, 1000),
    "global_weight": (0, 100),
    "mixup": (0, 10),
    "epochs": (1, 10_000),
    "batch_size": (1, 1024),
    "learning_rate": (1e-8, 1),
    "warmup": (0, 0.9),
    "weight_decay": (0, 1),
    "gradient_norm": (0, 1000),
    "weight_averaging": (0, 0.99999),
    "early_stopping": (1, 10_000),
    "views": (1, 64),
    "seed": (0, 2**31 - 1),
}
