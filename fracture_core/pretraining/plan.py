"""The plan of a pre-training: the student's recipe, the teacher, and the stages in order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.json_files import load_json
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
        names = [s.name for s in stages]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            # What a stage has finished is known by its name: the second one would be skipped.
            raise PretrainingError(f"Two stages of the plan are called {twice[0]!r}; give each its own name.")
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
            return cls.from_json(load_json(path))
        except (OSError, ValueError) as error:
            raise PretrainingError(f"The plan {str(name_or_path)!r} cannot be read ({error}).") from error


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a run's folder: two processes that write the same checkpoints would undo each other's steps.

    Args:
        folder: The run's folder, which exists.

    Yields:
        Nothing.

    Raises:
        PretrainingError: Another process holds it, or it cannot be written.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PretrainingError(f"Another process is pre-training in {folder}; choose another folder.") from None
    except OSError as error:
        raise PretrainingError(f"{folder} cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.release()


def claim_folder(folder: Path, plan: Plan, **origin: Any) -> None:
    """Note in a folder which plan it is for, or check that it is for this one: stages are resumed by their names alone.

    Args:
        folder: The run's folder.
        plan: What is to run there.
        **origin: What else decides the result, as plain data: the initial weights, the split.

    Raises:
        PretrainingError: It is another plan's, or another kind of run's.
    """
    plain = asdict(plan) | {"recipe": plan.recipe.to_json()} | origin
    wanted = json.loads(json.dumps(plain, default=dict))
    file = folder / "plan.json"
    try:
        found = json.loads(file.read_text("utf-8"))
        differing = [name for name in wanted if found.get(name) != wanted[name]]
    except FileNotFoundError:
        # Folders from before this file existed are taken as they are, unless a training left them.
        differing = ["kind"] if (folder / "job.json").exists() else []
    except (OSError, ValueError, AttributeError) as error:
        raise PretrainingError(f"{file} cannot be read ({error}).") from error
    if differing:
        what = ", ".join(name.replace("_", " ") for name in differing)
        raise PretrainingError(
            f"The folder {folder} holds another run (it differs in: {what}). Choose another folder with --run, or "
            "delete it to begin anew."
        )
    write_text(file, json.dumps(wanted, indent=1) + "\n")
