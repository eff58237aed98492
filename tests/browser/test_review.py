"""Verdicts by keys, boxes by mouse, and what is kept of them, in a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fracture_core.data.review.review_set import FILE, ReviewSet
from fracture_core.imaging.radiograph import read_radiograph
from tests.browser.app import Server

WAIT = 90_000
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def review_server(small_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("review")
    running = Server(
        folder / "log",
        FRACTURE_MODELS_DIR=str(small_models),
        FRACATLAS_DIR=str(small_models.parent / "data"),
        FRACTURE_REVIEW_DIR=str(folder / "review"),
    )
    running.wait()
    yield running, folder / "review"
    running.stop()


@pytest.fixture
def desk(tab, review_server, known, request):
    """The Review page with four films of the session, and a reader who has read none."""
    server, folder = review_server
    reader = getattr(request, "param", "ward7")
    page = tab
    page.set_viewport_size({"width": 1280, "height": 1100})
    page.goto(server.url)
    page.locator("input[type=file]").set_input_files([str(path) for path in known[:4]])
    page.locator(".answer").wait_for(timeout=WAIT)
    page.get_by_role("link", name="Review").click()
    name = page.get_by_label("Your name or initials")
    name.wait_for(timeout=WAIT)
    name.fill(reader)
    name.press("Enter")
    page.locator(".desk .film[data-film]").wait_for(timeout=WAIT)
    page.get_by_text(f"0 of 4 read by {reader}").wait_for(timeout=WAIT)
    return page, folder, known[:4]


def test_while_nobody_is_named_every_toolbar_can_be_reached(tab, review_server, known):
    page = tab
    page.set_viewport_size({"width": 1280, "height": 1100})
    page.goto(review_server[0].url)
    page.locator("input[type=file]").set_input_files(str(known[0]))
    page.get_by_text("Enter your name to give verdicts.").wait_for(timeout=WAIT)
    page.locator(".viewer .heat").wait_for(state="attached", timeout=WAIT)
    reachable = "all => all.filter(e => e.tabIndex === 0).map(e => !e.disabled && e.offsetParent !== null)"
    bars = page.locator(".viewer [role=toolbar]").all()
    assert len(bars) == 3
    for bar in bars:
        assert bar.locator("button, select, input").evaluate_all(reachable) == [True]
    assert page.get_by_role("button", name="Draw box").is_enabled()
    assert not page.get_by_placeholder("Comment").is_visible() and page.get_by_role("button", name="Undo").is_disabled()


def verdicts(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


def drag(page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag on the film; places are shares of the drawing's sides."""
    frame = page.locator(".desk svg").bounding_box()
    points = [(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=5)
    page.mouse.up()


def give(page, key: str) -> None:
    """Press a key and wait for the next film."""
    film = page.locator(".desk .film")
    before = film.get_attribute("data-film")
    film.focus()
    page.keyboard.press(key)
    page.locator(f".desk .film[data-film]:not([data-film='{before}'])").wait_for(timeout=WAIT)


def boxes(page) -> list[list[float]]:
    return json.loads(page.locator(".desk .film").get_attribute("data-boxes"))


def test_a_reader_goes_through_the_films_by_keys(desk):
    page, folder, paths = desk
    height, width = read_radiograph(paths[0]).pixels.shape
    drag(page, (0.2, 0.3), (0.5, 0.6))
    (box,) = boxes(page)
    assert box == pytest.approx([0.2 * width, 0.3 * height, 0.3 * width, 0.3 * height], abs=2)
    drag(page, (0.35, 0.45), (0.45, 0.55))  # move it
    assert boxes(page)[0] == pytest.approx([0.3 * width, 0.4 * height, 0.3 * width, 0.3 * height], abs=2)
    drag(page, (0.6, 0.7), (0.8, 0.9))  # resize it by its corner
    assert boxes(page)[0] == pytest.approx([0.3 * width, 0.4 * height, 0.5 * width, 0.5 * height], abs=3)
    drag(page, (0.05, 0.05), (0.2, 0.2))
    assert len(boxes(page)) == 2
    page.keyboard.press("Control+z")
    assert len(boxes(page)) == 1
    give(page, "1")
    page.get_by_text("1 of 4 read by ward7").wait_for(timeout=WAIT)
    give(page, "2")
    give(page, "3")
    page.get_by_text("3 of 4 read by ward7").wait_for(timeout=WAIT)
    page.get_by_placeholder("Comment").fill("2 views needed")  # digits in the comment are no verdict
    page.get_by_role("button", name="No fracture").click()
    page.get_by_text("Every film of this session has your verdict.").wait_for(timeout=WAIT)
    kept = verdicts(folder)
    assert [entry["verdict"] for entry in kept] == ["fracture", "no fracture", "cannot tell", "no fracture"]
    assert kept[0]["boxes"][0] == pytest.approx([0.3 * width, 0.4 * height, 0.5 * width, 0.5 * height], abs=3)
    assert kept[3]["comment"] == "2 views needed" and {entry["reader"] for entry in kept} == {"ward7"}
    assert all(entry["model"]["bundle"] for entry in kept)

    page.get_by_role("button", name=re.compile("^Change the last verdict .*: no fracture")).click()
    page.locator(".desk .given", has_text="No fracture").wait_for(timeout=WAIT)
    page.locator(".desk .film[data-film]").focus()
    page.keyboard.press("1")
    page.get_by_text("Every film of this session has your verdict.").wait_for(timeout=WAIT)
    assert [entry["verdict"] for entry in verdicts(folder)][3:] == ["no fracture", "fracture"]

    page.get_by_text("Browse", exact=True).click()
    page.get_by_text("4 of 4 films").wait_for(timeout=WAIT)
    page.locator(".gallery button").first.click()
    page.get_by_text("Permanently delete this film and its verdicts").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("3 of 3 films").wait_for(timeout=WAIT)
    assert len({verdict.image for verdict in ReviewSet(folder).verdicts()}) == 3
    written = {path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file()}
    assert written <= {"README.txt", "secret.key", "images", FILE, f".{FILE}.lock"}


@pytest.mark.parametrize(
    ("desk", "place", "ready", "named"),
    [
        ("ward8", "Review", ".desk .film[data-film]", "data-film"),
        ("ward9", "Diagnose", ".viewer[data-review]", "data-review"),
    ],
    indirect=["desk"],
)
def test_a_held_key_and_a_double_click_give_one_verdict(desk, place, ready, named):
    page, folder, _ = desk
    earlier = len(verdicts(folder)) if (folder / FILE).exists() else 0
    page.get_by_role("link", name=place).click()
    page.locator(ready).wait_for(timeout=WAIT)

    def next_film(act) -> None:
        seen = page.locator(ready).get_attribute(named)
        act()
        page.locator(f"{ready}:not([{named}='{seen}'])").wait_for(timeout=WAIT)

    next_film(lambda: page.keyboard.down("n"))
    page.keyboard.down("n")  # what a browser sends of a key that is held
    page.keyboard.up("n")
    next_film(lambda: page.keyboard.press("u"))
    next_film(page.locator("button[data-verdict='no fracture']").click)
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)
    page.keyboard.press("y")
    page.get_by_text(re.compile("^4 of 4 read|^Every film of this session")).first.wait_for(timeout=WAIT)
    assert [entry["verdict"] for entry in verdicts(folder)][earlier:] == [
        "no fracture",
        "cannot tell",
        "no fracture",
        "fracture",
    ]
