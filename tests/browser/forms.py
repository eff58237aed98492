"""Fill in the forms of a page by the keys of their fields."""

from __future__ import annotations

from contextlib import suppress

from playwright.sync_api import TimeoutError

_WAIT = 400_000  # ms; new processes import TensorFlow


def press(page, key: str) -> None:
    """Click the button of this key."""
    page.locator(f".st-key-{key} button").click(timeout=_WAIT)


def open_groups(page) -> None:
    """Open every group of settings that is closed."""
    closed = page.locator("[data-testid=stExpander] details:not([open]) > summary")
    while closed.count():
        closed.first.click()
        page.wait_for_timeout(300)


def fill(page, key: str, value: str) -> None:
    """Type into the field of this key, and leave it."""
    field = page.locator(f".st-key-{key} input")
    field.fill(value)
    field.press("Enter")
    page.wait_for_timeout(300)


def choose(page, key: str, option: str) -> None:
    """Choose from the list of this key; a run of the page that was under way may close the list, and it opens again."""
    wanted = page.get_by_role("option", name=option, exact=True)
    for _ in range(20):
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=_WAIT)
        page.locator(f".st-key-{key} [data-baseweb=select], .st-key-{key} input").first.click(timeout=_WAIT)
        with suppress(TimeoutError):
            wanted.click(timeout=5000)
            return
        page.keyboard.press("Escape")
    raise AssertionError(f"{key} never offered {option!r}")
