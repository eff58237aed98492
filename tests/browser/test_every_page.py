"""Every page in every state: nothing that keeps people out, nothing cut off, nothing that scrolls sideways."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.saved_points import save_pair
from tests.browser.app import Server
from tests.browser.looks import cut_off, serious_findings
from tests.browser.scenes import EMPTY, OPENING, WALKS, Step, Visit, settled

pytestmark = pytest.mark.slow
THEMES = ("dark", "light")
DESK, TABLET, PHONE = (1440, 900), (820, 1180), (390, 844)
POINT = "All three answers"


@pytest.fixture(scope="module")
def models(vocal_models, findings, known, tmp_path_factory) -> Path:
    """The small bundle with two saved thresholds between which the answers of three films fall apart."""
    models = tmp_path_factory.mktemp("every-page") / "models"
    shutil.copytree(vocal_models, models)
    bundle = load_bundle("small", models)
    shares = sorted(findings[path].probability for path in known)
    low, high = ((shares[at] + shares[at + 1]) / 2 for at in (0, len(shares) - 2))
    single = bundle.points["single"]
    save_pair(bundle, replace(single, threshold=low), replace(single, threshold=high), POINT)
    return models


@pytest.fixture(scope="module", params=THEMES)
def themed(request, models, small_models, tmp_path_factory) -> Iterator[Callable[[str], Server]]:
    """Start the app in one theme, "furnished" with everything there is to show, or "empty"; each once, when needed."""
    folder = tmp_path_factory.mktemp(f"every-page-{request.param}")
    shutil.copytree(small_models.parent / "run", folder / "runs" / "a-run")
    places = {
        "furnished": {
            "FRACATLAS_DIR": str(small_models.parent / "data"),
            "FRACTURE_RUNS_DIR": str(folder / "runs"),
            "FRACTURE_AUDIT_LOG": str(folder / "audit.csv"),
            "FRACTURE_REVIEW_DIR": str(folder / "review"),
        },
        "empty": {
            "FRACATLAS_DIR": str(folder / "no-dataset"),
            "FRACTURE_RUNS_DIR": str(folder / "no-runs"),
            "FRACTURE_AUDIT_LOG": str(folder / "nothing-yet.csv"),
            "FRACTURE_REVIEW_DIR": str(folder / "nothing-kept"),
        },
    }
    theme = ("--theme.base", f".streamlit/{request.param}.toml")
    running: dict[str, Server] = {}

    def serving(name: str) -> Server:
        if name not in running:
            running[name] = Server(folder / f"{name}.log", *theme, FRACTURE_MODELS_DIR=str(models), **places[name])
            running[name].wait()
        return running[name]

    yield serving
    for server in running.values():
        server.stop()


@pytest.fixture
def visit(tab, known, findings, tmp_path):
    """What makes a visit to a server."""
    blank, text = tmp_path / "blank.png", tmp_path / "letter.txt"
    Image.new("L", (300, 400), 90).save(blank)
    text.write_text("Dear colleague,\n")
    ordered = sorted(known, key=lambda path: findings[path].probability)
    films = (ordered[0], ordered[len(ordered) // 2], ordered[-1])
    tab.set_viewport_size({"width": DESK[0], "height": DESK[1]})
    return lambda server: Visit(tab, server.url, films, blank, text, f"Saved: {POINT}")


def lasting(page, look: Callable[[object], list[str]]) -> list[str]:
    """Return what a look finds wrong and goes on finding for some seconds: until then the page may still be drawing."""
    for _ in range(20):
        if not (wrong := look(page)):
            break
        page.wait_for_timeout(500)
    return wrong


def faults(visit: Visit, state: str, step: Step, *, axe: bool = True) -> list[str]:
    """Go to a state on a desk's screen; return what is wrong with it, there and at two smaller sizes.

    Without `axe` only what is cut off is looked for.
    """
    page, found = visit.page, []
    page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
    step(visit)
    settled(page)
    for size in (DESK, TABLET, PHONE):
        if size != DESK:
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.wait_for_timeout(500)
        wrong = lasting(page, cut_off) if size != DESK else []
        wrong += lasting(page, serious_findings) if axe and size != TABLET else []
        found += [f"{state}, {size[0]} px: {one}" for one in wrong]
    return found


@pytest.mark.skipif(not os.environ.get("FRACTURE_EVERY_PAGE"), reason="ten minutes; set FRACTURE_EVERY_PAGE=1")
@pytest.mark.parametrize("walk", WALKS)
def test_everybody_can_use_it_and_nothing_is_cut_off(visit, themed, walk):
    there = visit(themed("furnished"))
    assert not [fault for state, step in WALKS[walk] for fault in faults(there, state, step)]


def test_pages_with_something_on_them_are_not_cut_off(visit, themed, request):
    if request.node.callspec.params["themed"] != THEMES[0]:
        pytest.skip("colours cut nothing off")
    there = visit(themed("furnished"))
    assert not [fault for state, step in OPENING for fault in faults(there, state, step, axe=False)]


def test_what_is_empty_can_be_used_as_well(visit, themed):
    there = visit(themed("empty"))
    assert not [fault for state, step in EMPTY for fault in faults(there, state, step)]


def test_without_a_dataset_there_are_films_to_click_and_a_way_to_the_rest(visit, themed):
    page = visit(themed("empty")).page
    page.goto(themed("empty").url)
    page.locator(".gallery button").first.wait_for(timeout=180_000)
    assert page.locator(".gallery button").count() == 8
    page.get_by_role("link", name="Get all of FracAtlas").wait_for(timeout=180_000)
    assert "CC BY 4.0" in page.locator("[data-testid=stMain]").inner_text()
    page.locator(".gallery button").first.click()
    page.locator(".answer").wait_for(timeout=180_000)


def test_a_tablet_shows_a_film_without_scrolling(visit, themed):
    there = visit(themed("furnished"))
    there.page.set_viewport_size({"width": TABLET[0], "height": TABLET[1]})
    there.page.goto(there.url)
    there.page.locator("input[type=file]").first.wait_for(state="attached")
    there.page.locator("input[type=file]").first.set_input_files([str(path) for path in there.answered])
    there.page.locator(".viewer .heat").wait_for(state="attached", timeout=180_000)
    settled(there.page)
    main = there.page.locator("[data-testid=stMain]")
    assert main.evaluate("m => m.scrollHeight - m.clientHeight") <= 0
