"""Verdicts on the Diagnose page and in its worklist, where a review folder is set; nothing of it is there otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import ReviewError, Verdict
from fracture_core.inference.predictor import Failure, Finding
from fracture_core.reporting.film_session import FilmSession
from fracture_core.reporting.finding_text import capitalised
from fracture_core.reporting.review_session import BY_VALUE, instructive_order, keep_verdict, read_by
from fracture_core.reporting.worklist import Entry
from pages.parts.review.folder import require_in_use, review_set
from pages.parts.review.reader import ORDER_HELP, known_reader, reader_name
from pages.parts.shared.sidebar import Choice, escape_markdown

_ORDER, _MESSAGE, _FAILED = "reading_order", "reading_message", "reading_failed"


@dataclass(frozen=True, eq=False)
class Reading:
    """The session's films as one reader has read them so far; `reader` is "" until there is a name."""

    films: FilmSession
    entries: Mapping[str, Entry]
    reader: str
    review: ReviewSet
    read: Mapping[str, Verdict]


def begin_reading(films: FilmSession, entries: Mapping[str, Entry]) -> Reading | None:
    """Look up the reader's verdicts on the session's films; None where reviewing is off."""
    try:
        review = review_set()
        if review is None:
            return None
        reader = known_reader()
        read = read_by(review, entries, reader) if reader else {}
    except ReviewError as error:
        st.error(escape_markdown(str(error)))
        return None
    # This reader's alone: what another one said at the same screen must not lead the next.
    films.readings.clear()
    films.readings.update({key: capitalised(verdict.verdict) for key, verdict in read.items()})
    marked = {key: replace(entry, reader_finding=films.readings.get(key, "")) for key, entry in entries.items()}
    return Reading(films, marked, reader, review, read)


def worklist_keys(reading: Reading | None, plain: Sequence[str], choice: Choice) -> list[str]:
    """Return the worklist's order: the plain one, or by what a verdict would teach, where the reader asked for it."""
    if reading is None or not st.session_state.get(_ORDER):
        return list(plain)
    points = (choice.rule_out.threshold, choice.rule_in.threshold)
    return instructive_order({key: reading.entries[key] for key in plain}, points, reading.read)


def order_switch(reading: Reading | None) -> None:
    """Draw the switch between the two orders."""
    if reading is not None:
        st.toggle(BY_VALUE, key=_ORDER, persist_state="session", help=ORDER_HELP)


def verdict_options(
    reading: Reading | None, result: Finding | Failure, key: str, ordered: Sequence[str]
) -> dict[str, Any]:
    """Return what the viewer needs to take a verdict on the open film; nothing where reviewing is off."""
    if reading is None or not isinstance(result, Finding):
        return {}
    film, before = reading.entries[key].pixels, reading.read.get(key)
    mine = [verdict for verdict in reading.review.of(film) if verdict.reader == reading.reader]
    review = {
        "film": film,
        "round": len(mine),
        "failed": st.session_state.get(_FAILED, 0),
        "reader": reading.reader,
        "given": before.verdict if before else "",
        "boxes": [list(box) for box in before.boxes] if before else [],
        "comment": before.comment if before else "",
    }

    def keep(answer: dict[str, Any]) -> None:
        if any(answer.get(name) != review[name] for name in ("film", "round", "failed")):
            return  # meant for another film, or sent twice
        if not _keep(reading, result, key, answer):
            return
        later = [*ordered[ordered.index(key) + 1 :], *ordered[: ordered.index(key)]]
        unread = next(
            (candidate for candidate in later if candidate not in reading.read and reading.entries[candidate].pixels),
            None,
        )
        if unread is not None:
            st.session_state["open"] = unread

    return {"review": review, "on_verdict": keep}


def _keep(reading: Reading, finding: Finding, key: str, answer: Mapping[str, Any]) -> bool:
    film = reading.films.film(key)
    try:
        require_in_use(reading.review)
        recorded, beside = keep_verdict(
            reading.review,
            film,
            finding,
            str(answer.get("verdict")),
            reader=reading.reader,
            boxes=answer.get("boxes") or (),
            comment=str(answer.get("comment") or ""),
        )
    except ReviewError as error:
        st.session_state[_FAILED] = st.session_state.get(_FAILED, 0) + 1
        st.session_state[_MESSAGE] = ("error", str(error))
        return False
    reading.films.readings[key] = capitalised(recorded.verdict)
    summary = f"{film.name}: {recorded.verdict}" + (f", {len(recorded.boxes)} boxes" if len(recorded.boxes) > 1 else "")
    st.session_state[_MESSAGE] = ("warning" if beside else "caption", f"Kept. {summary}. {beside}".strip())
    return True


def reading_pane(reading: Reading | None) -> bool:
    """Draw who reads, how far, and what became of the last verdict; return whether reviewing is on."""
    if reading is None:
        _say()
        return False
    with st.container(border=True, key="reading"):
        reader_name(st.container())
        films = [key for key, entry in reading.entries.items() if entry.pixels]
        if reading.reader:
            st.caption(
                f"{len(reading.read)} of {len(films)} read. Kept in {escape_markdown(str(reading.review.folder))}"
            )
        else:
            st.caption("Enter your name or initials to give verdicts, each with one key.")
        _say()
    return True


def _say() -> None:
    kind, message = st.session_state.pop(_MESSAGE, ("", ""))
    if kind:
        {"error": st.error, "warning": st.warning, "caption": st.caption}[kind](escape_markdown(message))
