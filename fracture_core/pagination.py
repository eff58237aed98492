"""Divide a list into pages, and step through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Page(Generic[Item]):
    """One page of a list: `number` counts from 1 to `pages`, `first` and `last` count what it holds from 1."""

    ids: tuple[Item, ...]
    number: int
    pages: int
    first: int
    last: int


def page_of(ids: Sequence[Item], number: int, size: int) -> Page[Item]:
    """Return one page of a list; numbers beyond either end give the page at that end.

    Args:
        ids: The list.
        number: Counted from 1.
        size: Items per page.

    Returns:
        The page.
    """
    pages = max(1, -(-len(ids) // size))
    number = min(max(number, 1), pages)
    start = (number - 1) * size
    shown = tuple(ids[start : start + size])
    return Page(shown, number, pages, start + bool(shown), start + len(shown))


def neighbours(ids: Sequence[str], image_id: str) -> tuple[str | None, str | None, int]:
    """Return the ids before and after one in a list, and its position.

    Args:
        ids: The list.
        image_id: The id.

    Returns:
        (before, after, position from 1); (None, None, 0) if it is not in the list.
    """
    if image_id not in ids:
        return None, None, 0
    place = list(ids).index(image_id)
    return ids[place - 1] if place else None, ids[place + 1] if place + 1 < len(ids) else None, place + 1
