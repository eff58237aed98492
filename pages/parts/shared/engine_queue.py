"""One queue for the engine, shared by all sessions; waiting users see their position in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fracture_core.concurrency import RequestQueue

_line = RequestQueue()


@contextmanager
def engine_turn(slot: Callable[[], DeltaGenerator]) -> Iterator[None]:
    """Wait for a turn at the engine, the place in the queue shown in what `slot` returns; hold it for the block.

    Raises QueueFullError, with a sentence, where too many wait. A session that is closed or starts over while it waits
    gives its place back.
    """
    shown = 0

    def show(position: int) -> None:
        nonlocal shown
        # Any use of the session's state lets Streamlit end a run whose session has gone.
        st.session_state.get("opened")
        if position != shown:
            shown = position
            slot().info(
                f"Busy with other radiographs. You are number {position} in the queue.", icon=":material/hourglass:"
            )

    with _line.turn(show):
        if shown:
            slot().empty()
        yield
