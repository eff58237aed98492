"""A training run as a process of its own: started here, watched from its folder alone, paused, cancelled, resumed.

The process belongs to nobody: it outlives the page, the browser and the app, and an app that starts anew finds it by
the run's folder. `fracture_core.jobs.status` reads how it stands.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fracture_core.bundle.bundle import list_bundles
from fracture_core.bundle.manifest import check_name
from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.jobs.lock import BusyError, busy_sentence, current_trainer
from fracture_core.jobs.status import Job, RunStatus, find_run, set_request, status
from fracture_core.paths import expand_user_path, models_folder, working_folder
from fracture_core.recipe import Recipe
from fracture_core.training.run_folder import RunFolder, new_run_path

if TYPE_CHECKING:
    from fracture_core.data.dataset import Dataset
    from fracture_core.data.split import Split

#: What runs the command line, before `resume RUN`.
COMMAND: tuple[str, ...] = (sys.executable, "-m", "fracture_core")
_PATIENCE = 120.0  # seconds that a new process may take to say its name; it imports nothing heavy before
_FOLDERS = ("FRACTURE_RUNS_DIR", "FRACTURE_MODELS_DIR", "FRACTURE_CACHE_DIR", "FRACATLAS_DIR")
_children: list[subprocess.Popen] = []


class JobError(FractureCoreError):
    """A run that cannot be started, resumed or stopped."""


def start(recipe: Recipe, dataset: str | Path | None, bundle: str) -> Path:
    """Begin a run in a process of its own; give its folder.

    Raises BusyError where another run is training, and DatasetError, SplitError or JobError where it could not end
    well; then nothing was made.
    """
    check_idle()
    check(recipe, dataset)
    if bundle in list_bundles(models_folder()):
        raise JobError(f"There is already a bundle named {bundle!r}; choose another name.")
    run = prepare(recipe, dataset, bundle)
    try:
        return _launch(run)
    except FractureCoreError:
        if not RunFolder(run).started:
            shutil.rmtree(run, ignore_errors=True)
        raise


def resume(run: str | Path) -> Path:
    """Go on with a run in a process of its own; raise BusyError, RunError or JobError where that cannot be."""
    check_idle()
    found = status(find_run(run))
    if not found.resumable:
        raise JobError(f"The run {found.name} has come to its end; there is nothing to resume.")
    if Job.read(found.run) is None:
        raise JobError(f"The run {found.name} was not started from here; go on with it by `train --resume`.")
    return _launch(found.run)


def prepare(recipe: Recipe, dataset: str | Path | None, bundle: str) -> Path:
    """Make the folder of a run, with all that its process needs to know, and give it.

    Raises JobError where it cannot be written; then nothing stays of it.
    """
    check_name(bundle)
    run = new_run_path(recipe).resolve()
    root = None if dataset is None else _resolved(dataset)
    try:
        RunFolder(run).write_recipe(recipe)
        Job(root, bundle).write(run)
    except OSError as error:
        shutil.rmtree(run, ignore_errors=True)
        raise JobError(f"The run cannot be written to {run.parent} ({error.strerror}).") from error
    return run


def _resolved(folder: str | Path) -> str:
    return str(expand_user_path(folder).resolve())


def prepare_resumption(run: Path, recipe: Recipe, dataset: Path | None = None, bundle: str | None = None) -> Path:
    """Make a run, however it was begun, one that its process can go on with; give its folder.

    What is not given is as it was. Raises JobError where `recipe` is not the run's own.
    """
    run, before = find_run(run), Job.read(find_run(run))
    if RunFolder(run).recipe() != recipe:
        raise JobError(f"The run {run.name} was started with another recipe; start a new run.")
    root = _resolved(dataset) if dataset else before and before.dataset
    Job(root, check_name(bundle or (before.bundle if before else recipe.name))).write(run)
    return run


def check(recipe: Recipe, dataset: str | Path | None) -> tuple[Dataset, Split]:
    """See whether a run can be made of a recipe and a dataset; give the dataset and its split.

    Raises what `check_dataset` raises, and JobError where the starting bundle is missing.
    """
    source = recipe.start.removeprefix("bundle:")
    if source != recipe.start and source not in list_bundles(models_folder()):
        raise JobError(f"The starting weights' bundle {source!r} is not in {models_folder().name}/; choose others.")
    return check_dataset(dataset)


def check_dataset(
    dataset: str | Path | None, *, progress: Callable[[int, int], None] | None = None
) -> tuple[Dataset, Split]:
    """Open the dataset and divide it, to see whether a run can be made of it; give both.

    The split is the one before the audit, which a run does itself. Raises DatasetError, SplitError or JobError, with
    a sentence, on a wrong folder, one class alone, or too few images.
    """
    from fracture_core.data.dataset import open_dataset
    from fracture_core.data.split import own_split, project_split
    from fracture_core.data.user_dataset import OwnDataset

    opened = open_dataset(dataset, progress=progress)
    split = (own_split if isinstance(opened, OwnDataset) else project_split)(opened, None)
    labels = opened.table["label"]
    for part, ids in (("train", split.train), ("validation", split.val), ("test", split.test)):
        if labels.loc[list(ids)].nunique() < 2:
            raise JobError(f"The {part} images would all be of one class ({len(ids)} images): both are needed.")
    return opened, split


def free_name(stem: str, root: Path | None = None) -> str:
    """A bundle's name that is not taken in the folder `root`: the stem, or with a number behind it."""
    names, number = set(list_bundles(root)), 1
    name = stem
    while name in names:
        number += 1
        name = f"{stem}-{number}"
    return name


