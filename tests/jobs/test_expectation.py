"""How long a run still takes is said only where it is known."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime

import pytest

from fracture_core.jobs.control import StatusWriter, read_json, seconds_run
from fracture_core.jobs.expectation import expect, phases, total_seconds
from fracture_core.jobs.status import RunStatus, created, started
from fracture_core.reporting.training_text import total_in_words


@pytest.fixture
def begun(interrupted_run) -> tuple[RunStatus, float]:
    """A run that computes features, with 20 s left of that, and the second it was started."""
    began = started(interrupted_run).timestamp()
    return RunStatus(interrupted_run, "running", "features", seconds_left=20.0), began


def test_a_run_is_counted_from_its_second(interrupted_run):
    run = interrupted_run.rename(interrupted_run.with_name("20260131-091422-wrist"))
    now = datetime(2026, 1, 31, 9, 14, 24).timestamp()
    assert total_seconds(RunStatus(run, "running", "features"), now) == (2, None)
    assert created(run) == "2026-01-31 09:14"


def test_the_time_between_two_attempts_does_not_count(interrupted_run):
    """It was stopped after five minutes, and resumed a day later."""
    run, day, began = interrupted_run, 86400.0, 1_800_000_000.0
    StatusWriter(run, _began=began).write("training")
    os.utime(run / "progress.json", (began + 300, began + 300))
    assert seconds_run(run) == pytest.approx(300)
    second = StatusWriter(run, _began=began + day)
    second.write("preparing")
    saved = read_json(run / "progress.json")
    now = RunStatus(run, "running", "preparing", ran=saved["ran"], since=saved["since"])
    expect(run, 1800)
    assert total_seconds(now, began + day + 10) == (pytest.approx(310), pytest.approx(1490))
    assert total_in_words(310, 1490) == "Running for 5 min, about 25 min left in total."
    os.utime(run / "progress.json", (began + day + 20, began + day + 20))
    assert seconds_run(run) == pytest.approx(320)


def test_the_rest_of_a_phase_is_not_the_rest_of_the_run(begun):
    run, began = begun
    assert total_seconds(run, began + 60) == (60, None)
    assert total_in_words(60, None) == "Running for 60 s."
    assert total_seconds(replace(run, stage="training"), began + 60) == (60, 20.0)


def test_a_recipe_of_another_version_hides_no_phase(begun):
    (begun[0].run / "recipe.json").write_text('{"name": "one", "warp": 1}')
    assert [phase.title for phase in phases(begun[0])][2:4] == ["Compute features", "Train"]


def test_what_was_expected_at_the_start_counts_until_it_is_over(begun):
    run, began = begun
    expect(run.run, 300)
    assert total_seconds(run, began + 60) == (60, pytest.approx(240))
    assert total_seconds(run, began + 301) == (301, None)
