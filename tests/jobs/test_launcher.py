"""A run as a process of its own: real processes, the tiny network, a miniature dataset."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.validation import BundleError
from fracture_core.data.image_cache import load_image_cache
from fracture_core.errors import FractureCoreError
from fracture_core.jobs import launcher as job
from fracture_core.jobs import lock
from fracture_core.jobs.control import Job, StatusWriter, set_request
from fracture_core.jobs.history import delete_run
from fracture_core.jobs.lock import BusyError, announced, current_trainer, starting_lock, training_lock
from fracture_core.jobs.preparation import JobError, check_dataset, prepare, prepare_resumption
from fracture_core.jobs.status import created, find_run, list_runs, log_tail, losses, status
from fracture_core.jobs.worker import run_job, user_message
from fracture_core.paths import runs_folder
from fracture_core.recipe import Recipe
from fracture_core.training.run_folder import RunError, RunFolder
from tests.support.training import SMALL, miniature, tiny_network

PROJECT = Path(__file__).parents[2]
RECIPE = SMALL.replace(epochs=4, fast_path=True)
LONG = 400  # seconds; how long a busy machine may take


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Runs, models and caches of one test; new processes train the tiny network."""
    for name, folder in (("RUNS", "runs"), ("MODELS", "models"), ("CACHE", "cache")):
        monkeypatch.setenv(f"FRACTURE_{name}_DIR", str(tmp_path / folder))
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setattr(job, "COMMAND", (sys.executable, "-m", "tests.support.tiny_command"))
    (tmp_path / "models").mkdir()
    yield tmp_path
    if (holder := current_trainer()) is not None:
        os.kill(holder.pid, signal.SIGKILL)


def wait_until(run: Path, fits, seconds: float = LONG):
    end = time.monotonic() + seconds
    while not fits(found := status(run)):
        assert time.monotonic() < end, found
        assert found.alive or found.state == "finished", (found, log_tail(run), (run / "output.txt").read_text()[-999:])
        time.sleep(0.02)
    return found


def at_step(run: Path, step: int):
    return wait_until(run, lambda s: s.state == "running" and s.stage == "training" and s.done >= step)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_paused_killed_cancelled_and_resumed_it_ends_as_if_nothing_had_been(here, monkeypatch):
    monkeypatch.setenv("FRACTURE_TEST_STEP_SECONDS", "0.15")
    # Enough to see that it is set; with more, the tests beside this one would leave the run hardly any time.
    monkeypatch.setenv("FRACTURE_TRAINING_NICE", "2")
    data = here / "data"
    miniature(data)
    run = job.start(RECIPE, data, "tiny")
    assert status(run).alive and [one.run for one in list_runs()] == [run]
    assert current_trainer().run == run and os.getsid(current_trainer().pid) == current_trainer().pid != os.getsid(0)
    assert os.getpriority(os.PRIO_PROCESS, current_trainer().pid) == max(2, os.getpriority(os.PRIO_PROCESS, 0))
    with pytest.raises(BusyError, match=f"The run {run.name} is training on this machine"):
        job.start(RECIPE, data, "other")
    with pytest.raises(BusyError, match="is training"), training_lock(here):
        pass

    # It waits where it is told to, and goes on.
    assert at_step(run, 2).images_per_second is not None or status(run).done == 2
    job.pause(run)
    paused = wait_until(run, lambda s: s.state == "paused")
    time.sleep(1)
    assert (status(run).state, status(run).done) == ("paused", paused.done)
    job.unpause(run)
    at_step(run, paused.done + 1)

    # kill -9: nothing is tidied, and it is told from a live run at once. Those that follow need not wait for others.
    monkeypatch.setenv("FRACTURE_TRAINING_NICE", "0")
    os.kill(current_trainer().pid, signal.SIGKILL)
    found = job.wait(run, 20)
    assert found.state == "interrupted" and found.resumable and "stopped unexpectedly" in found.error
    assert current_trainer() is None

    # Resumed and cancelled, it leaves a checkpoint of that very step.
    job.resume(run)
    at_step(run, 8)
    job.cancel(run)
    found = job.wait(run, LONG)
    assert found.state == "stopped" and found.resumable and not list(here.glob("models/*"))
    assert RunFolder(run).load("checkpoint").state["step"] >= 8

    monkeypatch.setenv("FRACTURE_TEST_STEP_SECONDS", "0")
    job.resume(run)
    found = job.wait(run, LONG)
    assert (found.state, found.bundle, found.error) == ("finished", "tiny", ""), log_tail(run)
    made = load_bundle("tiny", here / "models")
    assert made.manifest["provenance"]["weights_sha256"] == RunFolder(run).record()["weights_sha256"]
    with pytest.raises(JobError, match="cannot be resumed: it is finished"):
        job.resume(run)

    # The live loss has every stretch once, whatever was trained again; how many, the clock says.
    rows = losses(run)
    assert len(rows) > 1 and [x for x, _ in rows] == sorted({x for x, _ in rows}) and rows[-1][0] <= RECIPE.epochs

    # The same recipe, never disturbed; as a job too, because the number of threads decides the last bits.
    whole = job.start(RECIPE, data, "whole")
    assert job.wait(whole, LONG).state == "finished", log_tail(whole)
    assert RunFolder(whole).record()["weights_sha256"] == RunFolder(run).record()["weights_sha256"]


