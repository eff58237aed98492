"""The bar and the panes of the Diagnose page, and what is said in place of an answer while there is none."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fracture_core.concurrency import RequestQueue
from pages.parts.diagnose.uploads import offer_upload
from pages.parts.shared.page_header import title_bar

#: Seconds that a film may take before the page says that it is being assessed. To hide the film before it and to draw
#: the page for these words costs the browser as much as drawing the answer, and a warm model is there sooner.
PATIENCE = 0.25
_Result = TypeVar("_Result")
_ASSESSING = '<p class="assessing" role="status">Assessing …</p>'
_assessing = ThreadPoolExecutor(RequestQueue().at_once, thread_name_prefix="assess")


@dataclass(frozen=True, eq=False)
class Desk:
    """The page's bar, the place of the film's name, five panes, and `slot` in `busy`, for words about the waiting.

    While the slot says something, what was open is not to be seen (see DESK_STYLE): nobody shall take its answer for
    that of the next film. It stays where it is, as a viewer made anew would take longer than the network.
    """

    bar: DeltaGenerator
    worklist: DeltaGenerator
    film: DeltaGenerator
    answer: DeltaGenerator
    reading: DeltaGenerator
    tools: DeltaGenerator
    name: DeltaGenerator
    busy: DeltaGenerator
    slot: DeltaGenerator


def draw_desk(title: str) -> Desk:
    """Draw the bar with its uploader, and the panes, as they were until they are filled anew."""
    bar = title_bar(title)
    offer_upload(bar)
    with st.container(key="desk"):
        panes = [st.container(key=f"{name}-pane") for name in ("worklist", "film", "answer", "reading", "tools")]
    _, film, answer, *_ = panes
    name, busy = film.container(key="film-name"), answer.container(key="assessing")
    return Desk(bar, *panes, name, busy, busy.empty())


def assess(read: Callable[[], _Result], desk: Callable[[], Desk]) -> _Result:
    """Return what `read` returns, which assesses a film; where it takes a moment, say so on the desk meanwhile."""
    reading = _assessing.submit(read)
    if not wait([reading], PATIENCE).done:
        desk().slot.html(_ASSESSING)
    return reading.result()
