"""One training run on disk: what was asked, what it stands on, how it goes, and where it can go on from.

recipe.json           every choice
split.json            train, val, test and what was left out, with the digest
network.json          the graph, as data
run.json              git revision, versions, starting weights, times, finished or not
history.csv           a row an epoch, as it grows
log.txt
checkpoint.safetensors, best.safetensors     until it is finished
weights.safetensors   when it is finished
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fracture_core.errors import FractureCoreError
from fracture_core.files import atomic_write, write_text
from fracture_core.paths import APP, INSTALLED, runs_folder
from fracture_core.recipe import Recipe

if TYPE_CHECKING:
    from fracture_core.data.split import Split

_PACKAGES = ("tensorflow", "keras", "numpy", "openvino", "opencv-python-headless", "scikit-learn")


class RunError(FractureCoreError):
    """A run folder that cannot be made, read or resumed."""


def new_run_path(recipe: Recipe) -> Path:
    """A folder name that is not taken yet, not made: runs/<time>-<name>."""
    stem = f"{datetime.now().strftime('%Y%m%d-%H%M%S')}-{recipe.name}"
    path, number = runs_folder() / stem, 1
    while path.exists():
        number += 1
        path = runs_folder() / f"{stem}-{number}"
    return path


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to go on: `arrays` by name, and `state` as plain data."""

    arrays: Mapping[str, np.ndarray]
    state: Mapping[str, Any]


class RunFolder:
    """A run's files. `writes` is false for the workers of a distributed run that only compute."""

    def __init__(self, path: Path, *, writes: bool = True):
        self.path, self.writes = Path(path), writes

    @property
    def started(self) -> bool:
        """Whether the run has been set up, so that it can be resumed."""
        return (self.path / "run.json").is_file()

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return self.started and bool(self.record().get("finished"))

    def record(self) -> dict[str, Any]:
        """What run.json holds; raise RunError where it cannot be read."""
        return self._read("run.json")

    def recipe(self) -> Recipe:
        """The recipe it was started with."""
        return Recipe.from_json(self._read("recipe.json"))

    def split(self) -> Split:
        """The split it was started with; raise RunError where the file was altered."""
        from fracture_core.data.split import Split  # brings scikit-learn, which nothing else here needs

        data = self._read("split.json")
        split = Split(*(tuple(data[part]) for part in ("train", "val", "test")), dict(data["left_out"]))
        if split.digest != data["digest"]:
            raise RunError(f"The split of the run {self.path.name} was altered: its digest does not fit.")
        return split

    def history(self) -> list[dict[str, float]]:
        """The epochs so far, as history.csv has them; empty before the first has ended."""
        try:
            with (self.path / "history.csv").open(newline="", encoding="utf-8") as file:
                return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"The history of the run {self.path.name} cannot be read ({error}).") from error

    def begin(self, recipe: Recipe, split: Split) -> None:
        """Write what the run stands on; `note` makes it a run that can be resumed."""
        parts = {name: list(getattr(split, name)) for name in ("train", "val", "test")}
        parts |= {"left_out": split.left_out, "digest": split.digest}
        self.write_recipe(recipe)
        self._write("split.json", parts)

    def write_recipe(self, recipe: Recipe) -> None:
        """Write recipe.json."""
        self._write("recipe.json", recipe.to_json())

    def note(self, **entries: Any) -> None:
        """Add to run.json, or change what it says."""
        before = self.record() if self.started else {}
        self._write("run.json", before | entries)

    def write_graph(self, graph: Mapping[str, Any]) -> None:
        """Write network.json."""
        self._write("network.json", graph)

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write history.csv anew: a table with a header, a row an epoch."""
        if not self.writes or not rows:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)
        write_text(self.path / "history.csv", text.getvalue())

    def log(self, text: str) -> None:
        """Add a line to log.txt, with the time."""
        if self.writes:
            with (self.path / "log.txt").open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now().isoformat(sep=' ', timespec='seconds')}  {text}\n")

    def save(self, name: str, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Write `name`.safetensors in one atomic step, exactly as the arrays are."""
        if self.writes:
            with atomic_write(self.path / f"{name}.safetensors") as temporary:
                save_file(dict(arrays), temporary, {"state": json.dumps(state)})

    def load(self, name: str) -> Checkpoint:
        """Read what `save` wrote; raise RunError where it is missing or damaged."""
        path = self.path / f"{name}.safetensors"
        try:
            with safe_open(path, "numpy") as file:
                state = json.loads(file.metadata()["state"])
                return Checkpoint({key: file.get_tensor(key) for key in file.keys()}, state)  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"The run {self.path.name} cannot go on: its {name} is missing or damaged.") from error

    def remove(self, *names: str) -> None:
        """Delete checkpoints that are needed no more."""
        if self.writes:
            for name in names:
                (self.path / f"{name}.safetensors").unlink(missing_ok=True)

    def _write(self, file: str, data: Any) -> None:
        if self.writes:
            write_text(self.path / file, json.dumps(data, indent=1) + "\n")

    def _read(self, file: str) -> dict[str, Any]:
        try:
            data = json.loads((self.path / file).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path.name} is not the folder of a run: {file} cannot be read.") from error
        if not isinstance(data, dict):
            raise RunError(f"{self.path.name} is not the folder of a run: {file} is damaged.")
        return data


def provenance() -> dict[str, Any]:
    """What the code and the machine are: git revision (None outside a checkout), versions, Python, platform."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_revision": _git("rev-parse", "HEAD"),
        "git_changed": bool(_git("status", "--porcelain", "--untracked-files=no", "--", "fracture_core")),
        "versions": {package: version(package) for package in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
    }


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 (hex) of arrays by name: equal digests mean equal weights, bit for bit."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(key.encode() + np.ascontiguousarray(arrays[key]).tobytes())
    return digest.hexdigest()


def _git(*arguments: str) -> str | None:
    if INSTALLED:
        return None  # a repository around the environment would be another project's
    try:
        done = subprocess.run(["git", *arguments], cwd=APP, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