def recipe_folder(name: str = "20260102-030405-x") -> Path:
    folder = runs_folder() / name
    folder.mkdir(parents=True)
    RunFolder(folder).write_recipe(SMALL)
    return folder


def test_a_process_finds_a_folder_that_was_named_relative_to_ours(here, monkeypatch):
    """It starts in another folder than ours."""
    write = "import os, sys; open(sys.argv[1], 'w').write(os.environ['FRACTURE_ELSEWHERE_DIR'])"
    told = here / "told"
    monkeypatch.setattr(job, "COMMAND", (sys.executable, "-c", write, str(told)))
    monkeypatch.chdir(here)
    monkeypatch.setenv("FRACTURE_ELSEWHERE_DIR", "films/elsewhere")
    job.measure(SMALL, None)
    assert told.read_text() == str(here.resolve() / "films" / "elsewhere")


def test_the_number_of_a_dead_process_is_nobody(here):
    """Its folder says that it trains, the note names a process that lives: without the lock it is dead."""
    run = recipe_folder()
    StatusWriter(run).write("training", done=3, total=9)
    assert status(run).state == "interrupted"
    with training_lock(run):
        pass
    lock.write_text(runs_folder() / ".training.json", json.dumps({"pid": os.getpid(), "run": str(run)}))
    assert current_trainer() is None and status(run).state == "interrupted"
    with pytest.raises(JobError, match="not running"):
        job.kill(run)


def test_a_run_is_alive_as_long_as_its_process_holds_the_lock(here):
    run = recipe_folder()
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom fracture_core.jobs.lock import training_lock\n"
        "with training_lock(Path(sys.argv[1])):\n    print('holds', flush=True)\n    time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, run], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "holds\n"
    assert current_trainer() == lock.TrainingProcess(child.pid, run) and status(run).state == "running"
    assert job.resume(run) == run and child.poll() is None  # asked to resume twice: it is at work
    job.cancel(run)
    assert status(run).state == "stopping"  # asked, and it does not answer
    job.kill(run)
    assert child.wait(20) == -signal.SIGKILL
    assert status(run).state == "stopped"  # by its user, who had asked before


@pytest.mark.parametrize("case", ["wrong folder", "no folder", "one class", "three images", "no bundle"])
def test_what_cannot_end_well_is_refused_before_anything_is_made(here, case):
    data, recipe = here / "data", SMALL
    if case in ("wrong folder", "one class"):
        data.mkdir()
    if case == "one class":
        (data / "fractured").mkdir()
        for file in (miniature(here / "source", 40).root / "images" / "Fractured").iterdir():
            file.rename(data / "fractured" / file.name)
    if case == "three images":
        miniature(data, 3)
    if case == "no bundle":
        miniature(data)
        recipe = SMALL.replace(start="bundle:nothing")
    with pytest.raises(FractureCoreError) as caught:
        job.start(recipe, data, "tiny")
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said
    assert not list(runs_folder().glob("*-*")) and not list((here / "models").iterdir())


