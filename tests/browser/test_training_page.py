"""The training page in a real browser, without a training: plans, past runs, and what is not offered for use."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.data.split import Split
from fracture_core.jobs.control import Job, StatusWriter
from fracture_core.recipe import Recipe
from fracture_core.training.presets import GROUPS, PRESETS
from fracture_core.training.run_folder import RunFolder
from tests.browser.app import Server, eventually, steady

WAIT = 120_000
_ROW, _HEADER = 35, 35  # pixels of Streamlit's table


def make_run(root: Path, name: str, aucs: list[float], **choices) -> Path:
    """A run that trained some epochs and is not running."""
    folder = RunFolder(root / "runs" / name)
    folder.path.mkdir(parents=True)
    folder.write_recipe(Recipe(**{"name": "x", "epochs": 8, **choices}))
    folder.write_history(
        [
            {"epoch": epoch, "loss": 0.9, "val_loss": 0.8, "val_auc": auc, "val_ap": 0.5, "seconds": 10.0}
            for epoch, auc in enumerate(aucs, 1)
        ]
    )
    Job(None, "x").write(folder.path)
    return folder.path


@pytest.fixture(scope="module")
def runs(small_models, tmp_path_factory) -> Path:
    """A folder with two runs, the older of which ended in the bundle `other`; `small` is in use."""
    root = tmp_path_factory.mktemp("runs")
    for name in ("small", "other"):
        shutil.copytree(small_models / "small", root / "models" / name)
    manifest = root / "models" / "other" / "bundle.json"
    data = json.loads(manifest.read_text())
    data["provenance"]["weights_sha256"] = "abc"
    manifest.write_text(json.dumps(data))
    (root / "models" / "current.json").write_text('{"bundle": "small"}')
    older = make_run(root, "20260102-000000-other", [0.55, 0.6])
    table = load_bundle("other", root / "models").predictions()
    tested = tuple(table.loc[table["split"] == "test", "image_id"])
    RunFolder(older).write_setup(Recipe(name="other", epochs=8), Split(tested[:3], (), tested, {}))
    RunFolder(older).update_record(finished=True, weights_sha256="abc")
    StatusWriter(older).end("finished", bundle="other")
    make_run(root, "20260103-000000-later", [0.5, 0.7, 0.8], epochs=5)
    return root


@pytest.fixture(scope="module")
def app(runs, small_models) -> Iterator[Server]:
    """The app on those runs, one for all tests: each leaves the runs as they were."""
    server = Server(
        runs / "log",
        FRACTURE_MODELS_DIR=str(runs / "models"),
        FRACTURE_RUNS_DIR=str(runs / "runs"),
        FRACTURE_CACHE_DIR=str(runs / "cache"),
        FRACATLAS_DIR=str(small_models.parent / "data"),
    )
    try:
        server.wait()
        yield server
    finally:
        server.stop()


@pytest.fixture
def training(tab, app):
    """The training page in a session of its own."""
    tab.set_viewport_size({"width": 1440, "height": 900})
    tab.goto(f"{app.url}/training")
    tab.locator(".st-key-start_run").wait_for(timeout=WAIT)
    return tab


def tick(page, row: int) -> None:
    """Tick a row of the table of runs, which may lie below the edge of the window, and wait until it is ticked."""
    table = page.locator(".st-key-runs_table canvas").first
    # The rows that the canvas draws stand in it as a table for screen readers too.
    table.locator(f"[data-testid=glide-cell-1-{row}]").wait_for(state="attached", timeout=WAIT)
    table.scroll_into_view_if_needed()
    box = steady(page, table.bounding_box)
    page.mouse.click(box["x"] + 17, box["y"] + _HEADER + _ROW * row + _ROW / 2)
    table.locator(f"[role=row][aria-rowindex='{row + 2}'][aria-selected=true]").wait_for(state="attached", timeout=WAIT)


def go(page, name: str) -> None:
    page.locator(".st-key-training_section").get_by_text(name, exact=True).click(timeout=WAIT)


def test_plans_and_their_time_stand_before_the_start(training):
    start = training.locator(".st-key-start_run")
    for key, preset in PRESETS.items():
        card = training.locator(f".st-key-preset_{key}")
        words = steady(training, card.inner_text)
        assert preset.title in words and re.search(r"typically|about", words)
        above, below = steady(training, lambda card=card: (card.bounding_box(), start.bounding_box()))
        assert above["y"] < below["y"]
    for title in GROUPS:
        training.locator("summary").get_by_text(title, exact=True).wait_for(timeout=WAIT)
    eventually(training, lambda: training.locator("[data-testid=stTooltipIcon]").count() > 3)


def test_several_runs_share_one_plot_from_0_to_1(training):
    go(training, "All runs")
    for row in (0, 1):
        tick(training, row)
    training.get_by_text("Recipe differences").wait_for(timeout=WAIT)
    plot = training.locator(".st-key-chart_history_curves .js-plotly-plot")
    plot.wait_for(timeout=WAIT)
    training.wait_for_function(
        "() => document.querySelector('.st-key-chart_history_curves .js-plotly-plot')?._fullData?.length === 2",
        timeout=WAIT,
    )
    names, axis = plot.evaluate("(one) => [one._fullData.map((trace) => trace.name), one._fullLayout.yaxis.range]")
    assert set(names) == {"20260103-000000-later", "20260102-000000-other"} and axis == [0, 1]


def test_a_run_is_renamed_and_deleted(training, runs):
    before = sorted((runs / "runs").glob("2026*"))
    make_run(runs, "20260104-000000-short", [0.5])
    go(training, "All runs")
    tick(training, 0)
    training.get_by_role("button", name="Rename this run").click(timeout=WAIT)
    field = training.locator("[class*=st-key-rename_2026] input")
    field.fill("longer")
    field.press("Enter")
    training.locator("[class*=st-key-rename_run] button").click(timeout=WAIT)
    field.wait_for(state="detached", timeout=WAIT)  # the popover closes, or it would cover the other button
    assert (runs / "runs" / "20260104-000000-longer").is_dir()
    if not training.get_by_role("button", name="Delete this run").count():
        tick(training, 0)
    training.get_by_role("button", name="Delete this run").click(timeout=WAIT)
    training.locator("[class*=st-key-delete_run] button").click(timeout=WAIT)
    eventually(training, lambda: not (runs / "runs" / "20260104-000000-longer").exists())
    assert sorted((runs / "runs").glob("2026*")) == before


def test_an_unfair_or_small_comparison_offers_nothing(training):
    go(training, "Result")
    training.get_by_text("Biased comparison").first.wait_for(timeout=WAIT)
    training.get_by_text("it takes at least 50").wait_for(timeout=WAIT)
    assert not training.get_by_role("button", name=re.compile("^(check )?Use ")).count()
    assert not training.locator(".st-key-training_other").count()
