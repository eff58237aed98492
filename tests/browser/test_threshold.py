"""The threshold page in a real browser: it follows the finger, and server and browser count the same."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.evaluation.predictions import Predictions, split_predictions
from fracture_core.metrics.confusion import Confusion
from tests.browser.app import eventually

WAIT = 90_000


@pytest.fixture(scope="session")
def val(small_models) -> Predictions:
    return split_predictions(load_bundle("small", small_models))["val"]


@pytest.fixture
def opened(app_tab, server):
    app_tab.goto(f"{server.url}/threshold")
    app_tab.locator(".live[aria-busy=false]").wait_for(timeout=WAIT)
    return app_tab


def said(matrix: Confusion) -> str:
    return f"TP {matrix.tp}, FN {matrix.fn}, FP {matrix.fp}, TN {matrix.tn}"


def wait_for_matrix(page, matrix: Confusion) -> None:
    page.locator(f'.live[data-counts="{said(matrix)}"]').wait_for(timeout=WAIT)


def wait_for_server(page, threshold: float | None = None) -> None:
    """Wait until the server has counted as well: its intervals stand where dots were."""
    page.locator(".live-metrics tbody tr:first-child td:nth-child(3)", has_text="to").wait_for(timeout=WAIT)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=WAIT)


def sensitivity(page) -> str:
    return page.locator(".live-metrics tbody tr:first-child td:nth-child(2)").inner_text()


CELLS = ("TP", "FN", "FP", "TN")

#: Where the marks on the ROC curve and on the histogram are now.
MARKS = """["roc", "histogram"].map((kind) =>
    document.querySelector(`[data-plot=${kind}] .shapelayer path`).getBoundingClientRect().x)"""


def press(page, key: str) -> None:
    page.get_by_role("slider").first.press(key)


def test_the_keyboard_moves_from_one_score_to_the_next_and_a_cell_shows_its_radiographs(opened, val):
    thresholds = val.roc.thresholds
    press(opened, "Home")
    wait_for_matrix(opened, val.confusion(thresholds[-1]))
    press(opened, "ArrowRight")
    wait_for_matrix(opened, val.confusion(thresholds[-2]))
    press(opened, "End")
    wait_for_matrix(opened, val.confusion(1.0))
    press(opened, "ArrowLeft")
    wait_for_matrix(opened, val.confusion(thresholds[1]))
    press(opened, "Home")
    wait_for_server(opened)
    below = opened.locator("[data-plot=roc]").bounding_box()["y"]
    opened.locator(".cell-TP").click()
    films = opened.locator(".live-films")
    films.get_by_role("heading", name=f"(TP), validation: {val.fractured}").wait_for(timeout=WAIT)
    assert opened.locator("[data-plot=roc]").bounding_box()["y"] == below  # the curves stay where they were
    images = films.locator("img")
    assert images.count() == min(val.fractured, 12)
    assert images.evaluate_all("all => all.every(i => i.complete && i.naturalWidth > 0)")
    names = [text.split()[0] for text in films.locator("li").all_inner_texts()]
    assert names == val.in_cell("TP", 0.0)["image_id"].tolist()[:12]
    assert opened.locator(".cell-TP").get_attribute("aria-pressed") == "true"
    films.locator("li button").first.click()
    opened.wait_for_url(f"**/dataset?image={names[0]}", timeout=WAIT)


def test_everything_moves_while_the_finger_is_down_and_the_server_hears_on_release(opened, val):
    slider = opened.get_by_role("slider").first
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    address, seen = opened.url, set()
    opened.mouse.move(box["x"] + 20, middle)
    opened.mouse.down()
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        opened.mouse.move(box["x"] + share * box["width"], middle)
        opened.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        seen.add(tuple(opened.evaluate(MARKS)))
        threshold = float(opened.locator(".live output").inner_text())
        counts = opened.locator(".live").get_attribute("data-counts")
        assert any(said(val.confusion(t)) == counts for t in val.roc.thresholds if abs(t - threshold) < 6e-4)
        cells = opened.locator("[data-plot=matrix] .annotation-text").all_text_contents()[:4]
        shown = [int(re.match(r"\d+", text)[0]) for text in cells]
        assert [f"{name} {number}" for name, number in zip(CELLS, shown, strict=True)] == counts.split(", ")
    assert len(seen) >= 2
    assert opened.url == address
    opened.mouse.up()
    opened.wait_for_url("**t=0*", timeout=WAIT)
    wait_for_server(opened)
    threshold = float(opened.url.partition("t=")[2].partition("&")[0])
    wait_for_matrix(opened, val.confusion(threshold))
    assert sensitivity(opened) == f"{val.confusion(threshold).sensitivity:.3f}"
    opened.reload()
    opened.locator(".live[aria-busy=false]").wait_for(timeout=WAIT)
    wait_for_matrix(opened, val.confusion(threshold))


def click_plot(page, kind: str, x: float, y: float) -> None:
    """Click where the axes stand at x and y."""
    plot = page.locator(f"[data-plot={kind}]")
    plot.scroll_into_view_if_needed()
    at = plot.evaluate(
        """(plot, [x, y]) => {
            const box = plot.querySelector(".nsewdrag").getBoundingClientRect(), { xaxis, yaxis } = plot._fullLayout;
            return [box.left + xaxis.l2p(x), box.top + yaxis.l2p(y)];
        }""",
        [x, y],
    )
    page.mouse.click(*at)


def test_a_click_on_a_curve_goes_there_again_and_again(opened, val, small_models):
    single = load_bundle("small", small_models).points["single"]
    index = len(val.roc.x) // 2
    square = val.confusion(single.threshold)
    for _ in range(2):  # a square, the curve, the same place of the curve: none takes the other back
        click_plot(opened, "roc", 1 - square.specificity, square.sensitivity)
        wait_for_matrix(opened, square)
        wait_for_server(opened)
        for _ in range(2):
            click_plot(opened, "roc", val.roc.x[index], val.roc.y[index])
            wait_for_matrix(opened, val.confusion(val.roc.thresholds[index]))
            wait_for_server(opened)
    opened.get_by_text("Test (check here)").click()
    opened.get_by_text("the threshold is locked").wait_for(timeout=WAIT)
    opened.locator(".live[data-locked=true]").wait_for(timeout=WAIT)
    click_plot(opened, "histogram", 0.2, 1)
    opened.get_by_text("Validation (choose here)").click()
    opened.locator(".live[data-locked=false]").wait_for(timeout=WAIT)
    wait_for_matrix(opened, val.confusion(val.roc.thresholds[index]))


def test_a_click_anywhere_on_the_scores_goes_there(opened, val):
    probabilities = [*sorted(val.probabilities), 1.0]
    # Halfway across the widest gap above a score, so that a pixel more or less changes nothing.
    gap, low = max((b - a, a) for a, b in pairwise(probabilities))
    for height in (0.9, 0.2):
        press(opened, "Home")
        wait_for_matrix(opened, val.confusion(0.0))
        click_plot(opened, "histogram", low + gap / 2, height)
        wait_for_matrix(opened, val.confusion(low + gap / 2))


def lies_within(inner, outer, axes: str = "xy") -> bool:
    """Whether one element lies within another, but for half a pixel of rounding."""
    one, other, sides = inner.bounding_box(), outer.bounding_box(), {"x": "width", "y": "height"}
    return bool(one and other) and all(
        other[axis] - 0.5 <= one[axis] and one[axis] + one[sides[axis]] <= other[axis] + other[sides[axis]] + 0.5
        for axis in axes
    )


def test_the_cells_can_be_picked_where_they_are_drawn_after_the_window_was_turned(opened):
    for width in (390, 1000):
        opened.set_viewport_size({"width": width, "height": 900})
        for number, cell in enumerate(("TP", "FN", "FP", "TN")):
            note = opened.locator(f'[data-plot=matrix] .annotation[data-index="{number}"]')
            button, frame = opened.locator(f".cell-{cell}"), opened.locator(".live-frame")
            eventually(opened, lambda note=note, button=button: lies_within(note, button))
            eventually(opened, lambda button=button, frame=frame: lies_within(button, frame, "x"))


def test_on_test_the_slider_is_locked_until_asked_for(opened):
    opened.get_by_text("Test (check here)").click()
    opened.locator(".live[data-locked=true]").wait_for(timeout=WAIT)
    assert opened.get_by_role("slider").first.is_disabled()
    opened.get_by_text("Allow changes on the test set").click()
    opened.locator(".live[data-locked=false]").wait_for(timeout=WAIT)
    press(opened, "End")
    opened.get_by_text("so its test results are optimistic").wait_for(timeout=WAIT)


@pytest.mark.parametrize("width", [1440, 820, 390])
def test_nothing_is_cut_off(opened, width):
    opened.set_viewport_size({"width": width, "height": 900})
    eventually(opened, lambda: opened.evaluate("document.documentElement.scrollWidth") <= width)
    main = opened.locator("[data-testid=stMain]")
    eventually(opened, lambda: main.evaluate("e => e.scrollWidth - e.clientWidth") == 0)
    for part in opened.locator(".live section, .live-cells button, .live-ticks button").all():
        eventually(opened, lambda part=part: lies_within(part, main, "x"))


def test_the_open_films_that_change_are_counted(page, known, findings):
    page.locator("input[type=file]").first.set_input_files([str(path) for path in known[:3]])
    page.locator(".answer").wait_for(timeout=WAIT)
    page.get_by_role("link", name="Threshold", exact=True).click()
    page.locator(".live[aria-busy=false]").wait_for(timeout=WAIT)
    words = page.get_by_text("Your open films: ")
    words.wait_for(timeout=WAIT)
    present = findings[known[0]].rule_in.threshold
    shares = [findings[path].probability for path in known[:3]]
    for key in ("Home", "End"):
        press(page, key)
        wait_for_server(page)
        threshold = page.evaluate("document.querySelector('.live').live.threshold")
        changed = sum((share >= present) != (share >= threshold) for share in shares)
        expected = f"Your open films: {changed} of 3 change at this threshold."
        eventually(page, lambda expected=expected: words.inner_text() == expected)


def test_a_saved_point_is_renamed_and_deleted(opened):
    opened.get_by_role("tab", name="Save").click()
    opened.get_by_label("Name", exact=True).fill("night shift")
    opened.get_by_role("button", name="Save with the model").click()
    opened.get_by_role("button", name="Rename").first.wait_for(timeout=WAIT)
    opened.get_by_role("button", name="Rename").first.click()
    opened.get_by_label("New name").fill("late shift")
    opened.get_by_label("New name").press("Enter")
    opened.locator("[data-testid=stPopoverBody]").get_by_role("button", name="Rename").click()
    chosen = opened.get_by_role("combobox", name="Saved point")
    # For a moment the field of the old name stands beside the new one.
    words = "all => all.map((e) => `${e.value ?? ''} ${e.textContent}`).join()"
    eventually(opened, lambda: "late shift" in chosen.evaluate_all(words))
    opened.get_by_role("button", name="Delete").first.click()
    opened.get_by_role("button", name="Yes, delete it").click()
    opened.get_by_text("Nothing saved yet").wait_for(timeout=WAIT)


def test_save_right_after_a_key_saves_the_threshold_on_the_slider(opened, vocal_models):
    wait_for_server(opened)
    opened.get_by_role("tab", name="Save").click()
    opened.get_by_label("Name", exact=True).fill("at once")
    opened.get_by_label("Name", exact=True).press("Tab")
    wait_for_server(opened)
    shown = opened.evaluate(
        """() => {
          const slider = document.querySelector(".live input[type=range]");
          slider.focus();
          slider.dispatchEvent(new KeyboardEvent("keydown", { key: "PageDown" }));
          const buttons = [...document.querySelectorAll("button")];
          const save = buttons.find((one) => one.textContent.includes("Save with the model"));
          save.focus();
          save.click();
          return document.querySelector(".live").live.threshold;
        }"""
    )
    opened.get_by_role("button", name="Rename").first.wait_for(timeout=WAIT)
    [saved] = load_bundle("small", vocal_models).chosen_points()
    assert saved.threshold == pytest.approx(shown, abs=1e-9)
    opened.get_by_role("button", name="Delete").first.click()
    opened.get_by_role("button", name="Yes, delete it").click()
    opened.get_by_text("Nothing saved yet").wait_for(timeout=WAIT)


def test_a_threshold_is_used_on_diagnose_without_saving_it(opened, val):
    press(opened, "End")
    wait_for_matrix(opened, val.confusion(1.0))
    opened.wait_for_url("**t=0*", timeout=WAIT)
    wait_for_server(opened)
    opened.get_by_role("button", name="on Diagnose").click()
    # The chosen point is the value of the sidebar's field, which is no text of the page.
    opened.wait_for_function(
        "[...document.querySelectorAll('section.stSidebar input, section.stSidebar [role=combobox]')]"
        ".some((field) => `${field.value ?? ''} ${field.textContent}`.includes(', from Threshold'))",
        timeout=WAIT,
    )
    assert "/threshold" not in opened.url
