"""Markers in a stream, against what a regular expression finds there."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from fracture_core.imaging.jpeg_markers import MARKERS, MARKERS_LS, RESTARTS, RestartFinder, find_marker

_EXPRESSIONS = (
    (MARKERS, re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")),
    (MARKERS_LS, re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")),
    (RESTARTS, re.compile(rb"\xff[\xd0-\xd7]")),
)
streams = st.lists(
    st.sampled_from([0xFF, 0xFF, 0x00, 0x01, 0x7F, 0x80, 0xD0, 0xD7, 0xD8, 0xD9, 0xFE]), max_size=40
).map(bytes)
#: Long enough that a marker lies across the blocks that are searched at a time.
gaps = st.sampled_from([0, 1, 4094, 4095, 4096, 4097, 12_287, 12_288])


@given(streams, gaps, streams, st.integers(0, 20), st.none() | st.integers(0, 5_000))
def test_the_first_marker_is_found(first: bytes, gap: int, second: bytes, start: int, stop: int | None) -> None:
    data = first + b"\xff" * (gap % 2) * gap + bytes(gap) + second
    for codes, expression in _EXPRESSIONS:
        match = expression.search(data, start, len(data) if stop is None else stop)
        assert find_marker(data, codes, start, stop) == (match and match.start())


@given(streams, gaps, streams, st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_restarts_are_found_wherever_one_asks(first: bytes, gap: int, second: bytes, positions: list[int]) -> None:
    data = first + bytes(gap) + second
    restarts = RestartFinder(data)
    for position in [*positions, *sorted(positions)]:
        match = _EXPRESSIONS[2][1].search(data, position)
        assert restarts.after(position) == (match and match.start())
