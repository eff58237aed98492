"""Training in a real browser: start, see the curve grow, cancel, resume, finish, compare, promote, diagnose with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fracture_core.bundle.loading import current_bundle, load_bundle
from fracture_core.jobs.status import RunStatus, losses, status
from fracture_core.training.run_folder import RunFolder
from tests.browser.app import Server
from tests.browser.test_diagnose import answer, upload
from tests.support.training import miniature

WAIT = 400_000  # ms; new processes import TensorFlow


@pytest.fixture
def trainer_server(small_models, tmp_path, monkeypatch) -> Iterator[Server]:
    """The app with models, runs and data of its own; its training processes train the tiny network, slowly."""
    shutil.copytree(small_models, tmp_path / "models")
    (tmp_path / "models" / "current.json").write_text('{"bundle": "small"}')
    miniature(tmp_path / "data")
    (tmp_path / "step seconds").write_text("1.5")
    monkeypatch.setenv("FRACTURE_RUNS_DIR", str(tmp_path / "runs"))  # who trains is asked from here too
    running = app(tmp_path)
    running.wait()
    yield running
    running.stop()
    holder = tmp_path / "runs" / ".training.json"
    if holder.exists():
        os.kill(json.loads(holder.read_text())["pid"], signal.SIGKILL)


def app(tmp_path) -> Server:
    return Server(
        tmp_path / "log",
        command=[sys.executable, "-m", "tests.browser.tiny_app", "{port}"],
        FRACTURE_MODELS_DIR=str(tmp_path / "models"),
        FRACTURE_CACHE_DIR=str(tmp_path / "cache"),
        FRACATLAS_DIR=str(tmp_path / "data"),
        FRACTURE_TEST_STEP_SECONDS=str(tmp_path / "step seconds"),
    )


def press(page, key: str) -> None:
    page.locator(f".st-key-{key} button").click(timeout=WAIT)


def open_groups(page) -> None:
    """Open every group of settings that is closed."""
    closed = page.locator("[data-testid=stExpander] details:not([open]) > summary")
    while closed.count():
        closed.first.click()
        page.wait_for_timeout(300)


def fill(page, key: str, value: str) -> None:
    field = page.locator(f".st-key-{key} input")
    field.fill(value)
    field.press("Enter")
    page.wait_for_timeout(300)


def choose(page, key: str, option: str) -> None:
    page.locator(f".st-key-{key} [data-baseweb=select], .st-key-{key} input").first.click()
    page.get_by_role("option", name=option, exact=True).click()


def until(page, run: Path, fits) -> RunStatus:
    for _ in range(WAIT // 200):
        if fits(found := status(run)):
            return found
        page.wait_for_timeout(200)
    raise AssertionError(found)


@pytest.mark.timeout(1200)
def test_from_the_start_of_a_run_to_a_diagnosis_with_its_bundle(browser, trainer_server, tmp_path, request):
    context = browser.new_context(viewport={"width": 1280, "height": 1700})
    page = context.new_page()
    page.goto(f"{trainer_server.url}/training")
    page.locator(".st-key-start_run").wait_for(timeout=WAIT)
    page.get_by_text("Better", exact=True).first.click()
    page.locator(".st-key-choice_better_epochs").wait_for(timeout=WAIT)
    choose(page, "train_start_better_densenet121", "None (random weights)")
    open_groups(page)
    for key, value in (("image_size", "32"), ("epochs", "20"), ("batch_size", "8")):
        fill(page, f"choice_better_{key}", value)
    press(page, "start_run")

    # The curve grows while other pages work.
    page.get_by_role("heading", name="-mine: running").wait_for(timeout=WAIT)
    (run,) = (tmp_path / "runs").glob("*-mine")
    page.locator(".st-key-chart_live_loss .js-plotly-plot").first.wait_for(timeout=WAIT)
    early = len(losses(run))
    until(page, run, lambda found: len(losses(run)) > early + 1)
    page.locator(".st-key-chart_live_auc .js-plotly-plot").first.wait_for(timeout=WAIT)
    assert page.locator("[data-testid=stMetricValue]").first.inner_text() == "Running"

    # Pause is answered at once, holds the run where it is, and gives it back.
    press(page, "pause")
    page.get_by_role("heading", name=re.compile("-mine: paus")).wait_for(timeout=5_000)
    until(page, run, lambda found: found.state == "paused")
    page.get_by_role("heading", name="-mine: paused").wait_for(timeout=WAIT)
    assert page.locator(".stepper li.current").inner_text().endswith("Train")
    assert page.get_by_text(re.compile(r"^Running for ")).count() == 1
    press(page, "go_on")
    page.get_by_role("heading", name="-mine: running").wait_for(timeout=WAIT)

    # The app ends and starts again; the run did not notice, and the new app knows it.
    trainer_server.stop()
    assert status(run).alive
    again = app(tmp_path)
    request.addfinalizer(again.stop)
    again.wait()
    page.goto(f"{again.url}/training")
    page.get_by_role("heading", name="-mine: running").wait_for(timeout=WAIT)
    early = len(losses(run))
    until(page, run, lambda found: len(losses(run)) > early)

    press(page, "cancel")
    page.get_by_role("heading", name=re.compile("-mine: stopp")).wait_for(timeout=5_000)
    page.get_by_role("heading", name="-mine: stopped").wait_for(timeout=WAIT)
    stopped = status(run)
    assert stopped.state == "stopped" and 0 < stopped.epoch < 20 and not RunFolder(run).finished

    (tmp_path / "step seconds").write_text("0")
    press(page, "resume")
    page.get_by_text("In use: small").wait_for(timeout=WAIT)  # the result comes by itself
    assert status(run).state == "finished" and status(run).bundle == "mine"
    assert len(RunFolder(run).history()) <= 20
    page.locator(
        ".st-key-chart_challenge_curves .js-plotly-plot, .st-key-chart_result_loss .js-plotly-plot"
    ).first.wait_for(timeout=WAIT)

    page.get_by_role("button", name="Use mine").click(timeout=WAIT)
    press(page, "use_this")
    page.get_by_text("mine is now in use on every page.").wait_for(timeout=WAIT)
    assert current_bundle(tmp_path / "models") == "mine"

    page.goto(again.url)
    page.locator("[data-testid=stFileUploader]").wait_for(timeout=WAIT)
    upload(page, next((tmp_path / "data" / "images" / "Fractured").iterdir()))
    assert answer(page)
    page.get_by_text(load_bundle("mine", tmp_path / "models").version).first.wait_for(timeout=WAIT)
    context.close()
