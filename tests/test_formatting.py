"""Percentages never round something to nothing or to everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.formatting import format_percent, short_percent


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [
        (0, 0, "0 %"),
        (1, 1, "100 %"),
        (0.434, 0, "43 %"),
        (0.004, 0, "0.4 %"),
        (0.0004, 0, "< 0.1 %"),
        (0.9996, 0, "> 99.9 %"),
        (0.996, 0, "99.6 %"),
        (0.1234, 1, "12.3 %"),
        (0.0004, 1, "0.04 %"),
    ],
)
def test_percentages(share, decimals, text):
    assert format_percent(share, decimals) == text


@given(st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(0, 2))
def test_only_nothing_is_none_and_only_everything_is_all(share, decimals):
    text = format_percent(share, decimals).removesuffix(" %")
    assert text.startswith(("<", ">")) or 0 < float(text) < 100


@pytest.mark.parametrize(("share", "text"), [(0.3, "30 %"), (0.975, "97.5 %"), (0.07, "7 %"), (0.0004, "< 0.1 %")])
def test_a_chosen_share_has_a_decimal_only_where_it_has_one(share, text):
    assert short_percent(share) == text
