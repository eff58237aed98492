"""Three plans to start a training run from: a first try, a better model, and the reference study's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fracture_core.recipe import Recipe


@dataclass(frozen=True)
class Preset:
    """A plan under a name: a recipe of the project with some choices changed.

    `typical` says how long it takes where this machine was not measured yet.
    """

    key: str
    title: str
    about: str
    typical: str
    source: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        """The plan's recipe."""
        return Recipe.load(self.source).replace(**self.changes)


PRESETS: Mapping[str, Preset] = {
    preset.key: preset
    for preset in (
        Preset(
            key="try",
            title="Try it",
            about="Starts from the shipped model and trains its last layers for 3 epochs. To see how training works.",
            typical="minutes",
            source="default",
            changes={"epochs": 3, "views": 1, "trainable_blocks": 0.25},
        ),
        Preset(
            key="better",
            title="Better",
            about="Starts from the shipped model; 25 epochs with augmented views and the radiologists' boxes.",
            typical="under an hour",
            source="default",
        ),
        Preset(
            key="reference",
            title="The reference study",
            about="DenseNet121 from ImageNet weights at 224 px, every layer trained, as published. For comparison.",
            typical="4 to 5 hours",
            source="reference",
        ),
    )
}

#: The choices of a recipe by subject, in the order of a form. What is not named here comes last.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Length and speed": ("epochs", "batch_size", "learning_rate", "early_stopping", "monitor"),
    "Network": ("image_size", "trainable_blocks", "localiser", "head", "dropout", "crop_to_field"),
    "Data": ("leak_free", "class_balance", "fast_path", "views", "mixup", "seed"),
    "Loss": (
        "loss",
        "focal_gamma",
        "label_smoothing",
        "box_weight",
        "box_positive_weight",
        "global_weight",
    ),
    "Optimiser": ("schedule", "warmup", "weight_decay", "gradient_norm", "weight_averaging"),
    "Augmentation": (),
}

#: What each choice does, where the form has no longer help for it.
HELP: Mapping[str, str] = {
    "learning_rate": "Step size of the optimiser. A larger one learns faster but less steadily.",
    "monitor": "The validation metric that decides which epoch is kept.",
    "localiser": "Channels of the head that finds the fracture; 0 leaves it out. A multiple of 4.",
    "head": "Global: from the whole last map. Cells: from the cells alone, so that the heatmap is the answer.",
    "dropout": "Share of features dropped at random while training.",
    "class_balance": "How the rarer class, fractures, is made to count as much as the other.",
    "mixup": "Blends pairs of images (alpha of the beta distribution); 0 switches it off. Not with the fast path.",
    "seed": "The same seed and settings give the same run.",
    "loss": "Cross-entropy, or focal loss, which gives hard images more weight.",
    "focal_gamma": "How much more hard images count in the focal loss.",
    "label_smoothing": "Softens the labels, since some of them are wrong.",
    "box_weight": "Weight of the loss on the radiologists' boxes beside that on the image's label.",
    "box_positive_weight": "How much more a cell on a fracture counts than one beside it.",
    "global_weight": "Weight of the whole-image head's own loss.",
    "schedule": "How the learning rate changes: not at all, along a cosine, or when validation stops improving.",
    "warmup": "Share of all steps over which the learning rate rises to its value.",
    "weight_decay": "Pulls the weights towards zero, against overfitting.",
    "gradient_norm": "Longer gradients are shortened to this length; 0 leaves them as they are.",
    "weight_averaging": "Decay per step of a running average of the weights, which is what is kept; 0: off.",
    "augmentation.rotation": "Degrees to either side.",
    "augmentation.shift": "Share of the image's side, in each direction.",
    "augmentation.shear": "Degrees.",
    "augmentation.zoom": "0.2 zooms by a factor from 0.8 to 1.2.",
    "augmentation.horizontal_flip": "Mirrors left and right at random.",
    "augmentation.vertical_flip": "Mirrors top and bottom at random.",
    "augmentation.brightness": "0.15 brightens or darkens by up to 15 %.",
    "augmentation.contrast": "0.25 changes the contrast by up to 25 %.",
    "augmentation.gamma": "Exponent of the grey curve, up to exp(value).",
    "augmentation.noise": "Standard deviation of the noise, up to, in grey levels.",
    "augmentation.erase": "Probability that a random box is blanked.",
    "augmentation.nearest_fill": "Repeats the edge into what a shift uncovers; otherwise it is black.",
}


def group_of(key: str) -> str:
    """Return the group of a setting.

    Args:
        key: Its key in the form, for example "augmentation.zoom".

    Returns:
        The group.
    """
    if key.startswith("augmentation."):
        return "Augmentation"
    return next((title for title, keys in GROUPS.items() if key in keys), "Optimiser")
