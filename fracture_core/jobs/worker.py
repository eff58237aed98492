"""Carry out a run in its own process: train, package, and report the status until the end, whatever happens.

Everything that was asked for is in the run folder, so starting and resuming are the same.
"""

from __future__ import annotations

import errno
import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import list_bundles, load_bundle
from fracture_core.concurrency import processors
from fracture_core.errors import FractureCoreError
from fracture_core.files import atomic_write
from fracture_core.jobs.control import ControlListener, Job, StatusWriter, get_request
from fracture_core.jobs.lock import training_lock
from fracture_core.jobs.preparation import check_resumable, free_name, is_free_name
from fracture_core.paths import models_folder
from fracture_core.training.estimate import StepClock, learn_from_run
from fracture_core.training.progress import TrainingError, TrainingEvent, TrainingStoppedError
from fracture_core.training.run_folder import RunFolder

if TYPE_CHECKING:
    from fracture_core.data.combined.sources import Sources
    from fracture_core.data.dataset import Dataset
    from fracture_core.recipe import Recipe

AUTOGROUP = Path("/proc/self/autogroup")

#: How far below other programs a run stands, 0 to 19, unless FRACTURE_TRAINING_NICE says otherwise.
_NICE = 10


def lower_priority() -> None:
    """Lower the priority of this process, and leave the app one processor where there are several.

    Call it before TensorFlow is imported.
    """
    chosen = os.environ.get("FRACTURE_TRAINING_NICE", "")
    level = min(19, int(chosen)) if chosen.isdecimal() else _NICE
    if hasattr(os, "nice"):
        os.nice(max(0, level - os.nice(0)))
    with suppress(OSError):
        # If Linux groups processes by session, the nice value applies only within one; the session has its own.
        if os.getsid(0) == os.getpid() and AUTOGROUP.exists():
            AUTOGROUP.write_text(str(level), "ascii")
    usable = processors()
    threads = str(max(min(2, usable), usable - 1))
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, threads)


#: The reasons if a run stopped without being cancelled.
_BY_A_SIGNAL = "The system or another program told it to stop, for instance because the computer was shut down."
_AT_THE_KEYBOARD = "It was stopped at the keyboard (Ctrl+C). It can be resumed from its last checkpoint."


def run_job(run: Path, *, listener: Callable[[TrainingEvent], None] | None = None) -> Bundle:
    """Train the run to its end, or resume it, and create its bundle. The folder contains recipe.json and job.json.

    Args:
        run: The run's folder.
        listener: Called with each event of the training.

    Returns:
        The bundle.

    Raises:
        TrainingStoppedError: It was asked to stop, by SIGINT, SIGTERM or a request in its folder.
        BusyError: Another run is training.
        JobError: It has finished, or was not started as a job.
        FractureCoreError: It failed; progress.json has the same message.
    """
    with training_lock(run):
        return carry_out(run, listener=listener)


def carry_out(run: Path, *, listener: Callable[[TrainingEvent], None] | None = None) -> Bundle:
    """Do what `run_job` does, in a process that holds the training lock for the run already.

    Args:
        run: The run's folder.
        listener: Called with each event of the training.

    Returns:
        The bundle.

    Raises:
        FractureCoreError: As for `run_job`, but for BusyError.
    """
    run = Path(run).resolve()
    job, folder = check_resumable(run), RunFolder(run)
    recipe = folder.recipe()
    with ControlListener(run, StatusWriter(run)) as control:
        for leftover in run.glob(".*-*"):  # temporary files of a killed process; only this one writes here now
            leftover.unlink(missing_ok=True)
        try:
            bundle = _train_and_package(run, recipe, job, control, listener)
        except TrainingStoppedError:
            reason = _AT_THE_KEYBOARD if control.received == signal.SIGINT else _BY_A_SIGNAL
            control.writer.end("stopped", error="" if get_request(run) == "stop" else reason)
            raise
        except KeyboardInterrupt:
            with suppress(OSError):  # the disk is full
                control.writer.end("stopped", error=_AT_THE_KEYBOARD)
            raise
        except BaseException as error:
            message = user_message(error)
            _record_failure(folder, control.writer, message, error)
            if isinstance(error, FractureCoreError) or not isinstance(error, Exception):
                raise
            raise TrainingError(message) from error
        control.writer.end("finished", bundle=bundle.name)
        return bundle


def _train_and_package(
    run: Path, recipe: Recipe, job: Job, control: ControlListener, listener: Callable[[TrainingEvent], None] | None
) -> Bundle:
    control.writer.write("preparing", epochs=recipe.epochs)

    from fracture_core.data.combined.audit import audit_sources
    from fracture_core.data.dataset import open_sources
    from fracture_core.training.packaging import package
    from fracture_core.training.train import split_for, train

    clock = StepClock()

    def progress(event: TrainingEvent) -> None:
        clock.see(event.stage, time.monotonic())
        control.writer(event)
        if listener:
            listener(event)

    def counted(stage: str) -> Callable[[int, int], None]:
        def step(done: int, total: int) -> None:
            control.writer.write(stage, done=done, total=total)
            control.stop_if_asked()

        return step

    folder = RunFolder(run)
    dataset = open_sources(_sources(folder, job), progress=counted("reading"))
    split = None
    if not folder.started:
        defects = audit_sources(dataset, progress=counted("auditing")) if recipe.leak_free else None
        split = split_for(recipe, dataset, defects)
    copies = _copies(folder, dataset, counted("auditing"))
    if not folder.finished:
        train(recipe, dataset, run=run, split=split, progress=progress, should_stop=control.stop_reason)
    learn_from_run(recipe, run.name, clock.seconds)
    folder.update_record(**copies)
    # The name may have been taken since the run started, and only a promotion may replace what is in use.
    name = free_name(job.bundle, models_folder())
    bundle = _existing_bundle(folder, job.bundle) or package(
        run, name, dataset, root=models_folder(), progress=counted("packaging")
    )
    return _compare(folder, bundle, dataset, counted("comparing"))


