"""What is settled before a run's process starts: names, folders, and which runs can go on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from fracture_core.__main__ import main
from fracture_core.bundle.manifest import check_name
from fracture_core.data.combined.sources import Sources
from fracture_core.jobs.control import Job, StatusWriter
from fracture_core.jobs.lock import BusyError, current_trainer, training_lock
from fracture_core.jobs.preparation import (
    JobError,
    free_name,
    is_free_name,
    make_run_folder,
    new_run,
    prepare_resumption,
    sources_of_run,
)
from fracture_core.jobs.status import find_run, list_runs, status
from fracture_core.jobs.worker import run_job
from fracture_core.recipe import Recipe
from fracture_core.training.run_folder import RunError, RunFolder

RECIPE = Recipe(name="one")


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """The folder of the runs, which is not there yet."""
    monkeypatch.setenv("FRACTURE_RUNS_DIR", str(tmp_path / "runs"))
    return tmp_path / "runs"


def taken(models: Path, *names: str) -> None:
    for name in names:
        (models / name).mkdir(parents=True)
        (models / name / "bundle.json").write_text("{}")


def test_a_long_name_that_is_taken_gets_its_number_within_what_a_name_may_have(tmp_path):
    stem = "m" * 100
    taken(tmp_path, stem, *(f"{'m' * 98}-{number}" for number in range(2, 10)))
    name = free_name(stem, tmp_path)
    assert check_name(name) == f"{'m' * 97}-10"
    assert is_free_name(name, stem) and not is_free_name(f"{'m' * 96}-10", stem)


def test_the_names_that_a_taken_one_gives_way_to_are_known(tmp_path):
    taken(tmp_path, "tiny")
    assert free_name("tiny", tmp_path) == "tiny-2" and free_name("other", tmp_path) == "other"
    assert is_free_name("tiny", "tiny") and is_free_name("tiny-2", "tiny")
    assert not any(is_free_name(name, "tiny") for name in ("tiny-x", "tiny-02", "tinier", "efficientnet-2"))


def test_runs_that_begin_in_the_same_second_have_a_folder_each(runs):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: make_run_folder(RECIPE), range(24)))
    assert len(set(made)) == 24 and all(run.is_dir() for run in made) and list_runs() == []


def test_a_new_run_holds_the_lock_from_the_start(runs):
    with new_run(RECIPE, None, "mine") as run:
        assert current_trainer().run == run and status(run).state == "running"
        assert Job.read(run) == Job(None, "mine") and RunFolder(run).recipe() == RECIPE
    assert current_trainer() is None


def test_of_two_commands_that_start_together_the_loser_leaves_nothing(runs, monkeypatch, capsys):
    """The other one takes the lock while this one looks at its dataset, after its first look at the lock."""
    with ExitStack() as held:
        monkeypatch.setattr(
            "fracture_core.jobs.preparation.check", lambda *_: held.enter_context(training_lock(runs / "other"))
        )
        assert main(["train", "reference"]) == 1
        assert "The run other is training on this machine" in capsys.readouterr().err
        with pytest.raises(BusyError), new_run(RECIPE, None, "mine"):
            pass
    assert not [path for path in runs.iterdir() if path.is_dir()]


def test_the_folder_of_a_bundle_is_not_resumed(runs, models):
    bundle = models / "small"
    (bundle / "job.json").write_text('{"bundle": "small"}')
    before = {path: path.read_bytes() for path in bundle.iterdir()}
    recipe = RunFolder(bundle).recipe()
    for attempt in (lambda: find_run(bundle), lambda: prepare_resumption(bundle, recipe)):
        with pytest.raises(RunError, match="small is the folder of a bundle, not of a run"):
            attempt()
    assert {path: path.read_bytes() for path in bundle.iterdir()} == before


def test_a_folder_with_a_recipe_alone_is_no_run_to_resume(runs, interrupted_run):
    recipe = RunFolder(interrupted_run).recipe()
    for attempt in (lambda: prepare_resumption(interrupted_run, recipe), lambda: run_job(interrupted_run)):
        with pytest.raises(JobError, match="nothing to resume: it was never begun") as caught:
            attempt()
        assert "train --resume" not in str(caught.value)
    assert not (interrupted_run / "job.json").exists()


def test_a_finished_run_stays_finished_when_it_is_resumed(interrupted_run):
    Job(None, "one").write(interrupted_run)
    StatusWriter(interrupted_run).end("finished", bundle="one")
    before = {path: path.read_bytes() for path in interrupted_run.iterdir()}
    for attempt in (
        lambda: run_job(interrupted_run),
        lambda: prepare_resumption(interrupted_run, RunFolder(interrupted_run).recipe(), bundle="two"),
    ):
        with pytest.raises(JobError, match="cannot be resumed: it is finished"):
            attempt()
    assert {path: path.read_bytes() for path in interrupted_run.iterdir()} == before
    assert status(interrupted_run).state == "finished"


def test_train_and_package_take_a_run_by_its_name(interrupted_run, tmp_path, capsys):
    RunFolder(interrupted_run).update_record(finished=False)
    Job(str(tmp_path / "gone"), "one").write(interrupted_run)
    assert main(["package", "one", "--bundle", "x"]) == 1
    assert f"The run {interrupted_run.name} is not finished; resume it first." in capsys.readouterr().err
    RunFolder(interrupted_run).update_record(finished=True)
    assert main(["package", "one", "--bundle", "x"]) == 1
    assert str(tmp_path / "gone") in capsys.readouterr().err  # the radiographs that it was trained on
    assert main(["train", "--resume", "one", "--set", "epochs=2"]) == 1
    assert f"The run {interrupted_run.name} was started with another recipe" in capsys.readouterr().err


def test_what_is_given_counts_before_what_was_recorded(interrupted_run, tmp_path):
    assert sources_of_run(interrupted_run) == Sources()
    Job("/a", "one", "/site", 2.0).write(interrupted_run)
    assert sources_of_run(interrupted_run) == Sources("/a", "/site", 2.0)
    assert sources_of_run(interrupted_run, Sources("/b", None, 3.0)) == Sources("/b", "/site", 3.0)


def test_a_runs_folder_that_is_none_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "runs").write_text("a file")
    monkeypatch.setenv("FRACTURE_RUNS_DIR", str(tmp_path / "runs"))
    with pytest.raises(JobError, match="cannot be written"):
        make_run_folder(Recipe(name="one"))
