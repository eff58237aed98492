"""The diagnose page below its bar: worklist, radiograph, answer and report, on one screen."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from fracture_core.concurrency import QueueFullError
from fracture_core.errors import FractureCoreError
from fracture_core.inference.predictor import Failure, Finding
from fracture_core.inference.remote_engine import notice
from fracture_core.reporting.demo_cases import ReferenceLabel
from fracture_core.reporting.film_session import FilmSession
from fracture_core.reporting.finding_text import TRUNCATED, UNOPENED, FindingText, capitalised, explain_finding
from fracture_core.reporting.worklist import Entry, to_csv, worklist, worklist_order
from pages.parts.diagnose import examples
from pages.parts.diagnose.desk import Desk, assess, draw_desk
from pages.parts.diagnose.finding_card import show_finding, show_not_read
from pages.parts.diagnose.tools_pane import tools_pane, truncated_choice, your_reading
from pages.parts.diagnose.uploads import film_session, remove_films, take_stray
from pages.parts.diagnose.worklist_pane import worklist_pane
from pages.parts.review.reading import begin_reading, order_switch, reading_pane, verdict_options, worklist_keys
from pages.parts.shared.audit_gate import recorded
from pages.parts.shared.engine_queue import engine_turn
from pages.parts.shared.error_boundary import error_boundary
from pages.parts.shared.predictor_cache import loading, predictor
from pages.parts.shared.sidebar import Choice, choose, disclaimer, escape_markdown, verified
from pages.parts.shared.viewer import finding_data, viewer


@dataclass(frozen=True, eq=False)
class Opened:
    """The one film that is open, and what was prepared to show it; `key` identifies what it was prepared for."""

    key: tuple
    result: Finding | Failure
    words: FindingText | None = None
    image: dict[str, Any] | None = None
    reference: ReferenceLabel | None = None

    @property
    def answer(self) -> str:
        """What its answer and its image are matched by on screen: each has its own, whatever it was prepared for."""
        return f"{id(self):x}"

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.result.name if isinstance(self.result, Failure) else self.result.radiograph.name


def show_first_visit() -> None:
    """Draw what stands below the uploader while there are no films."""
    choice = choose()
    loading(choice.bundle)
    with st.container(key="first-visit"):
        examples.first_visit(choice.bundle)
    disclaimer(small=True)


def show_films(title: str) -> None:
    """Draw the page for the films of this session."""
    choice = choose()
    loading(choice.bundle)
    _films(title, choice)


@st.fragment
def _films(title: str, choice: Choice) -> None:
    """Draw all but the sidebar. As a fragment: a click or an upload has no other part of the page run again."""
    with error_boundary():
        films = film_session()
        if not films or not _still(choice):
            st.rerun()
        desk = functools.cache(functools.partial(draw_desk, title))
        try:
            _read_new(films, choice, desk)
            _work(films, choice, desk)
        except QueueFullError as full:
            desk().slot.warning(str(full), icon=":material/hourglass:")
            desk().busy.button("Try again", icon=":material/refresh:")
        disclaimer(small=True)
        if take_stray():
            st.rerun()


def _still(choice: Choice) -> bool:
    """Return whether the sidebar's model is the one that is installed and chosen now."""
    try:
        return verified(st.session_state["bundle"]) is choice.bundle
    except FractureCoreError:
        return False


#: While it stands on the page, DESK_STYLE hides the list and its file.
_ANOTHER_MODEL = '<span class="another-model"></span>'


def _read_new(films: FilmSession, choice: Choice, desk: Callable[[], Desk]) -> None:
    """Read what this model has not met yet; raise QueueFullError if too many others wait."""
    new = films.unread(choice.bundle.version)
    opened: Opened | None = st.session_state.get("opened")
    another = opened is not None and opened.key[2] != choice.bundle.version
    for done, key in enumerate(new):
        with engine_turn(lambda: desk().slot):
            if len(new) == 1:
                _result(films, choice, key, desk)
                continue
            # Made each time: the words of a queue may have taken its place.
            place = desk().slot.container() if another else desk().slot
            if another:
                place.html(_ANOTHER_MODEL)
            place.progress(done / len(new), f"Assessing {done + 1} of {len(new)} …")
            films.result(key, predictor(choice.bundle), choice.rule_out, choice.rule_in)


