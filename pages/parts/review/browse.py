"""Look through the review set: filter, take out, export, and see how far readers agree."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from fracture_core.data.review.export import EXPORTS, ReviewedFilm, export_review, readers_agreement, reviewed_films
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.pagination import page_of
from fracture_core.reporting.review_session import FILTERS, chosen_films, reviewed_picture
from pages.parts.shared.gallery import Tile, gallery
from pages.parts.shared.sidebar import escape_markdown

_A_PAGE = 24


def browse(review: ReviewSet) -> None:
    """Draw the section."""
    films = reviewed_films(review.verdicts())
    if not films:
        st.info("No verdicts yet.")
        return
    readers = sorted({verdict.reader for film in films for verdict in film.latest})
    wanted = st.pills("Show", FILTERS, selection_mode="multi", key="review_filters")
    reader = st.selectbox("Reader", ["", *readers], format_func=lambda name: name or "all", key="review_by")
    shown = chosen_films(review, wanted, reader)
    labels = [film.label for film in shown]
    st.markdown(
        f"**{len(shown)} of {len(films)} films**: {labels.count(1)} with a fracture, {labels.count(0)} without, "
        f"{labels.count(None)} without a label"
    )
    for (one, other), pair in readers_agreement(films).items():
        st.caption(
            f"{escape_markdown(one)} and {escape_markdown(other)}: the same verdict on {pair.agreed} of {pair.n} "
            f"films, Cohen's kappa {pair.kappa}"
        )
    number = st.number_input("Page", 1, page_of(shown, 1, _A_PAGE).pages, key="review_page") if shown else 1
    page = page_of(shown, int(number), _A_PAGE)
    gallery([_tile(review, film) for film in page.ids], "review_gallery", _open)
    opened = next((film for film in films if film.image == st.session_state.get("review_open")), None)
    if opened is not None:
        _film(review, opened)
    _export(review)


def _tile(review: ReviewSet, film: ReviewedFilm) -> Tile:
    words = ", ".join(f"{verdict.reader or '?'}: {verdict.verdict}" for verdict in film.latest)
    return Tile(film.image, _picture(review.folder, film.image, film, review), words, marked=film.disagreement)


@st.cache_data(max_entries=2000, show_spinner=False)
def _picture(folder: Path, image: str, _film: ReviewedFilm, _review: ReviewSet) -> bytes:
    return reviewed_picture(_review, _film)


def _open(image: str) -> None:
    st.session_state["review_open"] = image


def _film(review: ReviewSet, film: ReviewedFilm) -> None:
    with st.container(border=True):
        for verdict in review.of(film.image):
            said = f"**{verdict.verdict}**, {len(verdict.boxes)} boxes" if verdict.boxes else f"**{verdict.verdict}**"
            st.markdown(f"{escape_markdown(verdict.reader or '?')}, {verdict.when[:16].replace('T', ' ')}: {said}")
            if verdict.comment:
                st.caption(escape_markdown(verdict.comment))
        sure = st.checkbox("Permanently delete this film and its verdicts", key=f"sure {film.image}")
        st.button("Delete", disabled=not sure, on_click=review.delete, args=(film.image,), icon=":material/delete:")


def _export(review: ReviewSet) -> None:
    with st.expander("Export"):
        kind = st.selectbox("As", list(EXPORTS), key="review_export_kind")
        st.caption("Written into a folder on the server, which must be empty or new.")
        folder = st.text_input("Folder", key="review_export_folder")
        if st.button("Export", disabled=not folder.strip()):
            count = export_review(review, Path(folder.strip()).expanduser(), kind)
            st.success(f"{count} films written.")
