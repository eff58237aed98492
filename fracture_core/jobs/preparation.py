"""Check whether a run is possible, and set up its folder before its process starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fracture_core.bundle.loading import list_bundles
from fracture_core.bundle.manifest import LONGEST_NAME, check_name
from fracture_core.data.combined.sources import Sources
from fracture_core.errors import FractureCoreError
from fracture_core.jobs.control import Job
from fracture_core.jobs.lock import announced, check_idle, starting_lock, training_lock
from fracture_core.jobs.status import find_run, state_at_rest
from fracture_core.paths import expand_user_path, models_folder
from fracture_core.recipe import Recipe
from fracture_core.training.run_folder import RunFolder, new_run_path

if TYPE_CHECKING:
    from fracture_core.data.dataset import Dataset
    from fracture_core.data.split import Split


class JobError(FractureCoreError):
    """A run that cannot be started, resumed or stopped."""


def make_run_folder(recipe: Recipe) -> Path:
    """Make the folder of a new run, which no other process can be given as well.

    Args:
        recipe: The run's recipe.

    Returns:
        The absolute path; the folder is empty, so that it is not listed as a run yet.

    Raises:
        JobError: It cannot be made.
    """
    while True:
        run = new_run_path(recipe).resolve()
        try:
            run.mkdir(parents=True)
        except OSError as error:
            if run.is_dir():
                continue  # taken by another process since the look
            raise JobError(f"The run cannot be written to {run.parent} ({error.strerror}).") from error
        return run


def prepare(recipe: Recipe, dataset: Sources | str | Path | None, bundle: str, run: Path | None = None) -> Path:
    """Create the folder of a run with everything that its process needs to know.

    Args:
        recipe: What to train.
        dataset: Where the radiographs are: a folder or csv; None for the default FracAtlas.
        bundle: Name of the bundle to create.
        run: What `make_run_folder` returned; by default it is called here.

    Returns:
        The run's folder.

    Raises:
        BundleError: The bundle's name is invalid.
        JobError: The folder cannot be written; nothing is left behind.
    """
    check_name(bundle)
    run = run or make_run_folder(recipe)
    sources = Sources.of(dataset)
    try:
        RunFolder(run).write_recipe(recipe)
        Job(sources.dataset, bundle, sources.site, sources.site_weight).write(run)
    except OSError as error:
        shutil.rmtree(run, ignore_errors=True)
        raise JobError(f"The run cannot be written to {run.parent} ({error.strerror}).") from error
    return run


@contextmanager
def new_run(recipe: Recipe, dataset: Sources | str | Path | None, bundle: str) -> Iterator[Path]:
    """Create the folder of a run, and hold the training lock for it; use it as a context, and train there.

    Args:
        recipe: What to train.
        dataset: Where the radiographs are: a folder or csv; None for the default FracAtlas.
        bundle: Name of the bundle to create.

    Yields:
        The run's folder.

    Raises:
        BusyError: Another run is training or being started; nothing is left behind.
        BundleError: The bundle's name is invalid.
        JobError: The folder cannot be written.
    """
    with ExitStack() as held:
        # From the last look until this process holds the training lock nobody else may start a run.
        with starting_lock():
            check_idle()
            run = make_run_folder(recipe)
            try:
                with announced(run):
                    prepare(recipe, dataset, bundle, run)
                    held.enter_context(training_lock(run))
            except BaseException:
                shutil.rmtree(run, ignore_errors=True)
                raise
        yield run


def resolved_folder(folder: str | Path) -> str:
    """Return a user-supplied path as an absolute one.

    Args:
        folder: It may start with ~.

    Returns:
        The absolute path.
    """
    return str(expand_user_path(folder).resolve())


def prepare_resumption(
    run: Path, recipe: Recipe, dataset: Sources | Path | None = None, bundle: str | None = None
) -> Path:
    """Prepare a run, however it was started, so that its process can resume it.

    Args:
        run: Its folder, its name or a part of the name.
        recipe: The run's recipe.
        dataset: A folder or csv; by default as before.
        bundle: Name of the bundle to create; by default as before.

    Returns:
        The run's folder.

    Raises:
        RunError: There is no such run.
        JobError: The run has finished, was never begun or has another recipe, or a site's films counted differently.
    """
    run = find_run(run)
    # A run that was not started as a job becomes one, even if only its bundle is to be made.
    before = None if RunFolder(run).started and Job.read(run) is None else check_resumable(run)
    if RunFolder(run).recipe() != recipe:
        raise JobError(f"The run {run.name} was started with another recipe; start a new run.")
    recorded, given = before.sources if before else Sources(), Sources.of(dataset)
    if None not in (recorded.site_weight, given.site_weight) and recorded.site_weight != given.site_weight:
        raise JobError(
            f"In the run {run.name} a site's film counts {recorded.site_weight:g} times; "
            "start a new run to change that."
        )
    name = check_name(bundle or (before.bundle if before else recipe.name))
    sources = sources_of_run(run, given)
    Job(sources.dataset, name, sources.site, sources.site_weight).write(run)
    return run


def sources_of_run(run: Path, given: Sources | None = None) -> Sources:
    """Return where the radiographs of a run are.

    Args:
        run: The run's folder.
        given: What counts in place of what was recorded at its start.

    Returns:
        The sources; the default FracAtlas if nothing was recorded.
    """
    job, given = Job.read(run), Sources.of(given)
    recorded = job.sources if job else Sources()
    weight = recorded.site_weight if given.site_weight is None else given.site_weight
    return Sources(given.dataset or recorded.dataset, given.site or recorded.site, weight)


def check_resumable(run: Path) -> Job:
    """Check that a run can go on; no process but this one is working on it.

    Args:
        run: The run's folder.

    Returns:
        What was asked for at its start.

    Raises:
        JobError: It has finished, or was not started as a job.
    """
    job = Job.read(run)
    if job is None and not RunFolder(run).started:
        raise JobError(f"{run.name} has a recipe, but nothing to resume: it was never begun. Start a new run.")
    if state_at_rest(run) == "finished":
        raise JobError(f"The run {run.name} cannot be resumed: it is finished.")
    if job is None:
        raise JobError(f"The run {run.name} was not started as a job; resume it with `train --resume`.")
    return job


def check(recipe: Recipe, dataset: Sources | str | Path | None) -> tuple[Dataset, Split]:
    """Check that a run is possible.

    Args:
        recipe: What to train.
        dataset: A folder or csv; None for the default FracAtlas.

    Returns:
        The dataset and its split.

    Raises:
        DatasetError: The dataset cannot be read.
        SplitError: The dataset cannot be split.
        JobError: The starting bundle is missing, or a part of the split has one class only.
    """
    source = recipe.start.removeprefix("bundle:")
    if source != recipe.start and source not in list_bundles(models_folder()):
        raise JobError(f"There is no bundle {source!r} to start from; choose other starting weights.")
    return check_dataset(dataset)


def check_dataset(
    dataset: Sources | str | Path | None, *, progress: Callable[[int, int], None] | None = None
) -> tuple[Dataset, Split]:
    """Open a dataset and split it, to check that it can be trained on.

    The split is the one before the audit, which the run carries out itself.

    Args:
        dataset: A folder or csv; None for the default FracAtlas.
        progress: Called with (done, total) images.

    Returns:
        The dataset and its split.

    Raises:
        DatasetError: The dataset cannot be read.
        SplitError: The dataset cannot be split.
        JobError: A part of the split has one class only.
    """
    from fracture_core.data.dataset import open_sources
    from fracture_core.data.split import project_split

    opened = open_sources(Sources.of(dataset), progress=progress)
    split = project_split(opened, None)
    labels = opened.table["label"]
    for part, ids in (("train", split.train), ("validation", split.val), ("test", split.test)):
        if labels.loc[list(ids)].nunique() < 2:
            raise JobError(f"The {part} set would have one class only ({len(ids)} images); both are needed.")
    return opened, split


def free_name(stem: str, root: Path | None = None) -> str:
    """Return a bundle name that is not taken.

    Args:
        stem: The name wanted.
        root: The folder of the bundles; by default the user's.

    Returns:
        The stem, with a number appended if it is taken; a long one loses its end to the number.
    """
    names, number = set(list_bundles(root)), 1
    name = stem
    while name in names:
        number += 1
        name = _numbered(stem, number)
    return name


def is_free_name(name: str, stem: str) -> bool:
    """Return whether `free_name` could have made a name.

    Args:
        name: The name.
        stem: The name wanted.

    Returns:
        Whether it is the stem, or the stem with a number.
    """
    number = name.rpartition("-")[2]
    return name == stem or (number.isdecimal() and name == _numbered(stem, int(number)))


def _numbered(stem: str, number: int) -> str:
    ending = f"-{number}"
    return stem[: LONGEST_NAME - len(ending)] + ending