def _result(films: FilmSession, choice: Choice, key: str, desk: Callable[[], Desk]) -> Finding | Failure:
    model = loading(choice.bundle)
    return assess(lambda: films.result(key, model.result(), choice.rule_out, choice.rule_in), desk)


def _work(films: FilmSession, choice: Choice, desk: Callable[[], Desk]) -> None:
    entries = films.entries(choice.bundle.version, choice.rule_in.scale)
    if not recorded(list(entries.values()), choice):
        desk().slot.empty()
        return
    reading = begin_reading(films, entries)
    entries = reading.entries if reading else entries
    place = list(entries)
    ordered = worklist_keys(reading, [place[i] for i in worklist_order(list(entries.values()))], choice)
    key = _opened_key(ordered)
    # Prepared before anything is drawn: an answer never stands beside another film's image.
    opened = _open(films, choice, key, desk)
    with desk().film:
        _film(films, opened, key, verdict_options(reading, opened.result, key, ordered))
    # After the radiograph, which takes longest to send: the browser would draw the page anew for the name alone.
    desk().name.markdown(f"**{escape_markdown(opened.name)}**")
    with desk().answer:
        _answer(opened)
    with desk().reading:
        if not reading_pane(reading):
            your_reading(films, key)
    with desk().tools:
        tools_pane(films, opened.result, opened.reference, choice, key)
        if message := notice():
            st.caption(escape_markdown(message))
        if any(entry.truncated for entry in entries.values()) or films.film(key).options.accept_cut_short:
            truncated_choice(films)
    desk().slot.empty()
    with desk().bar:
        _bar(films, choice, entries, ordered, key)
        if len(ordered) > 1:
            order_switch(reading)
    with desk().worklist:
        worklist_pane(ordered, [entries[film_key] for film_key in ordered], choice, key)


def _opened_key(ordered: Sequence[str]) -> str:
    """Return what is open: the topmost of what was just added, else what was open before, else the topmost of all."""
    added = st.session_state.pop("added", ())
    wanted = next((key for key in ordered if key in added), None) or st.session_state.get("open")
    st.session_state["open"] = wanted if wanted in ordered else ordered[0]
    return st.session_state["open"]


def _open(films: FilmSession, choice: Choice, key: str, desk: Callable[[], Desk]) -> Opened:
    """Return everything about one film; made again only if the film, the model or the operating point changes."""
    identity = (key, films.film(key).options, choice.bundle.version, choice.rule_out, choice.rule_in)
    opened: Opened | None = st.session_state.get("opened")
    if opened is not None and opened.key == identity:
        return opened
    if films.ready(key, choice.bundle.version):
        result = films.result(key, predictor(choice.bundle), choice.rule_out, choice.rule_in)
    else:
        with engine_turn(lambda: desk().slot):
            result = _result(films, choice, key, desk)
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


def _film(films: FilmSession, opened: Opened, key: str, verdict: dict[str, Any]) -> None:
    if opened.image is None:
        partly = isinstance(opened.result, Failure) and opened.result.truncated
        words = "Part of this image is missing or wrong." if partly else "This file has no image to show."
        st.container(key="no-film").caption(words)
        return

    before = films.film(key).options.adjustments

    def read_again(adjustment) -> None:
        # Of the image that was on screen: what is sent twice must not be a part of the part.
        films.set_options(key, adjustments=(*before, adjustment))

    boxes = examples.shown_boxes(films.film(key), opened.reference)
    viewer(opened.image, boxes, on_read_again=read_again, answer=opened.answer, **verdict)


def _answer(opened: Opened) -> None:
    if isinstance(opened.result, Failure):
        ways, headline = "Add the radiograph as DICOM, PNG or JPEG, or read it in another viewer.", UNOPENED
        if opened.result.truncated:
            ways, headline = "To have it assessed all the same, turn on “Read incomplete files” below.", TRUNCATED
        show_not_read(capitalised(headline), opened.result.error, ways, opened.answer)
        return
    seen = opened.reference.seen_note if opened.reference else ""
    show_finding(opened.result, opened.words, [seen] if seen else [], opened.answer)


def _show(key: str) -> None:
    st.session_state["open"] = key


def _clear(films: FilmSession) -> None:
    take_stray()
    remove_films([film.key for film in films.films])
    for name in ("opened", "open", "added"):
        st.session_state.pop(name, None)
