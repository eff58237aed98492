"""The next piece is made while this one is in use, one and no more, and its errors come in their turn."""

from __future__ import annotations

import threading

import pytest

from fracture_core.concurrency import prefetch


@pytest.mark.parametrize("keys", [range(0), range(1), range(5)])
def test_every_piece_comes_once_and_in_order(keys: range) -> None:
    assert list(prefetch(lambda key: key * key, keys)) == [key * key for key in keys]


def test_exactly_the_next_piece_is_made_while_one_is_in_use() -> None:
    begun = [threading.Event() for _ in range(4)]

    def make(key: int) -> int:
        begun[key].set()
        return key

    pieces = prefetch(make, range(4))
    assert next(pieces) == 0
    assert begun[1].wait(5)  # nobody has asked for it yet
    assert not begun[2].wait(0.05)
    assert next(pieces) == 1
    assert begun[2].wait(5)


def test_what_cannot_be_made_is_told_after_what_could() -> None:
    pieces = prefetch(lambda key: 1 / (2 - key), [0, 1, 2])
    assert [next(pieces), next(pieces)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(pieces)


def test_who_leaves_early_leaves_no_thread() -> None:
    before = threading.active_count()
    pieces = prefetch(str, range(100))
    next(pieces)
    pieces.close()
    assert threading.active_count() == before