def test_a_taken_name_and_an_impossible_one_are_refused(here):
    miniature(here / "data")
    (here / "models" / "taken").mkdir()
    (here / "models" / "taken" / "bundle.json").write_text("{}")
    with pytest.raises(JobError, match="already a bundle named 'taken'"):
        job.start(SMALL, here / "data", "taken")
    with pytest.raises(BundleError, match="cannot name a bundle"):
        job.start(SMALL, here / "data", "../escape")
    assert not list(runs_folder().glob("*-*"))


def test_while_one_run_is_being_started_no_other_is(here):
    miniature(here / "data")
    with starting_lock():
        with pytest.raises(BusyError, match="being started"):
            job.start(SMALL, here / "data", "tiny")
        assert not list(runs_folder().glob("*-*"))
        with pytest.raises(BusyError, match="being started"):
            job.resume(recipe_folder())


def test_a_run_whose_process_is_being_started_is_starting_not_interrupted(here):
    miniature(here / "data")
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(job.start, RECIPE, here / "data", "tiny")
        seen: list[str] = []
        while not begun.done():
            for found in list_runs():
                seen += [found.state] if found.state not in seen[-1:] else []
        assert seen in (["starting"], ["starting", "running"])
        assert status(begun.result()).alive


@pytest.mark.parametrize("meanwhile", ["takes the lock", "ends"])
def test_what_a_run_does_while_its_status_is_read_is_not_an_interruption(here, monkeypatch, meanwhile):
    run = recipe_folder()
    with ExitStack() as held:

        def is_starting(_: Path) -> bool:
            """Stand between the two looks at the lock: the note of the start has just gone."""
            if meanwhile == "takes the lock":
                held.enter_context(training_lock(run))
            else:
                (run / "progress.json").write_text(json.dumps({"ended": "stopped"}))
            return False

        monkeypatch.setattr("fracture_core.jobs.status.is_starting", is_starting)
        assert status(run).state == ("running" if meanwhile == "takes the lock" else "stopped")


def test_while_a_run_is_starting_nothing_is_done_to_it(here):
    run = recipe_folder()
    assert status(run).state == "interrupted"
    with starting_lock(), announced(run):
        found = status(run)
        assert found.state == "starting" and found.alive and not found.resumable and not found.error
        for request in (job.pause, job.cancel, job.kill):
            with pytest.raises(JobError, match="just starting"):
                request(run)
        with pytest.raises(RunError, match="is running"):
            delete_run(run)
        assert status(recipe_folder("20260102-030405-another")).state == "interrupted"
    assert status(run).state == "interrupted"


def test_a_start_that_was_killed_leaves_nothing_in_the_way(here):
    run = recipe_folder()
    (runs_folder() / ".starting.json").write_text(json.dumps({"run": str(run)}))
    assert status(run).state == "interrupted"
    with starting_lock():
        assert status(run).state == "interrupted"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_a_sentence_and_the_run_goes_on_later(here):
    """The live losses go to a device that is always full: the real error, in the middle of a run."""
    data = here / "data"
    miniature(data)
    with tiny_network(here):
        run = prepare(RECIPE.replace(epochs=1), data, "tiny")
        (run / "steps.csv").symlink_to("/dev/full")
        with pytest.raises(FractureCoreError, match="The disk is full"):
            run_job(run)
        found = status(run)
        assert found.state == "failed" and found.resumable and found.error.startswith("The disk is full")
        assert not list((here / "models").iterdir()) and not list(run.glob(".*"))
        (run / "steps.csv").unlink()
        assert run_job(run).name == "tiny" and status(run).state == "finished"
        # A kill between the last rename and the note of it: the bundle is found, not made twice.
        StatusWriter(run).write("packaging")
        assert status(run).state == "trained"
        run_job(run)
    assert [one.name for one in (here / "models").iterdir() if not one.name.startswith(".")] == ["tiny"]


def test_an_image_that_cannot_be_read_is_named_and_nothing_half_decoded_stays(here):
    dataset = miniature(here / "data", 12)
    paths = {image_id: dataset.path(image_id) for image_id in dataset.table.index}
    spoilt = list(paths.values())[7]
    spoilt.write_text("Dear doctor")
    with pytest.raises(FractureCoreError, match=f"{spoilt.name} cannot be trained on. This file is not an image"):
        load_image_cache(paths, 32)
    assert not [file for file in (here / "cache").rglob("*") if file.is_file() and file.suffix != ".lock"]


