"""The Review page: read the session's films one after the other, and look through what was kept."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import ReviewError
from fracture_core.inference.predictor import Finding
from fracture_core.paths import review_folder
from fracture_core.reporting.review_session import BY_ARRIVAL, ORDERS, WaitingFilm, keep_verdict, ordered, own_verdict
from pages.parts.diagnose.uploads import film_session
from pages.parts.review.browse import browse
from pages.parts.review.desk import desk
from pages.parts.shared.auth import who
from pages.parts.shared.engine_queue import engine_turn
from pages.parts.shared.predictor_cache import predictor
from pages.parts.shared.sidebar import Choice, escape_markdown

READ, BROWSE = SECTIONS = ("Give verdicts", "Browse")


def review_page(choice: Choice) -> None:
    """Draw the page; says how to turn reviewing on where it is off."""
    folder = review_folder()
    if folder is None:
        st.info(
            "Reviewing is off. Start the app with FRACTURE_REVIEW_DIR naming a folder. For each verdict, that folder "
            "then keeps the film's pixels without any header, the verdict and its boxes, the model's answer, who said "
            "it and when, and a keyed hash in place of the patient. Nothing else is written."
        )
        return
    try:
        review = ReviewSet(folder)
        bar = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
        section = bar.segmented_control(
            "Section", SECTIONS, default=READ, key="review_section", required=True, label_visibility="collapsed"
        )
        if section == BROWSE:
            browse(review)
        else:
            _read(review, choice, bar)
    except ReviewError as error:
        st.error(str(error))


def _read(review: ReviewSet, choice: Choice, bar: DeltaGenerator) -> None:
    reader = _reader(bar)
    if not reader:
        st.info("Enter your name or initials to give verdicts.")
        return
    films = _films(choice)
    if not films:
        st.info("There are no films to read. Add some on the Diagnose page; they stay here for this session.")
        return
    order = bar.segmented_control(
        "Order", ORDERS, default=BY_ARRIVAL, key="review_order", required=True,
        help="Most instructive: films near an operating point or unlike the training films first, body parts mixed.",
    )  # fmt: skip
    points = (choice.rule_out.threshold, choice.rule_in.threshold)
    waiting = [one for one in films if own_verdict(review, one.digest, reader) is None]
    st.progress(1 - len(waiting) / len(films), f"{len(films) - len(waiting)} of {len(films)} read by {reader}")
    if said := st.session_state.pop("review_said", ""):
        st.warning(escape_markdown(said))
    again = {one.digest: one for one in films if one.digest == st.session_state.get("review_again")}
    shown = next(iter(again.values()), None) or next(iter(ordered(waiting, order, points)), None)
    if shown is None:
        st.success("Every film of this session has your verdict.")
    else:
        _desk(review, shown, reader)
    _previous(films, review, reader)


def _desk(review: ReviewSet, shown: WaitingFilm, reader: str) -> None:
    before = own_verdict(review, shown.digest, reader)

    def keep(answer: dict[str, Any]) -> None:
        try:
            _, said = keep_verdict(
                review,
                shown,
                str(answer["verdict"]),
                reader=reader,
                boxes=answer.get("boxes") or (),
                comment=str(answer.get("comment") or ""),
            )
            st.session_state["review_said"] = said
            st.session_state["review_last"] = shown.digest
            st.session_state.pop("review_again", None)
        except ReviewError as error:
            st.session_state["review_said"] = str(error)

    st.markdown(f"**{escape_markdown(shown.film.name)}**")
    desk(
        shown.digest,
        shown.finding.radiograph.pixels,
        keep,
        boxes=before.boxes if before else (),
        comment=before.comment if before else "",
        given=before.verdict if before else "",
    )
    if st.toggle("Show the model's answer", key="review_model", help="Off by default: your reading stays independent."):
        finding = shown.finding
        percent = f", probability {finding.probability:.0%}" if finding.assessed else ""
        st.caption(f"Model: {finding.triage}{percent}")


def _previous(films: list[WaitingFilm], review: ReviewSet, reader: str) -> None:
    last = st.session_state.get("review_last")
    there = next((one for one in films if one.digest == last), None)
    if there is None or (kept := own_verdict(review, there.digest, reader)) is None:
        return

    def again() -> None:
        st.session_state["review_again"] = last

    label = f"Change the last verdict ({there.film.name}: {kept.verdict})"
    st.button(label, key="review_change", on_click=again, icon=":material/undo:")


def _reader(bar: DeltaGenerator) -> str:
    if st.user.get("is_logged_in"):
        return who()
    return bar.text_input(
        "Your name or initials", key="review_reader", persist_state="session", max_chars=60, width=220
    ).strip()


def _films(choice: Choice) -> list[WaitingFilm]:
    """Return the session's films that can be read, each with this model's finding."""
    session, films = film_session(), []
    with st.empty() as slot:
        for film in session.films:
            with engine_turn(slot):
                found = session.result(film.key, predictor(choice.bundle), choice.rule_out, choice.rule_in)
            if isinstance(found, Finding):
                films.append(WaitingFilm.of(film, found))
    return films
