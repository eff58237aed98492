"""The diagnose page below its bar: worklist, radiograph, answer and report, on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fracture_core.concurrency import QueueFullError
from fracture_core.inference.predictor import Failure, Finding
from fracture_core.inference.remote_engine import notice
from fracture_core.reporting.demo_cases import ReferenceLabel
from fracture_core.reporting.film_session import FilmSession
from fracture_core.reporting.finding_text import TRUNCATED, UNOPENED, FindingText, capitalised, explain_finding
from fracture_core.reporting.worklist import Entry, to_csv, worklist, worklist_order
from pages.parts.diagnose import examples
from pages.parts.diagnose.finding_card import CARD_STYLE, show_finding, show_not_read
from pages.parts.diagnose.layout import DESK_STYLE
from pages.parts.diagnose.tools_pane import tools_pane, truncated_choice, your_reading
from pages.parts.diagnose.uploads import film_session
from pages.parts.diagnose.worklist_pane import worklist_pane
from pages.parts.review.reading import begin_reading, order_switch, reading_pane, verdict_options, worklist_keys
from pages.parts.shared.audit_gate import recorded
from pages.parts.shared.engine_queue import engine_turn
from pages.parts.shared.predictor_cache import predictor, warm
from pages.parts.shared.sidebar import Choice, choose, disclaimer, escape_markdown
from pages.parts.shared.viewer import finding_data, viewer


@dataclass(frozen=True, eq=False)
class Opened:
    """The one film that is open, and what was prepared to show it; `key` identifies what it was prepared for."""

    key: tuple
    result: Finding | Failure
    words: FindingText | None = None
    image: dict[str, Any] | None = None
    reference: ReferenceLabel | None = None


def diagnose(bar: DeltaGenerator) -> None:
    """Draw the page for the films of this session; `bar` is the container that holds the uploader."""
    choice = choose()
    warm(choice.bundle)
    st.html(DESK_STYLE + CARD_STYLE)
    films = film_session()
    if not films:
        # In the place of the desk, which takes it over at once when the first film comes.
        with st.container(key="first-visit"):
            examples.first_visit(choice.bundle)
        disclaimer(small=True)
        return
    desk = st.container(key="desk")
    with desk:
        panes = [st.container(key=f"{name}-pane") for name in ("worklist", "film", "answer", "reading", "tools")]
    # While this slot says something, what was open is not to be seen (see DESK_STYLE): nobody shall take its answer for
    # that of the next film. It stays where it is, as a viewer made anew would take longer than the network.
    with panes[2]:
        busy = st.container(key="assessing")
    slot = busy.empty()
    try:
        _read_new(films, choice, slot)
        _work(films, choice, bar, slot, panes)
        slot.empty()
    except QueueFullError as full:
        slot.warning(str(full), icon=":material/hourglass:")
        busy.button("Try again", icon=":material/refresh:")
    disclaimer(small=True)


def _read_new(films: FilmSession, choice: Choice, slot: DeltaGenerator) -> None:
    """Read what this model has not met yet; raise QueueFullError if too many others wait."""
    new = films.unread(choice.bundle.version)
    for done, key in enumerate(new):
        with engine_turn(slot):
            if len(new) == 1:
                slot.html('<p class="assessing" role="status">Assessing …</p>')
            else:
                slot.progress(done / len(new), f"Assessing {done + 1} of {len(new)} …")
            films.result(key, predictor(choice.bundle), choice.rule_out, choice.rule_in)


def _work(
    films: FilmSession,
    choice: Choice,
    bar: DeltaGenerator,
    slot: DeltaGenerator,
    panes: Sequence[DeltaGenerator],
) -> None:
    entries = films.entries(choice.bundle.version, choice.rule_in.scale)
    if not recorded(list(entries.values()), choice):
        return
    reading = begin_reading(films, entries)
    entries = reading.entries if reading else entries
    place = list(entries)
    ordered = worklist_keys(reading, [place[i] for i in worklist_order(list(entries.values()))], choice)
    key = _opened_key(ordered)
    # Prepared before anything is drawn: an answer never stands beside another film's image.
    opened = _open(films, choice, key, slot)
    with bar:
        _bar(films, choice, entries, ordered, key)
        if len(ordered) > 1:
            order_switch(reading)
    with panes[0]:
        worklist_pane(ordered, [entries[film_key] for film_key in ordered], choice, key)
    with panes[1]:
        _film(films, opened, choice, key, verdict_options(reading, opened.result, key, ordered))
    with panes[2]:
        _answer(opened)
    with panes[3]:
        if not reading_pane(reading):
            your_reading(films, key)
    with panes[4]:
        tools_pane(films, opened.result, opened.reference, choice, key)
        if message := notice():
            st.caption(escape_markdown(message))
        if any(entry.truncated for entry in entries.values()) or films.film(key).options.accept_cut_short:
            truncated_choice(films)


def _opened_key(ordered: Sequence[str]) -> str:
    """Return what is open: the topmost of what was just added, else what was open before, else the topmost of all."""
    added = st.session_state.pop("added", ())
    wanted = next((key for key in ordered if key in added), None) or st.session_state.get("open")
    st.session_state["open"] = wanted if wanted in ordered else ordered[0]
    return st.session_state["open"]


def _open(films: FilmSession, choice: Choice, key: str, slot: DeltaGenerator) -> Opened:
    """Return everything about one film; made again only if the film, the model or the operating point changes."""
    identity = (key, films.film(key).options, choice.bundle.version, choice.rule_out, choice.rule_in)
    opened: Opened | None = st.session_state.get("opened")
    if opened is not None and opened.key == identity:
        return opened
    if films.ready(key, choice.bundle.version):
        result = films.result(key, predictor(choice.bundle), choice.rule_out, choice.rule_in)
    else:
        with engine_turn(slot):
            result = films.result(key, predictor(choice.bundle), choice.rule_out, choice.rule_in)
    if isinstance(result, Failure):
        opened = Opened(identity, result)
    else:
        film = films.film(key)
        shown = finding_data(result, b"" if film.options.adjustments or result.turned_back else film.data)
        reference = examples.reference_label(result.radiograph, choice.bundle)
        opened = Opened(identity, result, explain_finding(result, choice.bundle), shown, reference)
    st.session_state["opened"] = opened
    return opened


def _bar(films: FilmSession, choice: Choice, entries: dict[str, Entry], ordered: Sequence[str], key: str) -> None:
    row = ordered.index(key)
    if len(ordered) > 1:
        _step("Previous", "Left", ordered, key, row - 1)
        st.markdown(f"**{row + 1}** of {len(ordered)}")
        _step("Next", "Right", ordered, key, row + 1)
        st.download_button(
            "Download as CSV",
            lambda: to_csv(worklist(list(entries.values()), choice.rule_out, choice.rule_in)),
            "fracture-worklist.csv",
            "text/csv",
            on_click="ignore",
            icon=":material/download:",
        )
    icon, note = ":material/delete:", "Remove all radiographs."
    st.button("Clear all", key="clear-films", on_click=_clear, args=(films,), icon=icon, help=note)


def _step(label: str, shortcut: str, ordered: Sequence[str], key: str, to: int) -> None:
    inside = 0 <= to < len(ordered)
    target = ordered[to] if inside else key
    st.button(label, shortcut=shortcut, disabled=not inside, on_click=_show, args=(target,))


def _film(films: FilmSession, opened: Opened, choice: Choice, key: str, verdict: dict[str, Any]) -> None:
    name = escape_markdown(opened.result.name if isinstance(opened.result, Failure) else opened.result.radiograph.name)
    st.markdown(f"**{name}**")
    if opened.image is None:
        partly = isinstance(opened.result, Failure) and opened.result.truncated
        words = "Part of this image is missing." if partly else "This file has no image to show."
        st.container(key="no-film").caption(words)
        return

    def read_again(adjustment) -> None:
        films.set_options(key, adjustments=(*films.film(key).options.adjustments, adjustment))

    boxes = examples.shown_boxes(films.film(key), opened.reference)
    viewer(opened.image, boxes, on_read_again=read_again, **verdict)


def _answer(opened: Opened) -> None:
    if isinstance(opened.result, Failure):
        ways, headline = "Add the radiograph as DICOM, PNG or JPEG, or read it in another viewer.", UNOPENED
        if opened.result.truncated:
            ways, headline = "To have the rest assessed, turn on “Read truncated files” below.", TRUNCATED
        show_not_read(capitalised(headline), opened.result.error, ways_forward=ways)
        return
    seen = opened.reference.seen_note if opened.reference else ""
    show_finding(opened.result, opened.words, [seen] if seen else [])


def _show(key: str) -> None:
    st.session_state["open"] = key


def _clear(films: FilmSession) -> None:
    films.remove([film.key for film in films.films])
    for name in ("opened", "open", "added"):
        st.session_state.pop(name, None)
