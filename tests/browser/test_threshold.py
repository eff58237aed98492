"""The threshold page in a real browser: the slider, the matrix, a cell's radiographs, a click on a curve."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fracture_core.bundle.bundle import load_bundle
from fracture_core.evaluation.predictions import Predictions, split_predictions
from fracture_core.metrics.confusion import Confusion
from fracture_core.reporting.threshold_charts import curve_chart, histogram_chart

WAIT = 90_000


@pytest.fixture(scope="session")
def val(small_models) -> Predictions:
    return split_predictions(load_bundle("small", small_models))["val"]


@pytest.fixture
def opened(page, server):
    page.goto(f"{server.url}/threshold")
    cell(page, "TN").wait_for(timeout=WAIT)
    page.locator(".st-key-curve_roc canvas").wait_for(timeout=WAIT)
    return page


def cell(page, name: str):
    return page.locator(f".st-key-cell_{name} button")


def wait_for_matrix(page, matrix: Confusion) -> None:
    for name, n in (("TN", matrix.tn), ("FP", matrix.fp), ("FN", matrix.fn), ("TP", matrix.tp)):
        cell(page, name).locator("strong", has_text=f"{n}").wait_for(timeout=WAIT)
        assert cell(page, name).locator("strong").inner_text() == str(n)


def settle(page) -> None:
    """Wait until the server has said all: what is pressed while a plot or the slider is drawn anew goes nowhere."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=WAIT)
    page.wait_for_timeout(500)


def slide(page, key: str) -> None:
    settle(page)
    page.get_by_role("slider").first.press(key)


def test_the_slider_moves_the_matrix_and_a_cell_its_radiographs(opened, val):
    slide(opened, "End")
    wait_for_matrix(opened, val.confusion(1.0))
    slide(opened, "Home")
    wait_for_matrix(opened, val.confusion(0.0))
    cell(opened, "TP").click()
    opened.get_by_role("heading", name=f"Fractures caught (TP), validation: {val.fractured}").wait_for(timeout=WAIT)
    pictures = opened.locator(".st-key-gallery img")
    pictures.first.wait_for(timeout=WAIT)
    assert pictures.count() == min(val.fractured, 10)
    assert all(pictures.evaluate_all("all => all.map(i => i.complete && i.naturalWidth > 0)"))
    captions = opened.locator(".st-key-gallery [data-testid=stImageCaption]").all_inner_texts()
    assert [c.partition(":")[0] for c in captions] == val.in_cell("TP", 0.0)["image_id"].tolist()[:10]
    slide(opened, "End")
    opened.get_by_role("heading", name="Fractures caught (TP), validation: 0").wait_for(timeout=WAIT)
    assert pictures.count() == 0


def click_plot(page, key: str, grid: dict, x: float, y: float) -> None:
    """Click where the axes, both from 0 to 1 here, stand at x and y."""
    settle(page)
    canvas = page.locator(f".st-key-{key} canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    width, height = box["width"] - grid["left"] - grid["right"], box["height"] - grid["top"] - grid["bottom"]
    canvas.click(position={"x": grid["left"] + x * width, "y": grid["top"] + (1 - y) * height})


def test_a_click_on_a_curve_goes_there_and_stays_when_the_split_changes(opened, val):
    chart = curve_chart("roc", val, [])
    index = len(val.roc.x) // 2
    slide(opened, "Home")  # or the threshold might stand there already, and the click come after all waiting
    wait_for_matrix(opened, val.confusion(0.0))
    click_plot(opened, "curve_roc", chart.option["grid"], val.roc.x[index], val.roc.y[index])
    wait_for_matrix(opened, val.confusion(chart.threshold_at("curve", index)))
    slide(opened, "End")
    wait_for_matrix(opened, val.confusion(1.0))
    opened.get_by_text("Test: check here").click()
    opened.get_by_text("the threshold is locked").wait_for(timeout=WAIT)
    click_plot(opened, "histogram", chart.option["grid"], 0.2, 0.9)
    opened.wait_for_timeout(1500)  # for the server to hear of it while the threshold is locked
    opened.get_by_text("Validation: choose here").click()
    opened.get_by_text("choose by them").wait_for(timeout=WAIT)
    opened.wait_for_timeout(1500)
    wait_for_matrix(opened, val.confusion(1.0))


def test_a_click_anywhere_on_the_scores_goes_there_a_second_time_too(opened, val):
    grid = histogram_chart(val, {}).option["grid"]
    probabilities = [*sorted(val.probabilities), 1.0]
    # Halfway across the widest gap above a score, so that a pixel more or less changes nothing.
    gap, low = max((b - a, a) for a, b in pairwise(probabilities))
    place = low + gap / 2
    for height in (0.9, 0.2):
        slide(opened, "Home")
        wait_for_matrix(opened, val.confusion(0.0))
        click_plot(opened, "histogram", grid, place, height)
        wait_for_matrix(opened, val.confusion(place))


def test_on_test_the_slider_is_locked_until_asked_for(opened):
    opened.get_by_text("Test: check here").click()
    opened.get_by_text("the threshold is locked").wait_for(timeout=WAIT)
    settle(opened)
    assert opened.get_by_role("slider").first.get_attribute("aria-disabled") == "true" or not (
        opened.get_by_role("slider").first.is_enabled()
    )
    opened.get_by_text("Move the threshold while looking at test").click()
    slide(opened, "End")
    opened.get_by_text("set while looking at test").wait_for(timeout=WAIT)