def _sources(folder: RunFolder, job: Job) -> Sources:
    """Return where the radiographs are; in a run that was begun a site's films count as they did at its start."""
    begun = folder.record().get("sources") if folder.started else None
    return replace(job.sources, site_weight=begun[1]["weight"]) if begun else job.sources


def _copies(folder: RunFolder, dataset: Dataset, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Return what a run's record is to say of images of FracAtlas among a user's own; nothing where that is unknown.

    By it a comparison knows which test films a bundle that was trained on FracAtlas has seen.
    """
    from fracture_core.data.combined.copies import fracatlas_copies
    from fracture_core.data.dataset import short_digest
    from fracture_core.data.user_dataset import OwnDataset

    known = folder.started and "fracatlas_copies" in folder.record()
    if known or not isinstance(dataset, OwnDataset):
        return {}
    copies = fracatlas_copies(dataset, progress=progress)
    return {} if copies is None else {"fracatlas_copies": {short_digest(dataset, i): ids for i, ids in copies.items()}}


def _compare(folder: RunFolder, bundle: Bundle, dataset: Dataset, progress: Callable[[int, int], None]) -> Bundle:
    """Compare the run's bundle with the one in use; record the result in the run and, for a site's run, on the card."""
    from fracture_core.jobs.comparison import compare_run
    from fracture_core.training.bundle_features import record_comparison

    try:
        current = load_bundle(None, models_folder())
    except FractureCoreError:
        return bundle  # there is no bundle to compare with yet
    if current.name == bundle.name:
        return bundle
    _score_current(folder.path, bundle, current, dataset, progress)
    comparison = [part.to_json() for part in compare_run(bundle, current, folder.path)]
    folder.update_record(comparison=comparison)
    if not bundle.manifest.get("provenance", {}).get("sources"):
        return bundle
    return record_comparison(bundle, comparison)


def _score_current(
    run: Path, bundle: Bundle, current: Bundle, dataset: Dataset, progress: Callable[[int, int], None]
) -> None:
    """Score those of the run's val and test images with the bundle in use that it has not been scored on."""
    from fracture_core.evaluation.bundle_comparison import scores_file, share_images
    from fracture_core.evaluation.part_comparison import unscored
    from fracture_core.evaluation.predictions_csv import predict_split
    from fracture_core.inference.predictor import Predictor

    split = RunFolder(run).split()
    if bundle.manifest.get("provenance", {}).get("sources"):
        wanted = unscored(current, (*split.val, *split.test))
        split = replace(
            split, val=tuple(i for i in split.val if i in wanted), test=tuple(i for i in split.test if i in wanted)
        )
    elif share_images(bundle, current):
        return
    if scores_file(run, current).is_file():
        return  # scored before the process was killed
    reader = Predictor(current)
    table, _ = predict_split(reader.scorer, reader.head, dataset, split, progress=progress)
    with atomic_write(scores_file(run, current)) as temporary:
        table[["image_id", "split", "label", "logit"]].to_csv(temporary, index=False, float_format="%.6f")


def _existing_bundle(folder: RunFolder, name: str) -> Bundle | None:
    """Return the bundle if it was packaged before the process was killed."""
    ours = folder.record().get("weights_sha256")
    for candidate in list_bundles(models_folder()):
        if not is_free_name(candidate, name):
            continue
        with suppress(FractureCoreError):  # a damaged bundle cannot be this run's
            bundle = load_bundle(candidate, models_folder())
            if bundle.manifest.get("provenance", {}).get("weights_sha256") == ours:
                return bundle
    return None


def user_message(error: BaseException) -> str:
    """Return a sentence that tells the user what to do about a failure.

    Args:
        error: What was raised.

    Returns:
        The sentence.
    """
    if isinstance(error, FractureCoreError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full. Free some space, then resume the run from its last checkpoint."
    # TensorFlow's and OpenVINO's errors are recognised by name, so that neither has to be imported here.
    out_of_memory = type(error).__name__ == "ResourceExhaustedError" or "bad_alloc" in str(error)
    if isinstance(error, MemoryError) or out_of_memory or getattr(error, "errno", None) == errno.ENOMEM:
        return "Out of memory. Close other programs and resume the run, or start one with a smaller batch size."
    if isinstance(error, OSError) and error.strerror:
        return f"A file cannot be read or written ({error.strerror}: {Path(str(error.filename)).name})."
    return f"It failed unexpectedly ({type(error).__name__}); see its log for details."


def _record_failure(folder: RunFolder, writer: StatusWriter, message: str, error: BaseException) -> None:
    try:
        folder.log(message)
        if not isinstance(error, FractureCoreError):
            folder.log("".join(traceback.format_exception(error)).rstrip())
        writer.end("failed", error=message)
    except OSError:
        pass  # the disk is too full even for this; `status` recognises that
