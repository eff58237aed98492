"""Making the next piece of work in a thread while this one is worked on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Key = TypeVar("Key")
Made = TypeVar("Made")


def made_ahead(make: Callable[[Key], Made], keys: Iterable[Key]) -> Iterator[Made]:
    """Yield `make(key)` for every key, in order; while one is in use, a thread makes the next, and no more than that.

    What `make` raises is raised here, in its turn. A caller who leaves early waits for the one being made.
    """
    with ThreadPoolExecutor(1) as pool:
        coming = None
        for key in keys:
            made, coming = coming, pool.submit(make, key)
            if made:
                yield made.result()
        if coming:
            yield coming.result()
