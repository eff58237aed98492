"""What the process of a run does: train, make the bundle, and tell how it goes, to the very end and whatever comes.

Whatever was asked for lies in the run folder, so starting and resuming are one and the same.
"""

from __future__ import annotations

import errno
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fracture_core.bundle.bundle import Bundle, list_bundles, load_bundle
from fracture_core.errors import FractureCoreError
from fracture_core.files import atomic_write
from fracture_core.jobs.launcher import free_name
from fracture_core.jobs.lock import training_lock
from fracture_core.jobs.status import Job, StatusWriter, get_request, set_request
from fracture_core.paths import models_folder
from fracture_core.training.estimate import learn_from_run
from fracture_core.training.progress import TrainingError, TrainingEvent, TrainingStoppedError
from fracture_core.training.run_folder import RunError, RunFolder

if TYPE_CHECKING:
    from fracture_core.data.dataset import Dataset
    from fracture_core.recipe import Recipe

AUTOGROUP = Path("/proc/self/autogroup")

_NICE = 10
_LOOK_EVERY = 0.2  # seconds, while it waits


def lower_priority() -> None:
    """Let every other program go first, and keep no more threads than leave the app a processor where there are many.

    For this process, before TensorFlow is imported.
    """
    if hasattr(os, "nice"):
        os.nice(max(0, _NICE - os.nice(0)))
    with suppress(OSError):
        # Where Linux groups processes by session, the nice value counts only within one; the session has its own.
        if os.getsid(0) == os.getpid() and AUTOGROUP.exists():
            AUTOGROUP.write_text(str(_NICE), "ascii")
    processors = os.cpu_count() or 1
    threads = str(max(min(2, processors), processors - 1))
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, threads)


def run_job(run: Path, *, listener: Callable[[TrainingEvent], None] | None = None) -> Bundle:
    """Train the run to its end and make its bundle; where it was begun before, go on.

    The folder holds recipe.json and job.json. Raises TrainingStoppedError where it was asked to stop (SIGINT,
    SIGTERM, or a wish in its folder), BusyError where another run is training, and for every other failure a
    FractureCoreError, with the same sentence in progress.json.
    """
    run = Path(run).resolve()
    job, folder = Job.read(run), RunFolder(run)
    recipe = folder.recipe()
    if job is None:
        raise RunError(f"The run {run.name} says neither its dataset nor its bundle; resume it by `train --resume`.")
    with training_lock(run), ControlListener(run, StatusWriter(run)) as ear:
        for left in run.glob(".*-*"):  # by a process that was killed while it wrote; nobody else writes here now
            left.unlink(missing_ok=True)
        try:
            bundle = _train_and_package(run, recipe, job, ear, listener)
        except TrainingStoppedError:
            ear.teller.end("stopped")
            raise
        except BaseException as error:
            said = user_message(error)
            _tell_failure(folder, ear.teller, said, error)
            if isinstance(error, FractureCoreError) or not isinstance(error, Exception):
                raise
            raise TrainingError(said) from error
        ear.teller.end("finished", bundle=bundle.name)
        return bundle


def _train_and_package(
    run: Path, recipe: Recipe, job: Job, ear: ControlListener, listener: Callable[[TrainingEvent], None] | None
) -> Bundle:
    ear.teller.tell("preparing", epochs=recipe.epochs)

    from fracture_core.data.audit import audit
    from fracture_core.data.dataset import open_dataset
    from fracture_core.training.packaging import package
    from fracture_core.training.train import split_for, train

    def progress(report: TrainingEvent) -> None:
        ear.teller(report)
        if listener:
            listener(report)

    def counted(stage: str) -> Callable[[int, int], None]:
        def step(done: int, total: int) -> None:
            ear.teller.tell(stage, done=done, total=total)
            ear.stop_if_asked()

        return step

    dataset = open_dataset(job.dataset, progress=counted("reading"))
    folder = RunFolder(run)
    split = None
    if not folder.started:
        found = audit(dataset, progress=counted("auditing")) if recipe.leak_free else None
        split = split_for(recipe, dataset, found)
    if not folder.finished:
        train(recipe, dataset, run=run, split=split, progress=progress, should_stop=ear.asked)
    history, parts = folder.history(), folder.split()
    seconds = sum(row["seconds"] for row in history)
    learn_from_run(recipe, run.name, seconds, len(history), dataset, parts)
    # The name may have been taken since the run began: what is in use is replaced by a promotion and by nothing else.
    name = free_name(job.bundle, models_folder())
    made = _made_already(folder, job.bundle)
    bundle = made or package(run, name, dataset, root=models_folder(), progress=counted("packaging"))
    _score_current(run, bundle, dataset, counted("comparing"))
    return bundle


