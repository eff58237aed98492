"""The Review page: read the session's films one after the other, look through what was kept, calibrate to the site."""

from __future__ import annotations

import functools
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import ReviewError, Verdict
from fracture_core.formatting import format_percent
from fracture_core.inference.predictor import Finding
from fracture_core.reporting.film_session import Film, FilmSession
from fracture_core.reporting.review_session import (
    BY_VALUE,
    ORDERS,
    PLAIN,
    instructive_order,
    keep_verdict,
    read_by,
)
from fracture_core.reporting.worklist import Entry, worklist_order
from pages.parts.diagnose.uploads import film_session
from pages.parts.review.browse import browse
from pages.parts.review.desk import desk
from pages.parts.review.folder import choose_folder, folder_in_use, require_in_use, review_set
from pages.parts.review.reader import ORDER_HELP, reader_name
from pages.parts.shared.engine_queue import engine_turn
from pages.parts.shared.predictor_cache import predictor
from pages.parts.shared.sidebar import Choice, escape_markdown

READ, BROWSE, CALIBRATE = SECTIONS = ("Give verdicts", "Browse", "Calibrate to your site")


def review_page(choice: Choice) -> None:
    """Draw the page; where reviewing is off, the choice of a folder stands in place of what needs one."""
    bar = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    section = bar.segmented_control(
        "Section", SECTIONS, default=READ, key="review_section", required=True, label_visibility="collapsed", wrap=True
    )
    try:
        review = review_set()
        if review is not None:
            folder_in_use(review.folder)
        if section == CALIBRATE:
            from pages.parts.review.calibrate import calibrate_section  # charts, which the other sections do without

            calibrate_section(choice, review)
        elif review is None:
            choose_folder()
        elif section == BROWSE:
            browse(review)
        else:
            _read(review, choice, bar)
    except ReviewError as error:
        st.error(escape_markdown(str(error)))


def _read(review: ReviewSet, choice: Choice, bar: DeltaGenerator) -> None:
    reader = reader_name(bar)
    if not reader:
        st.info("Enter your name or initials to give verdicts.")
        return
    films = film_session()
    entries = _entries(films, choice)
    if not entries:
        st.info("There are no films to read. Add some on the Diagnose page; they stay here for this session.")
        return
    order = bar.segmented_control(
        "Order", ORDERS, default=PLAIN, key="review_order", required=True, persist_state="session",
        help=ORDER_HELP, wrap=True,
    )  # fmt: skip
    read = read_by(review, entries, reader)
    keys = list(entries)
    if order == BY_VALUE:
        keys = instructive_order(entries, (choice.rule_out.threshold, choice.rule_in.threshold), read)
    waiting = [key for key in keys if key not in read]
    st.progress(len(read) / len(entries), f"{len(read)} of {len(entries)} read by {reader}")
    if message := st.session_state.pop("review_message", ""):
        st.warning(escape_markdown(message))
    again = st.session_state.get("review_again")
    shown = again if again in entries else next(iter(waiting), None)
    if shown is None:
        st.success("Every film of this session has your verdict.")
    else:
        with engine_turn(functools.cache(st.empty)):
            finding = films.result(shown, predictor(choice.bundle), choice.rule_out, choice.rule_in)
        if isinstance(finding, Finding):
            _desk(review, films.film(shown), finding, read.get(shown), entries[shown].pixels, reader)
    _previous(entries, read)


def _desk(review: ReviewSet, film: Film, finding: Finding, before: Verdict | None, digest: str, reader: str) -> None:
    def keep(answer: dict[str, Any]) -> None:
        try:
            require_in_use(review)
            _, message = keep_verdict(
                review,
                film,
                finding,
                str(answer["verdict"]),
                reader=reader,
                boxes=answer.get("boxes") or (),
                comment=str(answer.get("comment") or ""),
            )
            st.session_state["review_message"] = message
            st.session_state["review_last"] = film.key
            st.session_state.pop("review_again", None)
        except ReviewError as error:
            st.session_state["review_message"] = str(error)

    st.markdown(f"**{escape_markdown(film.name)}**")
    desk(
        digest,
        finding.radiograph.pixels,
        keep,
        boxes=before.boxes if before else (),
        comment=before.comment if before else "",
        given=before.verdict if before else "",
    )
    if st.toggle("Show the model's answer", key="review_model", help="Off by default: your reading stays independent."):
        percent = f", probability {format_percent(finding.probability)}" if finding.assessed else ""
        st.caption(f"Model: {finding.triage}{percent}")


def _previous(entries: dict[str, Entry], read: dict[str, Verdict]) -> None:
    last = st.session_state.get("review_last")
    if last not in entries or last not in read:
        return

    def again() -> None:
        st.session_state["review_again"] = last

    label = f"Change the last verdict ({entries[last].name}: {read[last].verdict})"
    st.button(label, key="review_change", on_click=again, icon=":material/undo:")


def _entries(films: FilmSession, choice: Choice) -> dict[str, Entry]:
    """Return the session's films that have an image, in the worklist's plain order; assess those that are new."""
    with st.empty() as slot:
        for key in films.unread(choice.bundle.version):
            with engine_turn(lambda: slot):
                films.result(key, predictor(choice.bundle), choice.rule_out, choice.rule_in)
    entries = films.entries(choice.bundle.version, choice.rule_in.scale)
    keys = list(entries)
    ordered = [keys[place] for place in worklist_order(list(entries.values()))]
    return {key: entries[key] for key in ordered if entries[key].pixels}
