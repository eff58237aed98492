"""Fill in the forms of a page by the keys of their fields."""

from __future__ import annotations

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
    """Choose from the list of this key."""
    page.locator(f".st-key-{key} [data-baseweb=select], .st-key-{key} input").first.click()
    page.get_by_role("option", name=option, exact=True).click()
