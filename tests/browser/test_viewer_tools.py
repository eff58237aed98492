"""The viewer's tools in a real browser: each does what its button says, and looking never asks the server."""

from __future__ import annotations

import pytest

from tests.browser.app import eventually, steady

WAIT = 90_000


@pytest.fixture
def viewer(page, known):
    """A page with one film in the viewer."""
    page.locator("input[type=file]").first.set_input_files(str(known[0]))
    page.locator(".viewer .heat").wait_for(state="attached", timeout=WAIT)
    loaded = "all => all.length >= 3 && all.every(i => i.naturalWidth)"
    eventually(page, lambda: page.locator(".viewer img").evaluate_all(loaded))
    page.locator("[data-view=side]").click()
    steady(page, page.locator(".plain .port").bounding_box)
    return page


def lies(page) -> list[float]:
    """How the film lies on the screen: the four numbers of its matrix that turn, mirror and scale."""
    matrix = "s => { const m = new DOMMatrix(s.style.transform); return [m.a, m.b, m.c, m.d]; }"
    return page.locator(".plain .stage").evaluate(matrix)


def style(page, name: str) -> str:
    return page.locator(".plain .stage > img").evaluate(f"i => i.style.{name}")


def test_the_film_is_turned_mirrored_and_fitted(viewer):
    upright = lies(viewer)
    viewer.locator("[data-act=flip]").click()
    assert lies(viewer) == pytest.approx([-upright[0], 0, 0, upright[3]])
    viewer.locator("[data-act=flip]").click()
    viewer.locator("[data-act=rotate]").click()
    across = lies(viewer)
    assert across[0] == pytest.approx(0, abs=1e-6) and across[1] > 0 > across[2]
    viewer.locator(".rail [data-act=reset]").click()
    assert lies(viewer) == pytest.approx(upright)
    viewer.locator("[data-act=in]").click()
    assert lies(viewer)[0] > upright[0]
    viewer.locator("[data-act=fit]").click()
    assert lies(viewer) == pytest.approx(upright)


def test_pixels_are_smooth_or_not_and_windows_have_presets(viewer):
    assert style(viewer, "imageRendering") == "auto"
    viewer.locator("[data-toggle=smooth]").click()
    assert style(viewer, "imageRendering") == "pixelated"
    viewer.locator("[data-act=window]").click()
    seen = {}
    for button in viewer.locator("[data-preset]").all():
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        seen[button.get_attribute("data-preset")] = style(viewer, "filter")
    assert seen["read"] == "none" and len(set(seen.values())) == len(seen) >= 3


def test_dragging_with_the_right_button_changes_the_window(viewer):
    before = style(viewer, "filter")
    box = viewer.locator(".plain .port").bounding_box()
    viewer.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    viewer.mouse.down(button="right")
    viewer.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2 + 40, steps=4)
    viewer.mouse.up(button="right")
    eventually(viewer, lambda: style(viewer, "filter") != before)


def test_full_screen_and_back(viewer):
    viewer.locator("[data-act=full]").click()
    eventually(viewer, lambda: viewer.evaluate("Boolean(document.fullscreenElement)"))
    viewer.locator("[data-act=full]").click()
    eventually(viewer, lambda: viewer.evaluate("!document.fullscreenElement"))


def test_a_point_of_an_angle_can_lie_on_the_divider(viewer):
    viewer.locator("[data-view=swipe]").click()
    divider = viewer.locator(".divider")
    before = divider.get_attribute("aria-valuenow")
    box = steady(viewer, divider.bounding_box)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    viewer.locator("[data-tool=angle]").click()
    for point in ((x + 80, y), (x, y), (x, y + 80)):
        viewer.mouse.move(*point)
        viewer.mouse.down()
        viewer.mouse.up()
    assert viewer.locator(".drawn .labels .measure").inner_text() == "90°"
    assert divider.get_attribute("aria-valuenow") == before


def test_every_tool_is_in_sight_beside_a_low_film(viewer):
    viewer.set_viewport_size({"width": 820, "height": 900})
    rail = viewer.locator(".viewer .rail")
    viewer.locator(".viewer:not([data-narrow])").wait_for(timeout=WAIT)
    eventually(viewer, lambda: rail.evaluate("all => all.scrollHeight <= all.clientHeight"))
    assert rail.locator("button:visible").evaluate_all("all => Math.min(...all.map(b => b.offsetHeight))") >= 24


def test_a_key_that_is_held_acts_once(viewer):
    port = viewer.locator(".plain .port").bounding_box()
    viewer.keyboard.press("m")
    for x in (60, 120, 180):
        viewer.mouse.move(port["x"] + x, port["y"] + 60)
        viewer.mouse.down()
        viewer.mouse.move(port["x"] + x, port["y"] + 160)
        viewer.mouse.up()
    measured = viewer.locator(".plain svg.measures path")
    assert measured.count() == 3
    for _ in range(3):  # what a browser sends of a key that is held
        viewer.keyboard.down("Delete")
    viewer.keyboard.up("Delete")
    assert measured.count() == 2
    overlay = viewer.locator("[data-toggle=overlay]")
    assert overlay.get_attribute("aria-pressed") == "true"
    for _ in range(2):
        viewer.keyboard.down("o")
    viewer.keyboard.up("o")
    assert overlay.get_attribute("aria-pressed") == "false"


def test_two_fingers_zoom_the_film_and_not_the_page(browser, server, known):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(server.url)
    page.locator("input[type=file]").first.set_input_files(str(known[0]))
    page.locator(".viewer .heat").wait_for(state="attached", timeout=WAIT)
    port = page.locator(".port:visible").first
    port.scroll_into_view_if_needed()
    box = steady(page, port.bounding_box)
    x, y = box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.3  # beside the divider
    touch = context.new_cdp_session(page)

    def fingers(kind: str, apart: float | None) -> None:
        points = [] if apart is None else [{"x": x, "y": y - apart, "id": 0}, {"x": x, "y": y + apart, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 20)
    for apart in (30, 40, 60):
        fingers("touchMove", apart)
    fingers("touchEnd", None)
    zoom = page.locator(".zoom:visible").first
    eventually(page, lambda: zoom.inner_text() == "3.0 ×")  # as far apart as they are now
    assert page.evaluate("visualViewport.scale") == 1
    context.close()
