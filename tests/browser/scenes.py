"""Every page in every state that a visitor meets, in the order of a walk through the app."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WAIT = 180_000
Step = Callable[["Visit"], None]


@dataclass(frozen=True)
class Visit:
    """A browser's page on a running app, and what there is to upload.

    Attributes:
        page: Playwright's page.
        url: The app's address.
        answered: Films that the model answers.
        not_read: A film that it does not.
        unopened: A file that is no film.
        point: The operating point that gives the answered films all three answers; "" for the default one.
    """

    page: object
    url: str
    answered: tuple[Path, ...]
    not_read: Path
    unopened: Path
    point: str = ""


def settled(page) -> None:
    """Wait until the server has nothing more to draw and the page has drawn it."""
    idle = page.locator("[data-testid=stApp][data-test-script-state=notRunning]")
    idle.wait_for(timeout=WAIT)
    page.wait_for_timeout(500)
    idle.wait_for(timeout=WAIT)


def at(path: str, wait_for: str = "h1") -> Step:
    """Return a step that opens a page by its address."""

    def go(visit: Visit) -> None:
        visit.page.goto(f"{visit.url}/{path}")
        visit.page.locator(wait_for).first.wait_for(timeout=WAIT)

    return go


def press(*keys: str) -> Step:
    """Return a step that presses keys."""
    return lambda visit: [visit.page.locator("body").press(key) for key in keys]


def click(role: str, name: str) -> Step:
    """Return a step that clicks what has this role and name."""
    return lambda visit: visit.page.get_by_role(role, name=name).first.click()


def click_at(selector: str) -> Step:
    """Return a step that clicks the first of what a selector finds."""
    return lambda visit: visit.page.locator(selector).first.click()


def click_text(text: str) -> Step:
    """Return a step that clicks a text."""
    return lambda visit: visit.page.get_by_text(text, exact=True).first.click()


def _upload(visit: Visit) -> None:
    page = visit.page
    if visit.point:
        page.get_by_role("combobox", name="Operating point").click()
        page.get_by_role("option", name=visit.point).click()
        settled(page)
    every = [*visit.answered, visit.not_read, visit.unopened]
    page.locator("input[type=file]").first.set_input_files([str(path) for path in every])
    page.get_by_text(f"of {len(every)}").first.wait_for(timeout=WAIT)
    page.locator(".answer").wait_for(timeout=WAIT)


def _one_threshold(visit: Visit) -> None:
    visit.page.get_by_role("combobox", name="Operating point").click()
    visit.page.get_by_role("option", name="One threshold").click()


def _row(words: str) -> Step:
    """Return a step that opens the first film of the worklist with this kind of answer, or this name."""

    def go(visit: Visit) -> None:
        rows = visit.page.locator("[role=listbox] .row")
        kind = visit.page.locator(f"[role=listbox] .row.{words}")
        (rows.filter(has_text=getattr(visit, words).name) if hasattr(visit, words) else kind).first.click()

    return go


def _sign(visit: Visit) -> None:
    name = visit.page.get_by_label("Your name or initials")
    name.wait_for(timeout=WAIT)
    name.fill("ward7")
    name.press("Enter")
    visit.page.locator(".desk .film img").wait_for(timeout=WAIT)


_LIVE = ".live[aria-busy=false]"
_TABS = ("Radiographs", "Suggestions", "Triage", "Prevalence", "Calibration", "Subgroups", "Compare", "Save")
_SECTIONS = ("Composition", "Map", "Data audit", "Suspect labels", "Misclassified", "Localisation accuracy")

#: Walks by the page they begin at; each is a list of (state, step that leads to it).
WALKS: dict[str, list[tuple[str, Step]]] = {
    "diagnose": [
        ("empty", at("", ".gallery button")),
        ("uploaded", _upload),
        ("likely", _row("likely")),
        ("keys", press("?")),
        ("window", press("w")),
        ("swipe", lambda visit: (press("Escape", "l")(visit), click_at("[data-view=swipe]")(visit))),
        ("side by side", click_at("[data-view=side]")),
        ("turned, to be cropped", press("r", "c")),
        ("indeterminate", lambda visit: (press("Escape", "0")(visit), _row("indeterminate")(visit))),
        ("report", click("button", "Report")),
        ("unlikely", lambda visit: (press("Escape")(visit), _row("unlikely")(visit))),
        ("not read", _row("not_read")),
        ("not opened", _row("unopened")),
        ("one threshold", _one_threshold),
        ("one threshold, answered", press("ArrowRight", "ArrowRight")),
        ("review, nobody named", click("link", "Review")),
        ("review", _sign),
        ("review, what was kept", click_text("Browse")),
    ],
    "threshold": [
        ("validation", at("threshold", _LIVE)),
        ("a cell", click_at(".cell-TN")),
        *((tab, click("tab", tab)) for tab in _TABS),
        ("test, locked", click_text("Test (check here)")),
        ("test, unlocked", click_text("Allow changes on the test set")),
    ],
    "dataset": [
        ("browse", at("dataset", ".gallery button")),
        ("one image", click_at(".gallery button")),
        ("nothing found", at("dataset?id=nothing-of-this-name")),
        *((name, lambda visit, name=name: (at("dataset")(visit), click_text(name)(visit))) for name in _SECTIONS),
    ],
    "training": [
        ("new run", at("training")),
        ("result", click_text("Result")),
        ("all runs", click_text("All runs")),
    ],
    "model card": [("model card", at("model_card", "[data-testid=stPlotlyChart]"))],
    "monitoring": [("monitoring", at("monitoring"))],
}
#: Pages with something on them, as they open.
OPENING: list[tuple[str, Step]] = [
    ("diagnose", lambda visit: (at("", ".gallery button")(visit), _upload(visit))),
    *((page, WALKS[page][0][1]) for page in ("dataset", "training", "model card")),
]
#: What a machine without dataset, runs, films and audit log shows.
EMPTY: list[tuple[str, Step]] = [
    ("diagnose", at("", ".gallery button")),
    ("dataset", at("dataset")),
    ("threshold, a cell", lambda visit: (at("threshold", _LIVE)(visit), click_at(".cell-TN")(visit))),
    ("training", at("training")),
    ("training, result", click_text("Result")),
    ("training, all runs", click_text("All runs")),
    ("monitoring", at("monitoring")),
    ("review", at("review")),
]
