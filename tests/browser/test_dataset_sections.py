"""The dataset page's other sections in a real browser: charts that filter, the map, suspect labels, on to Diagnose."""

from __future__ import annotations

import csv
import math
import re

import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.data.catalogue import Filters, catalogue, select, with_outcomes
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.split import project_split
from tests.browser.app import eventually, steady
from tests.browser.scenes import settled
from tests.browser.test_dataset import WAIT, choose, count, shows

_BAR = """(names) => {
  const plot = document.querySelector(".st-key-chart_classes_by_body_part .js-plotly-plot");
  const trace = plot._fullData.findIndex((one) => one.name === names[1]);
  const bars = plot.querySelectorAll(".barlayer .trace")[trace].querySelectorAll(".point path");
  const row = plot._fullData[trace].customdata.findIndex((one) => one[0] === names[0]);
  bars[row].scrollIntoView({ block: "center" });
  const box = bars[row].getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""
_CELL = """(cell) => {
  const plot = document.querySelector(".st-key-chart_dataset_matrix .js-plotly-plot");
  plot.scrollIntoView({ block: "center" });
  const marks = plot._fullData.find((one) => one.customdata?.includes?.(cell)), layout = plot._fullLayout;
  const place = marks.customdata.indexOf(cell), box = plot.querySelector(".nsewdrag").getBoundingClientRect();
  return [box.x + layout.xaxis.d2p(marks.x[place]), box.y + layout.yaxis.d2p(marks.y[place])];
}"""
_POINTS = """() => {
  const plot = document.querySelector(".st-key-chart_feature_map .js-plotly-plot"), layout = plot._fullLayout;
  const box = plot.querySelector(".nsewdrag").getBoundingClientRect(), found = [];
  for (const trace of plot._fullData) (trace.customdata ?? trace.text).forEach((id, k) => found.push([
    trace.name, id, box.x + layout.xaxis.d2p(trace.x[k]), box.y + layout.yaxis.d2p(trace.y[k])]));
  return found;
}"""


@pytest.fixture(scope="module")
def table(small_models):
    dataset, bundle = FracAtlas(small_models.parent / "data"), load_bundle("small", small_models)
    made = catalogue(dataset, project_split(dataset, None), None, bundle.predictions())
    return with_outcomes(made, bundle.points["rule_out"].threshold, bundle.points["rule_in"].threshold)


@pytest.fixture
def page(app_tab):
    """An empty page; the tests go to a section by its address."""
    return app_tab


def section(page, server, name: str) -> None:
    page.goto(f"{server.url}/dataset?show={name.replace(' ', '+')}")


def lasso(page, x: float, y: float, radius: float) -> None:
    """Drag round a circle, as a hand does."""
    page.mouse.move(x + radius, y)
    page.mouse.down()
    for step in range(1, 33):
        angle = 2 * math.pi * step / 32
        page.mouse.move(x + radius * math.cos(angle), y + radius * math.sin(angle))
    page.mouse.up()


def test_search_finds_the_ids_that_it_names(page, server):
    page.goto(f"{server.url}/dataset")
    page.locator(".gallery button").first.wait_for(timeout=WAIT)
    field = page.locator(".st-key-search input")
    field.fill("3, IMG0000017 20")
    field.press("Enter")
    shows(page, ["IMG0000003", "IMG0000017", "IMG0000020"])
    assert "id=" in page.url


def test_right_and_wrong_and_a_range_of_probability(page, server, table):
    page.goto(f"{server.url}/dataset")
    page.locator(".gallery button").first.wait_for(timeout=WAIT)
    outcome = table["outcome"][table["outcome"] != ""].mode()[0]
    expected = select(table, Filters(outcomes=[outcome]))
    choose(page, outcome)
    count(page, len(expected))
    shows(page, expected)
    words = page.locator(".gallery .words").first.inner_text()
    assert words.startswith("model: ") and page.locator(".gallery .badge").first.inner_text()
    low = float(table["probability"].median().round(2))
    page.goto(f"{server.url}/dataset?p_from={low:g}")
    count(page, len(select(table, Filters(probability=(low, 1.0)))))
    page.locator(".st-key-probability").get_by_role("slider").first.focus()
    page.keyboard.press("ArrowRight")
    # The next range may hold as many films: the address tells the two apart.
    page.wait_for_url(lambda url: f"p_from={low + 0.01:.2g}" in url or f"p_from={low + 0.01:.2f}" in url, timeout=WAIT)
    count(page, len(select(table, Filters(probability=(round(low + 0.01, 2), 1.0)))))
    page.go_back()
    count(page, len(select(table, Filters(probability=(low, 1.0)))))


def test_a_bar_shows_its_images_and_back_leads_back(page, server, table):
    section(page, server, "Composition")
    plot = page.locator(".st-key-chart_classes_by_body_part .js-plotly-plot").first
    plot.locator(".barlayer .point").first.wait_for(timeout=WAIT)
    page.mouse.click(*steady(page, lambda: page.evaluate(_BAR, ["hand", "fractured"])))
    expected = select(table, Filters(labels=["fractured"], parts=["hand"]))
    count(page, len(expected))
    shows(page, expected)
    assert "part=hand" in page.url and "label=fractured" in page.url
    page.go_back()
    plot.locator(".barlayer .point").first.wait_for(timeout=WAIT)


def test_a_cell_of_the_matrix_shows_its_images(page, server, table, small_models):
    section(page, server, "Misclassified")
    plot = page.locator(".st-key-chart_dataset_matrix .js-plotly-plot").first
    plot.locator(".nsewdrag").first.wait_for(state="attached", timeout=WAIT)
    threshold = min(load_bundle("small", small_models).points["rule_in"].threshold, 1.0)
    test = table[(table["split"] == "test") & (table["label"] == 0)]
    missed = test.index[test["probability"] < threshold]
    page.mouse.click(*steady(page, lambda: page.evaluate(_CELL, "TN")))
    count(page, len(missed))
    shows(page, list(missed))


def test_these_are_diagnosed(page, server, table):
    expected = select(table, Filters(labels=["fractured"], counts=["1"]))[:24]
    page.goto(f"{server.url}/dataset?label=fractured&fractures=1")
    shows(page, expected)
    page.locator(".st-key-diagnose_these button").click(timeout=WAIT)
    page.locator(".answer").wait_for(timeout=WAIT)
    for image_id in expected[:3]:
        page.get_by_text(image_id).first.wait_for(state="attached", timeout=WAIT)


def opened_map(page):
    """Return the map's start button and its plot, once it is drawn and in sight."""
    start, plot = page.locator(".st-key-map_start button"), page.locator(".st-key-chart_feature_map .js-plotly-plot")
    start.or_(plot).first.wait_for(timeout=WAIT)
    if start.count():
        start.click()
    plot.first.wait_for(timeout=WAIT)
    plot.first.scroll_into_view_if_needed()
    return start, plot