def test_what_a_killed_decoding_left_goes_with_the_next_one(here):
    dataset = miniature(here / "data", 12)
    paths = {image_id: dataset.path(image_id) for image_id in dataset.table.index}
    load_image_cache(paths, 32)
    (pixels,) = (here / "cache").rglob("*.npy")
    left, other = pixels.with_name(f".{pixels.stem}-a1b2.npy"), pixels.with_name(".another-a1b2.npy")
    for file in (left, other):
        file.write_bytes(b"half")
    pixels.unlink()
    load_image_cache(paths, 32)
    assert not left.exists() and other.exists() and pixels.exists()


@pytest.mark.slow
def test_a_name_that_was_taken_while_the_run_was_away_replaces_nothing(here):
    data = here / "data"
    miniature(data)
    with tiny_network(here):
        run = prepare(RECIPE.replace(epochs=1), data, "tiny")
        taken = here / "models" / "tiny"
        taken.mkdir()
        (taken / "bundle.json").write_text("{}")
        assert run_job(run).name == "tiny-2"
    assert (taken / "bundle.json").read_text() == "{}"


def test_a_run_that_cannot_be_written_is_a_sentence_and_leaves_nothing(here, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Job, "write", full)
    with pytest.raises(JobError, match=r"cannot be written to .*runs \(No space left"):
        prepare(RECIPE, here / "data", "tiny")
    assert list_runs() == []


def test_a_home_of_nobody_is_a_folder_that_is_not_there(here):
    with pytest.raises(FractureCoreError, match=r"no folder|not there|There is no"):
        check_dataset("~nobody-of-that-name/radiographs")


def test_failures_in_sentences():
    with pytest.raises(MemoryError) as caught:
        np.empty(2**50, np.uint8)
    assert user_message(caught.value).startswith("Out of memory")
    assert user_message(OSError(errno.ENOSPC, "no space")).startswith("The disk is full")
    assert user_message(JobError("So it is.")) == "So it is."
    assert "failed unexpectedly (KeyError)" in user_message(KeyError("x"))
    with pytest.raises(OSError) as caught:
        Path("/proc/nowhere/file").read_text()
    assert "file" in user_message(caught.value) and "/proc" not in user_message(caught.value)


def test_live_losses_forget_what_a_resumption_trained_again(here):
    run = recipe_folder()
    (run / "steps.csv").write_text("1,0.1,3\n5,0.5,2\n9,0.9,1.5\n6,0.6,1.8\n8,0.8,1.7\n9,0.")
    assert losses(run) == [(0.1, 3.0), (0.5, 2.0), (0.6, 1.8), (0.8, 1.7)]
    assert losses(run / "nowhere") == []


def test_a_run_is_found_by_a_part_of_its_name(here):
    first, second = recipe_folder("20260101-000000-hand"), recipe_folder("20260102-000000-leg")
    assert find_run("hand") == find_run(first) == find_run(str(first)) == first.resolve()
    assert [one.run for one in list_runs()] == [second, first]
    named = recipe_folder("shoulder")  # a name that tells no date: the folder's does
    os.utime(named / "recipe.json", (0, datetime(2026, 1, 1, 12).timestamp()))
    assert [one.run for one in list_runs()] == [second, named, first]
    assert created(named) == "2026-01-01 12:00"
    for name in ("2026", "knee", ""):
        with pytest.raises(FractureCoreError, match=r"(There is no run|Several runs match)"):
            find_run(name)


def test_a_folder_that_was_no_job_says_how_to_go_on(here):
    run = recipe_folder()
    RunFolder(run).update_record(finished=False)
    with pytest.raises(JobError, match="train --resume"):
        job.resume(run)
    recipe = Recipe.load(run / "recipe.json")
    with pytest.raises(JobError, match="another recipe"):
        prepare_resumption(run, recipe.replace(epochs=9))
    assert prepare_resumption(run, recipe, here, "named") == run
    assert Job.read(run) == Job(str(here), "named")
    set_request(run, "pause")
    assert status(run).state == "interrupted"  # a wish nobody hears
