"""One film of the review set: the image with its boxes, what each reader said, and ways to edit and to delete it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from fracture_core.data.review.catalogue import ReviewCatalogue
from fracture_core.data.review.export import ReviewedFilm
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import ReviewError, Verdict
from fracture_core.formatting import format_percent
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from fracture_core.pagination import neighbours
from fracture_core.reporting.review_session import revise_verdict
from pages.parts.review.folder import require_in_use
from pages.parts.review.reader import reader_name
from pages.parts.shared.sidebar import escape_markdown
from pages.parts.shared.viewer import radiograph_data, viewer

#: Where the session keeps which film is open.
OPEN = "review_open"
_MESSAGE, _FAILED = "review_film_message", "review_film_failed"


def open_film(image: str) -> None:
    """Show this film at the next run."""
    st.session_state[OPEN] = image


def close_film() -> None:
    """Go back to the grid at the next run."""
    st.session_state.pop(OPEN, None)


def film_view(review: ReviewSet, film: ReviewedFilm, shown: Sequence[str]) -> None:
    """Draw a film; `shown` are the ones that the filters leave, to leaf through."""
    reader = _toolbar(film, list(shown))
    say()
    verdicts = review.of(film.image)
    try:
        image = radiograph_data(read_radiograph(review.path(film.image)))
    except (UnreadableRadiograph, ReviewError) as error:
        st.error(f"The film cannot be shown. {escape_markdown(str(error))}")
    else:
        _viewer(review, film, verdicts, image, reader)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Verdicts", anchor=False)
        for verdict in reversed(verdicts):
            _verdict(verdict)
    with right:
        st.subheader("The model at that time", anchor=False)
        _model(film)
        st.subheader("Delete", anchor=False)
        sure = st.checkbox("Permanently delete this film and its verdicts", key=f"sure {film.image}")
        st.button(
            "Delete",
            key=f"delete {film.image}",
            disabled=not sure,
            on_click=_delete,
            args=(review, film, len(verdicts)),
            icon=":material/delete:",
        )


def opened_film(films: ReviewCatalogue) -> ReviewedFilm | None:
    """Return the film that is open; say so if it was deleted on another screen."""
    if not st.session_state.get(OPEN):
        return None
    film = films.film(st.session_state[OPEN])
    if film is None:
        close_film()
        st.session_state.setdefault(_MESSAGE, ("warning", "The film that was open here was deleted meanwhile."))
    return film


def say() -> None:
    """Say once what became of the last verdict or deletion."""
    kind, message = st.session_state.pop(_MESSAGE, ("", ""))
    if kind:
        {"error": st.error, "warning": st.warning}[kind](escape_markdown(message))


def _toolbar(film: ReviewedFilm, shown: list[str]) -> str:
    before, after, place = neighbours(shown, film.image)
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        st.button("Back to the grid", on_click=close_film, icon=":material/grid_view:", key="review_back")
        for label, to, shortcut in (("Previous", before, "Left"), ("Next", after, "Right")):
            st.button(
                label, on_click=open_film, args=(to,), disabled=to is None, key=f"review {label}", shortcut=shortcut
            )
        st.markdown(f"{place:,} of {len(shown):,} matching the filters" if place else "")
        return reader_name(st.container(width=240))


def _viewer(
    review: ReviewSet, film: ReviewedFilm, verdicts: Sequence[Verdict], image: dict[str, object], reader: str
) -> None:
    mine = [verdict for verdict in verdicts if verdict.reader == reader]
    before = mine[-1] if mine else None
    options = {
        "film": film.image,
        "round": len(mine),
        "failed": st.session_state.get(_FAILED, 0),
        "reader": reader,
        "given": before.verdict if before else "",
        "boxes": [list(box) for box in (before.boxes if before else film.boxes)],
        "comment": before.comment if before else "",
    }

    def keep(answer: dict[str, Any]) -> None:
        if any(answer.get(name) != options[name] for name in ("film", "round", "failed")):
            return
        try:
            require_in_use(review)
            recorded, beside = revise_verdict(
                review,
                film,
                str(answer.get("verdict")),
                reader=reader,
                boxes=answer.get("boxes") or (),
                comment=str(answer.get("comment") or ""),
            )
            st.session_state[_MESSAGE] = ("warning", f"Kept: {recorded.verdict}. {beside}")
        except ReviewError as error:
            st.session_state[_FAILED] = st.session_state.get(_FAILED, 0) + 1
            st.session_state[_MESSAGE] = ("error", str(error))

    viewer(image, review=options, on_verdict=keep)


def _verdict(verdict: Verdict) -> None:
    boxes = f", {len(verdict.boxes)} box{'es' if len(verdict.boxes) > 1 else ''}" if verdict.boxes else ""
    when = verdict.when[:16].replace("T", " ")
    st.markdown(f"{escape_markdown(verdict.reader or '?')}, {when} UTC: **{verdict.verdict}**{boxes}")
    if verdict.comment:
        st.caption(escape_markdown(verdict.comment))


def _model(film: ReviewedFilm) -> None:
    model = film.newest.model
    if not model:
        st.caption("Not recorded.")
        return
    probability = model.get("probability")
    share = f", probability {format_percent(probability)}" if isinstance(probability, int | float) else ""
    st.markdown(f"{escape_markdown(str(model.get('triage', '?')))}{share}")
    st.caption(escape_markdown(str(model.get("bundle", ""))))


def _delete(review: ReviewSet, film: ReviewedFilm, seen: int) -> None:
    try:
        require_in_use(review)
        review.delete(film.image, seen)
        close_film()
    except ReviewError as error:
        st.session_state[_MESSAGE] = ("error", str(error))