def test_the_map_is_computed_once_and_a_lasso_selects(page, server, table, known):
    """The film that was uploaded is drawn amid its like; what the hand draws round is in the grid, and nothing else."""
    page.goto(server.url)
    page.locator("input[type=file]").first.set_input_files(str(known[0]))
    page.locator(".answer").wait_for(timeout=WAIT)
    page.get_by_role("link", name="Dataset", exact=True).click()
    page.get_by_text("Map", exact=True).click(timeout=WAIT)
    start, plot = opened_map(page)
    points = steady(page, lambda: page.evaluate(_POINTS))
    assert sorted(one[1] for one in points if one[0] != "your films") == sorted(table.index)
    (mine,) = [one for one in points if one[0] == "your films"]
    itself = next(one for one in points if one[1] == known[0].stem)
    spread = max(one[2] for one in points) - min(one[2] for one in points)
    assert mine[1] == known[0].name and math.dist(mine[2:], itself[2:]) < 0.4 * spread
    # Round the film nearest the middle, and not beyond the plot: where films lie is the map's affair.
    area = plot.first.locator(".nsewdrag").first.bounding_box()
    middle = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
    known_films = [one for one in points if one[0] != "your films"]
    _, chosen, *place = min(known_films, key=lambda one: math.dist(one[2:], middle))
    room = [place[0] - area["x"], area["x"] + area["width"] - place[0]]
    room += [place[1] - area["y"], area["y"] + area["height"] - place[1]]
    away = sorted(math.dist(one[2:], place) for one in known_films)
    # A dozen films at most: the grid shows 24 at a time.
    radius = min(0.2 * spread, (away[11] + away[12]) / 2, *(side - 5 for side in room))
    inside = {one[1] for one in known_films if math.dist(one[2:], place) < radius - 3}
    near = {one[1] for one in known_films if math.dist(one[2:], place) < radius + 3}
    lasso(page, *place, radius)
    page.get_by_text(re.compile(r"^\d+ of 60 radiographs selected")).wait_for(timeout=WAIT)
    tiles = page.locator(".gallery .id span:first-child")
    eventually(page, lambda: inside | {chosen} <= set(tiles.all_inner_texts()) <= near)
    # A second visit finds the map kept.
    section(page, server, "Map")
    plot.first.wait_for(timeout=WAIT)
    assert not start.count()