def _score_current(run: Path, bundle: Bundle, dataset: Dataset, progress: Callable[[int, int], None]) -> None:
    """Let the bundle in use read the run's val and test images, where it has never been scored on any of them."""
    from fracture_core.evaluation.bundle_comparison import scores_file, share_images
    from fracture_core.evaluation.scoring import predict_split
    from fracture_core.inference.predictor import Predictor

    try:
        current = load_bundle(None, models_folder())
    except FractureCoreError:
        return  # there is none yet to compare with
    if share_images(bundle, current):
        return
    reader = Predictor(current)
    table, _ = predict_split(reader.scorer, reader.head, dataset, RunFolder(run).split(), progress=progress)
    with atomic_write(scores_file(run, current)) as temporary:
        table[["image_id", "split", "label", "logit"]].to_csv(temporary, index=False, float_format="%.6f")


def _made_already(folder: RunFolder, name: str) -> Bundle | None:
    """The bundle, where a kill fell between its last rename and the note that said so."""
    ours = folder.record().get("weights_sha256")
    for one in list_bundles(models_folder()):
        if one != name and one.rpartition("-")[0] != name:
            continue
        with suppress(FractureCoreError):  # a damaged one is not ours to judge
            bundle = load_bundle(one, models_folder())
            if bundle.manifest.get("provenance", {}).get("weights_sha256") == ours:
                return bundle
    return None


@dataclass
class ControlListener:
    """Listens for a wish to pause or to stop, from a signal or from the run's folder."""

    run: Path
    teller: StatusWriter
    _signalled: bool = False

    @contextmanager
    def _handlers(self) -> Iterator[None]:
        def heard(number: int, frame: object) -> None:
            if self._signalled and number == signal.SIGINT:
                raise KeyboardInterrupt  # asked twice: at once
            self._signalled = True

        before = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                before[number] = signal.signal(number, heard)
            except ValueError:  # not the main thread, which alone hears signals
                break
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def __enter__(self) -> ControlListener:
        set_request(self.run, None)
        self._held = self._handlers()
        self._held.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._held.__exit__(*details)
        set_request(self.run, None)

    def asked(self) -> str | None:
        """Give the reason where the run is to stop; wait here for as long as it is to pause."""
        if not self._signalled and get_request(self.run) == "pause":
            self.teller.pausing(True)
            while not self._signalled and get_request(self.run) == "pause":
                time.sleep(_LOOK_EVERY)
            self.teller.pausing(False)
        return "cancelled" if self._signalled or get_request(self.run) == "stop" else None

    def stop_if_asked(self) -> None:
        """Raise TrainingStoppedError where the run is to stop."""
        if reason := self.asked():
            raise TrainingStoppedError(self.run, reason)


def user_message(error: BaseException) -> str:
    """Say what a user can do about a failure."""
    if isinstance(error, FractureCoreError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full. Make room, then resume the run: it goes on from its last checkpoint."
    # TensorFlow's and OpenVINO's own, by name: neither need be imported to tell a failure.
    out_of_memory = type(error).__name__ == "ResourceExhaustedError" or "bad_alloc" in str(error)
    if isinstance(error, MemoryError) or out_of_memory or getattr(error, "errno", None) == errno.ENOMEM:
        return "The memory is full. Close other programs and resume the run, or start one with a smaller batch."
    if isinstance(error, KeyboardInterrupt):
        return "It was stopped at once. It can go on from its last checkpoint."
    if isinstance(error, OSError) and error.strerror:
        return f"A file cannot be read or written ({error.strerror}: {Path(str(error.filename)).name})."
    return f"It failed unexpectedly ({type(error).__name__}); see its log for details."


def _tell_failure(folder: RunFolder, teller: StatusWriter, said: str, error: BaseException) -> None:
    try:
        folder.log(said)
        if not isinstance(error, (FractureCoreError, KeyboardInterrupt)):
            folder.log("".join(traceback.format_exception(error)).rstrip())
        teller.end("failed", error=said)
    except OSError:
        pass  # no room even for this; whoever looks at the run sees the full disk for himself
