"""The garbage collector passes over what is loaded, and no garbage stays for good."""

from __future__ import annotations

import gc
import sys
import types
import weakref

import pytest

from pages.parts.shared import collection


class Node:
    """Something that refers to itself, so that only the collector can free it."""

    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setattr(collection, "_modules", 0)
    monkeypatch.setattr(collection, "_looked_at", -1e9)
    yield
    gc.unfreeze()


def test_what_is_loaded_is_spared_and_spared_again_after_more_was_loaded():
    collection.spare_what_is_loaded(0)  # looks at everything once
    assert gc.get_freeze_count() == 0
    collection.spare_what_is_loaded(1)
    first = gc.get_freeze_count()
    assert first > 10_000
    later = [[] for _ in range(1000)]
    collection.spare_what_is_loaded(2)
    assert gc.get_freeze_count() <= first  # nothing new was imported; what was dropped may have been freed
    sys.modules["loaded_just_now"] = types.ModuleType("loaded_just_now")
    try:
        collection.spare_what_is_loaded(3)
    finally:
        del sys.modules["loaded_just_now"]
    assert gc.get_freeze_count() > first + len(later) // 2


def test_what_becomes_garbage_while_it_is_spared_is_freed_in_the_end():
    collection.spare_what_is_loaded(0)
    node = Node()
    there = weakref.ref(node)
    collection.spare_what_is_loaded(1)
    del node
    gc.collect()
    assert there() is not None
    collection.spare_what_is_loaded(599)
    gc.collect()
    assert there() is not None
    collection.spare_what_is_loaded(601)
    gc.collect()
    assert there() is None
