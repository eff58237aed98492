"""The dataset page in a real browser: filters and their address, one image, and on to the diagnosis."""

from __future__ import annotations

import re

import pytest

from fracture_core.data.catalogue import Filters, catalogue, select
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.split import project_split
from tests.browser.app import Server, eventually, steady

WAIT = 120_000


@pytest.fixture(scope="module")
def table(small_models):
    dataset = FracAtlas(small_models.parent / "data")
    return catalogue(dataset, project_split(dataset, None))


@pytest.fixture
def grid(app_tab, server):
    app_tab.goto(f"{server.url}/dataset")
    app_tab.locator(".gallery button").first.wait_for(timeout=WAIT)
    return app_tab


def count(page, expected: int) -> None:
    page.get_by_text(re.compile(rf"^{expected:,} of [\d,]+ radiographs")).wait_for(timeout=WAIT)


def shows(page, expected: list[str]) -> None:
    """Wait until the grid has these images, in this order."""
    for _ in range(300):
        found = page.locator(".gallery .id span:first-child").all_inner_texts()
        if found == expected:
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"the grid has {found}, not {expected}")


def pick(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click(timeout=WAIT)


def choose(page, name: str) -> None:
    """Press a choice of the rail; its accessible name ends with the number of images."""
    page.locator(".rail").get_by_role("button", name=re.compile(rf"^(✓ )?{name} [\d,]+$")).click(timeout=WAIT)


def test_filters_show_what_they_say_and_the_address_keeps_them(grid, server, table):
    expected = select(table, Filters(labels=["fractured"], counts=["1"]))
    offered = grid.locator(".rail").inner_text()
    assert "upper limb" in offered and "lower limb" in offered and "hand" not in offered
    choose(grid, "fractured")
    count(grid, len(select(table, Filters(labels=["fractured"]))))
    choose(grid, "1")
    count(grid, len(expected))
    shows(grid, expected)
    assert "label=fractured" in grid.url
    assert "fractures=1" in grid.url
    shared = grid.context.new_page()
    shared.goto(grid.url)
    count(shared, len(expected))
    shows(shared, expected)
    shared.close()
    grid.go_back()
    count(grid, len(select(table, Filters(labels=["fractured"]))))
    pick(grid, "Clear all filters")
    count(grid, len(table))
    assert "label=" not in grid.url


def test_one_image_is_opened_looked_at_and_left(grid, table):
    grid.locator(".gallery button").first.click()
    grid.locator(".drawn .port").first.wait_for(timeout=WAIT)
    assert f"image={table.index[0]}" in grid.url
    outlines = grid.locator("svg.polygons path")
    outlines.first.wait_for(state="attached", timeout=WAIT)
    before = grid.locator(".drawn .port").screenshot()
    for name in ("boxes", "polygons"):
        grid.locator(f"[data-toggle={name}]").click()
    eventually(grid, lambda: grid.locator(".drawn .port").screenshot() != before)
    grid.locator("[data-act=in]").click()
    assert "1.3" in grid.locator(".zoom").inner_text() or "1.2" in grid.locator(".zoom").inner_text()
    grid.get_by_role("button", name=re.compile("^Next")).click(timeout=WAIT)
    grid.get_by_text(table.index[1]).first.wait_for(timeout=WAIT)
    grid.keyboard.press("ArrowRight")
    grid.get_by_text(table.index[2]).first.wait_for(timeout=WAIT)
    grid.go_back()
    grid.get_by_text(table.index[1]).first.wait_for(timeout=WAIT)
    grid.get_by_role("button", name=re.compile("Back to the grid")).click()
    count(grid, len(table))
    assert "image=" not in grid.url


def test_diagnose_this_goes_on_with_this_image(grid, known):
    image_id = known[0].stem
    grid.goto(f"{grid.url.partition('?')[0]}?image={image_id}")
    grid.get_by_role("button", name=re.compile("Open in Diagnose")).click(timeout=WAIT)
    grid.locator(".answer").wait_for(timeout=WAIT)
    assert "/dataset" not in grid.url


def test_it_is_readable_on_a_phone(grid):
    grid.set_viewport_size({"width": 390, "height": 844})
    eventually(grid, lambda: grid.evaluate("document.documentElement.scrollWidth") <= 390)
    tile = steady(grid, grid.locator(".gallery button").first.bounding_box)
    assert 120 <= tile["width"] <= 390
    assert tile["y"] < 844
    labels = grid.locator(".rail").get_by_role("button", name=re.compile(r"^fractured [\d,]+$"))
    assert not labels.is_visible()
    grid.get_by_text("Show filters").click()
    labels.wait_for(timeout=WAIT)


def test_the_first_visitor_may_come_by_a_shared_address(tab, small_models, tmp_path, table):
    """A server that has not met its page list yet opens the page with its filters, beside the other pages."""
    running = Server(
        tmp_path / "log",
        FRACTURE_MODELS_DIR=str(small_models),
        FRACATLAS_DIR=str(small_models.parent / "data"),
    )
    try:
        running.wait()
        tab.goto(f"{running.url}/dataset?label=fractured")
        count(tab, len(select(table, Filters(labels=["fractured"]))))
        tab.get_by_role("link", name="Diagnose", exact=True).wait_for(timeout=WAIT)
        assert tab.get_by_role("link", name="streamlit app").count() == 0
    finally:
        running.stop()
