"""Every page in every state that a visitor meets: how to get there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WAIT = 180_000


@dataclass(frozen=True)
class Films:
    """Files to upload: some that the model answers, one that it does not, one that cannot be opened."""

    answered: tuple[Path, ...]
    not_read: Path
    unopened: Path
    #: What to choose as the operating point, so that the answered ones get all three answers; "" for the default.
    point: str = ""


def settled(page) -> None:
    """Wait until the server has nothing more to draw and the page has drawn it."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=WAIT)
    page.wait_for_timeout(600)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=WAIT)


def at(page, url: str, path: str = "") -> None:
    """Open a page by its address."""
    page.goto(f"{url}/{path}")
    page.locator("[data-testid=stApp]").wait_for(timeout=WAIT)
    page.locator("h1").first.wait_for(timeout=WAIT)
    settled(page)


def _uploaded(page, url: str, films: Films) -> None:
    at(page, url)
    if films.point:
        page.get_by_role("combobox", name="Operating point").click()
        page.get_by_role("option", name=films.point).click()
        settled(page)
    every = [*films.answered, films.not_read, films.unopened]
    page.locator("input[type=file]").first.set_input_files([str(path) for path in every])
    page.get_by_text(f"of {len(every)}", exact=True).or_(page.get_by_text(f"1 of {len(every)}")).first.wait_for(
        timeout=WAIT
    )
    page.locator(".answer").wait_for(timeout=WAIT)
    settled(page)


def _row(kind: str) -> Callable:
    def go(page, url: str, films: Films) -> None:
        _uploaded(page, url, films)
        row = page.locator(f"[role=listbox] .row.{kind}")
        (row.filter(has_text=films.unopened.name) if kind == "unopened" else row).first.click()
        settled(page)

    return go


def _unopened(page, url: str, films: Films) -> None:
    _uploaded(page, url, films)
    page.locator("[role=listbox] .row", has_text=films.unopened.name).click()
    settled(page)


def _not_read(page, url: str, films: Films) -> None:
    _uploaded(page, url, films)
    page.locator("[role=listbox] .row", has_text=films.not_read.name).click()
    settled(page)


def _then(first: Callable, *steps: Callable) -> Callable:
    def go(page, url: str, films: Films) -> None:
        first(page, url, films)
        for step in steps:
            step(page)
            settled(page)

    return go


def _by_address(path: str, *steps: Callable, busy: str = "") -> Callable:
    def go(page, url: str, films: Films) -> None:
        at(page, url, path)
        if busy:
            page.locator(busy).first.wait_for(timeout=WAIT)
            settled(page)
        for step in steps:
            step(page)
            settled(page)

    return go


def press(*keys: str) -> Callable:
    """Return a step that presses keys."""
    return lambda page: [page.locator("body").press(key) for key in keys]


def click(role: str, name: str, *, exact: bool = False) -> Callable:
    """Return a step that clicks what has this role and name."""
    return lambda page: page.get_by_role(role, name=name, exact=exact).first.click()


def _review(page, url: str, films: Films) -> None:
    _uploaded(page, url, films)
    page.get_by_role("link", name="Review").click()
    name = page.get_by_label("Your name or initials")
    name.wait_for(timeout=WAIT)
    name.fill("ward7")
    name.press("Enter")
    page.locator(".desk .film img").wait_for(timeout=WAIT)
    settled(page)


_LIVE = ".live[aria-busy=false]"
_TABS = ("Suggestions", "Triage", "Prevalence", "Calibration", "Subgroups", "Compare", "Save")
_SECTIONS = ("Composition", "Map", "Data audit", "Suspect labels", "Misclassified", "Localisation accuracy")


def _first_image(page) -> None:
    page.locator(".gallery button").first.click()
    page.locator(".viewer img").first.wait_for(state="attached", timeout=WAIT)


#: (page, state) of everything.
SCENES: dict[str, Callable] = {
    "diagnose empty": _by_address("", busy=".gallery button"),
    "diagnose likely": _row("likely"),
    "diagnose indeterminate": _row("indeterminate"),
    "diagnose unlikely": _row("unlikely"),
    "diagnose not read": _not_read,
    "diagnose unopened": _unopened,
    "diagnose keys": _then(_row("likely"), press("?")),
    "diagnose window": _then(_row("likely"), press("w")),
    "diagnose crop": _then(_row("likely"), press("r", "c")),
    "diagnose swipe": _then(_row("likely"), lambda page: page.locator("[data-view=swipe]").click(), press("l")),
    "diagnose report": _then(_row("likely"), click("button", "Report")),
    "diagnose one threshold": _then(
        _uploaded,
        click("combobox", "Operating point"),
        click("option", "One threshold"),
        press("ArrowRight", "ArrowRight"),
    ),
    "threshold": _by_address("threshold", busy=_LIVE),
    "threshold cell": _by_address("threshold", lambda page: page.locator(".cell-FN").click(), busy=_LIVE),
    "threshold test": _by_address("threshold", lambda page: page.get_by_text("Test (check here)").click(), busy=_LIVE),
    **{f"threshold {tab}": _by_address("threshold", click("tab", tab), busy=_LIVE) for tab in _TABS},
    "dataset": _by_address("dataset"),
    "dataset image": _by_address("dataset", _first_image),
    "dataset nothing found": _by_address("dataset?ids=nothing"),
    **{
        f"dataset {name}": _by_address(
            "dataset", lambda page, name=name: page.get_by_text(name, exact=True).first.click()
        )
        for name in _SECTIONS
    },
    "training": _by_address("training"),
    "training result": _by_address("training?training_section=result"),
    "training runs": _by_address("training?training_section=history"),
    "model card": _by_address("model_card"),
    "review": _review,
    "review empty": _by_address("review"),
    "monitoring": _by_address("monitoring"),
}
