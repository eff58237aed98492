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
from tests.browser.app import Server, steady
from tests.browser.forms import choose, fill, open_groups, press
from tests.browser.test_diagnose import answer, upload
from tests.support.site import site_folder
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
    start = steady(page, page.locator(".st-key-start_run button").bounding_box)
    assert start["y"] + start["height"] < 900  # with its plan and estimate on the first screen of a laptop
    page.get_by_text("Better", exact=True).first.click()
    page.locator(".st-key-train_start_better_densenet121").wait_for(timeout=WAIT)
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
    page.locator("[data-testid=stMetricValue]").get_by_text(re.compile(r"^\d+ of 20$")).wait_for(timeout=WAIT)

    # Pause is answered at once, holds the run where it is, and gives it back.
    press(page, "pause")
    page.get_by_role("heading", name=re.compile("-mine: paus")).wait_for(timeout=WAIT)
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
    page.get_by_role("heading", name=re.compile("-mine: stopp")).wait_for(timeout=WAIT)
    page.get_by_role("heading", name="-mine: stopped").wait_for(timeout=WAIT)
    stopped = status(run)
    assert stopped.state == "stopped" and 0 < stopped.epoch < 20 and not RunFolder(run).finished

    (tmp_path / "step seconds").write_text("0")
    press(page, "resume")
    page.get_by_text("In use: small").wait_for(timeout=WAIT)  # the result comes by itself
    assert status(run).state == "finished" and status(run).bundle == "mine"
    assert len(RunFolder(run).history()) <= 20
    page.locator(
        ".st-key-chart_challenge_curves_0 .js-plotly-plot, .st-key-chart_result_loss .js-plotly-plot"
    ).first.wait_for(timeout=WAIT)

    page.get_by_role("button", name="Use mine").click(timeout=WAIT)
    page.get_by_text("for all users of this app").wait_for(timeout=WAIT)
    press(page, "use_this-mine")
    page.get_by_text("mine is now in use on every page.").wait_for(timeout=WAIT)
    assert current_bundle(tmp_path / "models") == "mine"

    page.goto(again.url)
    page.locator("[data-testid=stFileUploader]").wait_for(timeout=WAIT)
    upload(page, next((tmp_path / "data" / "images" / "Fractured").iterdir()))
    assert answer(page)
    page.get_by_text(load_bundle("mine", tmp_path / "models").version).first.wait_for(timeout=WAIT)
    context.close()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_fracatlas_and_a_sites_films_are_compared_on_both_test_parts(browser, trainer_server, tmp_path):
    (tmp_path / "step seconds").write_text("0")
    site = site_folder(tmp_path / "site")
    context = browser.new_context(viewport={"width": 1280, "height": 1700})
    page = context.new_page()
    page.goto(f"{trainer_server.url}/training")
    page.locator(".st-key-start_run").wait_for(timeout=WAIT)
    page.get_by_text("FracAtlas and my films", exact=True).click()
    fill(page, "train_site", str(site))
    page.get_by_text("60 radiographs of FracAtlas").wait_for(timeout=WAIT)
    assert "40 of films" in (said := page.get_by_text("60 radiographs of FracAtlas").inner_text())
    assert "counts as 1 of FracAtlas" in said and "of the weight in training" in said
    page.get_by_role("spinbutton", name="One of my films counts").fill("2.5")
    page.keyboard.press("Tab")
    page.get_by_text("counts as 2.5 of FracAtlas").wait_for(timeout=WAIT)
    choose(page, "train_start_try_densenet121", "None (random weights)")
    open_groups(page)
    for key, value in (("image_size", "32"), ("epochs", "1"), ("batch_size", "8")):
        fill(page, f"choice_try_{key}", value)
    press(page, "start_run")

    page.get_by_role("heading", name="On the test images of FracAtlas").wait_for(timeout=WAIT)
    page.get_by_role("heading", name="On the test images of films").wait_for(timeout=WAIT)
    (run,) = (tmp_path / "runs").glob("*-mine")
    record = RunFolder(run).record()
    assert [source["weight"] for source in record["sources"]] == [1.0, 2.5]
    for place, part in enumerate(record["comparison"]):
        page.get_by_text(f"{part['n']} test radiographs scored by both models, {part['fractured']} with").wait_for()
        page.locator(f".st-key-chart_challenge_curves_{place} .js-plotly-plot").first.wait_for(timeout=WAIT)
        for auc in part["auc"]:
            assert page.locator("[data-testid=stMetricValue]").filter(has_text=f"{auc:.3f}").count()
    assert page.get_by_text("Too few test images to tell which is better").count() == 2
    context.close()