def measure(recipe: Recipe, dataset: str | Path | None, stop: threading.Event | None = None) -> None:
    """Let a process of its own time some steps of a recipe, for `estimate`; about a minute.

    Raises BusyError while a run is training, which would be measured along, and JobError where it fails.
    """
    check_idle()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recipe.json"
        write_text(file, json.dumps(recipe.to_json()))
        command = [*COMMAND, "estimate", str(file)] + (["--dataset", _resolved(dataset)] if dataset else [])
        child = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(),
            cwd=working_folder(),
        )
        while child.poll() is None:
            if stop is not None and stop.is_set():
                child.kill()
            time.sleep(0.1)
        words = child.stderr.read()
    if child.returncode and not (stop is not None and stop.is_set()):
        said = words.rpartition("error: ")[2].strip() if "error: " in words else "its process ended early"
        raise JobError(f"The speed cannot be measured: {said}")


def pause(run: Path) -> None:
    """Let a run wait before its next step; it keeps its memory and its place."""
    set_request(_alive(run).run, "pause")


def unpause(run: Path) -> None:
    """Let a run that waits go on."""
    set_request(_alive(run).run, None)


def cancel(run: Path) -> None:
    """Ask a run to stop at its next step: it writes a checkpoint, frees its memory, and can be resumed."""
    set_request(_alive(run).run, "stop")


def kill(run: Path) -> None:
    """End a run's process now; it can be resumed from its last checkpoint. For one that does not answer."""
    found = _alive(run)
    holder = current_trainer()
    # The lock says that this very process holds it now, so its number cannot have been given to another.
    if holder is not None and holder.run == found.run:
        os.kill(holder.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    wait(found.run, 10)


def wait(run: Path, seconds: float) -> RunStatus:
    """Wait until a run is no longer at work, at most `seconds`; give how it stands."""
    end = time.monotonic() + seconds
    while (found := status(run)).alive and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _launch(run: Path) -> Path:
    with (run / "output.txt").open("ab") as output:
        child = subprocess.Popen(
            [*COMMAND, "resume", str(run), "--background"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_environment(),
            cwd=working_folder(),
        )
    _children[:] = [one for one in _children if one.poll() is None] + [child]
    end = time.monotonic() + _PATIENCE
    while child.poll() is None and time.monotonic() < end:
        holder = current_trainer()
        if holder is not None and holder.pid == child.pid:
            return run
        time.sleep(0.05)
    found = status(run)
    if child.poll() is None:
        child.kill()
        raise JobError("The run's process does not answer; it was ended again.")
    if found.state in ("finished", "stopped"):
        return run
    raise JobError(found.error if found.state == "failed" else _last_words(run))


def _environment() -> dict[str, str]:
    """Ours, with its folders spelled out: the process stands elsewhere."""
    found = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    return found | {name: _resolved(found[name]) for name in _FOLDERS if found.get(name)}


def _last_words(run: Path) -> str:
    lines = (run / "output.txt").read_text("utf-8", errors="replace").split("error: ")
    return lines[-1].strip()[-500:] if len(lines) > 1 else "The run's process ended before it began; see output.txt."


def check_idle() -> None:
    """Raise BusyError, naming it, where another run is training on this machine."""
    if current_trainer() is not None:
        raise BusyError(busy_sentence())


def _alive(run: str | Path) -> RunStatus:
    found = status(Path(run))
    if not found.alive:
        raise JobError(f"The run {found.name} is not at work.")
    return found