def test_on_a_phone_a_drag_scrolls_the_map_until_drawing_is_asked_for(browser, server):
    context = browser.new_context(viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True)
    page = context.new_page()
    section(page, server, "Map")
    _, plot = opened_map(page)
    main, devtools = page.locator("[data-testid=stMain]"), context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})
        page.wait_for_timeout(20)

    def dragged(by: int) -> float:
        """How far the page has scrolled once a finger has moved down over the map by these pixels."""
        before = steady(page, lambda: main.evaluate("m => m.scrollTop"))
        area = steady(page, plot.first.locator(".nsewdrag").first.bounding_box)
        across, middle = area["x"] + area["width"] / 2, (max(area["y"], 60) + min(area["y"] + area["height"], 690)) / 2
        touch("touchStart", (across, middle))
        for step in range(1, 13):
            touch("touchMove", (across, middle + by * step / 12))
        touch("touchEnd")
        return steady(page, lambda: main.evaluate("m => m.scrollTop")) - before

    main.evaluate("m => m.scrollTo(0, 100)")
    assert dragged(120) < -60 and dragged(-120) > 60
    page.get_by_text("Draw around radiographs with a finger").tap()
    page.locator(".st-key-map_touch input:checked").wait_for(state="attached", timeout=WAIT)
    settled(page)
    main.evaluate("m => m.scrollTo(0, 100)")
    assert dragged(120) == 0
    context.close()


def test_suspect_labels_are_listed_and_exported(page, server, table, tmp_path):
    section(page, server, "Suspect labels")
    start, ready = page.locator(".st-key-suspects_start button"), page.locator(".st-key-suspects_csv button")
    start.or_(ready).first.wait_for(timeout=WAIT)
    if start.count():
        start.click()
    ready.wait_for(timeout=WAIT)
    with page.expect_download() as saved:
        ready.click()
    saved.value.save_as(tmp_path / "list.csv")
    rows = list(csv.DictReader((tmp_path / "list.csv").open()))
    page.get_by_text(re.compile(rf"^{len(rows)} of 60 labels are contradicted")).wait_for(timeout=WAIT)
    assert {"image_id", "label", "probability", "trained_on", "boxes", "duplicates", "file"} <= set(rows[0])
    for row in rows:
        assert int(row["label"]) == table.at[row["image_id"], "label"]
        assert (row["boxes"] != "[]") == (row["label"] == "1")
    margins = [float(row["margin"]) for row in rows]
    assert margins == sorted(margins) and all(margin < 0 for margin in margins)
    shows(page, [row["image_id"] for row in rows][:24])
