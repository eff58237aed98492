"""The folder of a training run: its settings, its progress, and the checkpoint it can be resumed from.

recipe.json           every setting
split.json            train, val, test and what was left out, with the digest
network.json          the graph, as data
run.json              git revision, versions, initial weights, times, whether it is finished
history.csv           one row per epoch, as it grows
log.txt
checkpoint.safetensors, best.safetensors     until it is finished
weights.safetensors   when it is finished
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fracture_core.errors import FractureCoreError
from fracture_core.files import atomic_write, write_text
from fracture_core.network.graph import Graph
from fracture_core.paths import runs_folder
from fracture_core.recipe import Recipe

if TYPE_CHECKING:
    from fracture_core.data.split import Split


class RunError(FractureCoreError):
    """A run folder that cannot be created, read or resumed."""


def new_run_path(recipe: Recipe) -> Path:
    """Return a path for a new run, runs/<time>-<name>, that does not exist yet.

    Args:
        recipe: The run's recipe.

    Returns:
        The path.
    """
    stem = f"{datetime.now().strftime('%Y%m%d-%H%M%S')}-{recipe.name}"
    path, number = runs_folder() / stem, 1
    while path.exists():
        number += 1
        path = runs_folder() / f"{stem}-{number}"
    return path


@dataclass(frozen=True)
class Checkpoint:
    """Everything needed to resume a run: `arrays` by name, and `state` as plain data."""

    arrays: Mapping[str, np.ndarray]
    state: Mapping[str, Any]


class RunFolder:
    """The files of a run. `writes` is false for the workers of a distributed run that only compute."""

    def __init__(self, path: Path, *, writes: bool = True):
        self.path, self.writes = Path(path), writes

    @property
    def started(self) -> bool:
        """Whether the run has been set up, so that it can be resumed."""
        return (self.path / "run.json").is_file()

    @property
    def finished(self) -> bool:
        """Whether the run is finished."""
        return self.started and bool(self.record().get("finished"))

    def record(self) -> dict[str, Any]:
        """Return the content of run.json.

        Returns:
            The record, plain data.

        Raises:
            RunError: It cannot be read.
        """
        return self._read("run.json")

    def recipe(self) -> Recipe:
        """Return the recipe that the run was started with.

        Returns:
            The recipe, validated.

        Raises:
            RunError: The file cannot be read.
            RecipeError: It has a setting that is unknown or invalid.
        """
        return Recipe.from_json(self._read("recipe.json"))

    def split(self) -> Split:
        """Return the split that the run was started with.

        Returns:
            The split, its digest checked.

        Raises:
            RunError: The file cannot be read or was altered.
        """
        from fracture_core.data.split import Split  # brings scikit-learn, which nothing else here needs

        data = self._read("split.json")
        try:
            train, val, test = (tuple(data[part]) for part in ("train", "val", "test"))
            split = Split(train=train, val=val, test=test, left_out=dict(data["left_out"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"The split of the run {self.path.name} cannot be read.") from error
        if split.digest != data.get("digest"):
            raise RunError(f"The split of the run {self.path.name} was altered: its digest does not match.")
        return split

    def graph(self) -> Graph:
        """Return the network's graph.

        Returns:
            The graph, validated.

        Raises:
            RunError: It cannot be read.
        """
        try:
            return Graph.from_json(self._read("network.json"))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"The network of the run {self.path.name} cannot be read ({error}).") from error

    def history(self) -> list[dict[str, float]]:
        """Return the history of the completed epochs.

        Returns:
            One dict per epoch, the columns of history.csv; [] before the first.

        Raises:
            RunError: The file cannot be read.
        """
        try:
            with (self.path / "history.csv").open(newline="", encoding="utf-8") as file:
                return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"The history of the run {self.path.name} cannot be read ({error}).") from error

    def write_setup(self, recipe: Recipe, split: Split) -> None:
        """Write recipe and split; `update_record` then makes it a run that can be resumed.

        Args:
            recipe: The run's recipe.
            split: Train, val and test.
        """
        parts: dict[str, Any] = {name: list(getattr(split, name)) for name in ("train", "val", "test")}
        parts |= {"left_out": split.left_out, "digest": split.digest}
        self.write_recipe(recipe)
        self._write("split.json", parts)

    def write_recipe(self, recipe: Recipe) -> None:
        """Write recipe.json.

        Args:
            recipe: The run's recipe.
        """
        self._write("recipe.json", recipe.to_json())

    def update_record(self, **entries: Any) -> None:
        """Add entries to run.json, or change them.

        Args:
            **entries: Plain data.
        """
        before = self.record() if self.started else {}
        self._write("run.json", before | entries)

    def write_graph(self, graph: Mapping[str, Any]) -> None:
        """Write network.json.

        Args:
            graph: The graph as plain data.
        """
        self._write("network.json", graph)

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write history.csv.

        Args:
            rows: One row per completed epoch.
        """
        if not self.writes or not rows:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)
        write_text(self.path / "history.csv", text.getvalue())

    def log(self, text: str) -> None:
        """Add a line to log.txt.

        Args:
            text: The line.
        """
        if self.writes:
            with (self.path / "log.txt").open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now().isoformat(sep=' ', timespec='seconds')}  {text}\n")

    def save(self, name: str, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Write `name`.safetensors atomically, with the arrays exactly as they are.

        Args:
            name: "checkpoint" or "best".
            arrays: The arrays by name.
            state: Plain data.
        """
        if self.writes:
            with atomic_write(self.path / f"{name}.safetensors") as temporary:
                save_file(dict(arrays), temporary, {"state": json.dumps(state)})

    def load(self, name: str) -> Checkpoint:
        """Read what `save` wrote.

        Args:
            name: "checkpoint" or "best".

        Returns:
            Arrays and state.

        Raises:
            RunError: It is missing or damaged.
        """
        path = self.path / f"{name}.safetensors"
        try:
            with safe_open(path, "numpy") as file:
                state = json.loads(file.metadata()["state"])
                return Checkpoint({key: file.get_tensor(key) for key in file.keys()}, state)  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"The run {self.path.name} cannot continue: its {name} is missing or damaged.") from error

    def remove(self, *names: str) -> None:
        """Delete checkpoints that are no longer needed.

        Args:
            *names: "checkpoint" or "best".
        """
        if self.writes:
            for name in names:
                (self.path / f"{name}.safetensors").unlink(missing_ok=True)

    def _write(self, file: str, data: Any) -> None:
        if self.writes:
            write_text(self.path / file, json.dumps(data, indent=1) + "\n")

    def _read(self, file: str) -> dict[str, Any]:
        try:
            data = json.loads((self.path / file).read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{self.path.name} is not a run folder: {file} cannot be read.") from error
        if not isinstance(data, dict):
            raise RunError(f"{self.path.name} is not a run folder: {file} is damaged.")
        return data


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """Compute the SHA-256 of arrays by name: equal digests mean weights that are equal bit for bit.

    Args:
        arrays: The arrays by name.

    Returns:
        The digest in hex.
    """
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(key.encode() + np.ascontiguousarray(arrays[key]).tobytes())
    return digest.hexdigest()
