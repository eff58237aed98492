"""The plan of a pre-training: the student's recipe, the teacher, and the stages in order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fracture_core.errors import FractureCoreError
from fracture_core.paths import RECIPES
from fracture_core.recipe import Recipe


class PretrainingError(FractureCoreError):
    """An invalid plan, or PyTorch is missing."""


@dataclass(frozen=True)
class Stage:
    """One pre-training stage: image size, whether to distil from the teacher, and the schedule as plain data.

    With `views` the student sees random views, including close-ups from the radiographs' own pixels
    (`data.random_views`), and the recipe's augmentation is not used; without it, whole letterboxed radiographs.
    """

    name: str
    image_size: int
    teacher: bool
    schedule: Mapping[str, Any]
    views: bool = False


@dataclass(frozen=True)
class Plan:
    """The student's recipe, the teacher (a backbone's name and its weights), and the stages in order.

    The recipe's image size and test-time views are those of the finished network. With `statistics_images`, batch
    normalisation's statistics are measured again on so many training radiographs at the end.
    """

    recipe: Recipe
    stages: tuple[Stage, ...]
    teacher: str | None = None
    teacher_weights: str = "imagenet"
    statistics_images: int = 0

    @classmethod
    def from_json(cls, data: Any) -> Plan:
        """Read plain data.

        Args:
            data: One entry per field.

        Returns:
            The plan.

        Raises:
            PretrainingError: It is not a plan.
        """
        try:
            stages = tuple(Stage(**stage) for stage in data["stages"])
            recipe = Recipe.from_json(data["recipe"])
            plan = cls(
                recipe=recipe,
                stages=stages,
                teacher=data.get("teacher"),
                teacher_weights=data.get("teacher_weights", "imagenet"),
                statistics_images=int(data.get("statistics_images", 0)),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise PretrainingError(f"This is not a pre-training plan ({error}).") from error
        if not stages or (any(s.teacher for s in stages) and not plan.teacher):
            raise PretrainingError("A plan needs stages, and a teacher where a stage asks for one.")
        if any(s.schedule.get("mixing") and not (s.teacher and s.schedule.get("logit_weight")) for s in stages):
            raise PretrainingError(
                "Only a teacher's logit says what a blend of two radiographs shows: mixing needs both."
            )
        return plan

    @classmethod
    def load(cls, name_or_path: str | Path) -> Plan:
        """Read one of the project's plans by name, or a file by path.

        Args:
            name_or_path: "pretrain" and the like, or a path that ends in .json.

        Returns:
            The plan.

        Raises:
            PretrainingError: It does not exist or is invalid.
        """
        path = Path(name_or_path)
        path = path if path.suffix == ".json" else RECIPES / f"{path.name}.json"
        try:
            return cls.from_json(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise PretrainingError(f"The plan {str(name_or_path)!r} cannot be read ({error}).") from error
