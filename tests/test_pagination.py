"""Pages of a list, and the items before and after one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fracture_core.pagination import neighbours, page_of


@given(st.integers(0, 300), st.integers(-5, 400), st.integers(1, 96))
def test_pages_cover_a_list_once(n, number, size):
    ids = [str(i) for i in range(n)]
    page = page_of(ids, number, size)
    assert 1 <= page.number <= page.pages
    assert [i for k in range(page.pages) for i in page_of(ids, k + 1, size).ids] == ids
    assert list(page.ids) == (ids[page.first - 1 : page.last] if ids else [])


def test_neighbours():
    assert neighbours(["a", "b", "c"], "a") == (None, "b", 1)
    assert neighbours(["a", "b", "c"], "c") == ("b", None, 3)
    assert neighbours(["a", "b"], "x") == (None, None, 0)
