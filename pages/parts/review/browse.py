"""Look through the review set: filter, open, edit, delete, export, and see how far readers agree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import streamlit as st

from fracture_core.data.review.catalogue import ReviewCatalogue, ReviewFilters
from fracture_core.data.review.export import ReviewedFilm, export_review
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import VERDICTS, ReviewError
from fracture_core.metrics.agreement import Agreement
from fracture_core.paths import expand_user_path
from fracture_core.reporting.review_session import reviewed_image
from pages.parts.dataset.tiles import leaf
from pages.parts.review.film_view import film_view, open_film, opened_film, say
from pages.parts.review.films import review_films
from pages.parts.shared.gallery import Tile, gallery
from pages.parts.shared.sidebar import escape_markdown

_A_PAGE = 24
_EXPORTED, _REFUSED = "review_exported", "review_export_refused"
_DISAGREEMENT = ("Readers disagree", "Differs from the model")
_FORMS = {
    "folders": "one folder per class",
    "csv": "CSV (labels.csv and images)",
    "coco": "COCO JSON",
    "yolo": "YOLO",
}


def browse(review: ReviewSet) -> None:
    """Draw the filters and the grid, or the one film that is open."""
    films, agreements = review_films(review)
    if not len(films):
        st.info("No verdicts yet.")
        return
    filters = _filters(films)
    places = films.select(filters)
    shown = [films.images[place] for place in places]
    opened = opened_film(films)
    if opened is not None:
        film_view(review, opened, shown)
        return
    say()
    fractured, sound, unlabelled = films.counts(places)
    st.markdown(
        f"**{len(shown):,} of {len(films):,} films**: {fractured} with a fracture, {sound} without, "
        f"{unlabelled} without a label"
    )
    place, page = leaf(shown, _A_PAGE, "review_page")
    with place:
        tiles = [_tile(review, film) for film in map(films.film, page.ids) if film is not None]
        gallery(tiles, "review_gallery", open_film)
    _agreement(agreements)
    _export(review)


def _filters(films: ReviewCatalogue) -> ReviewFilters:
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        verdicts = st.pills(
            "Verdict", VERDICTS, selection_mode="multi", key="review_filters", format_func=str.capitalize
        )
        against = st.pills("Disagreement", _DISAGREEMENT, selection_mode="multi", key="review_against")
        with st.container(horizontal=True, gap="small", width="content"):  # these wrap together
            reader = st.selectbox(
                "Reader", ["", *films.readers], format_func=lambda name: name or "all", key="review_by", width=150
            )
            first = st.date_input("From", None, key="review_from_day", width=165)
            last = st.date_input("To", None, key="review_to_day", width=165)
    return ReviewFilters(
        verdicts=verdicts,
        readers_disagree=_DISAGREEMENT[0] in against,
        against_model=_DISAGREEMENT[1] in against,
        reader=reader or "",
        first=first if isinstance(first, date) else None,
        last=last if isinstance(last, date) else None,
    )


def _tile(review: ReviewSet, film: ReviewedFilm) -> Tile:
    words = ", ".join(f"{verdict.reader or '?'}: {verdict.verdict}" for verdict in film.latest)
    badge = {1: "fracture", 0: "no fracture", None: "no label"}[film.label]
    name = f"{film.newest.when[:10]}"
    image = _image(review.folder, film.image, film.boxes, film, review)
    return Tile(film.image, image, words, marked=film.disagreement, badge=badge, name=name)


@st.cache_data(max_entries=2000, show_spinner=False)
def _image(folder: Path, image: str, boxes: Sequence, _film: ReviewedFilm, _review: ReviewSet) -> bytes:
    # In memory alone: the review folder is the only place where pixels are written.
    return reviewed_image(_review, _film)


def _agreement(agreements: dict[tuple[str, str], Agreement]) -> None:
    for (first, second), pair in agreements.items():
        st.caption(
            f"Second readings: {escape_markdown(first)} and {escape_markdown(second)} gave the same verdict on "
            f"{pair.agreed} of {pair.n} films, Cohen's kappa {pair.kappa} (95 % CI)"
        )


def _export(review: ReviewSet) -> None:
    with st.expander("Export"):
        kind = st.selectbox("As", list(_FORMS), format_func=_FORMS.__getitem__, key="review_export_kind")
        st.caption(
            "Films with a label (fracture, or no fracture, and no two readers against each other) are written into a "
            "folder on the computer that runs this app, which must be empty or new. Keyed hashes of patients go with "
            "the CSV; the key stays."
        )
        st.text_input("Folder", key="review_export_folder")
        st.button("Export", on_click=_write, args=(review, kind))
        if done := st.session_state.pop(_EXPORTED, None):
            st.success(escape_markdown(done))
        if refused := st.session_state.pop(_REFUSED, None):
            st.error(escape_markdown(refused))


def _write(review: ReviewSet, kind: str) -> None:
    """Export into the folder that is named now; what is pressed twice has been exported."""
    folder = st.session_state["review_export_folder"].strip()
    if f" written to {folder}." in st.session_state.get(_EXPORTED, ""):
        return
    try:
        if not folder:
            raise ReviewError("Name the folder to write to.")
        exported = export_review(review, expand_user_path(folder), kind)
    except ReviewError as error:
        st.session_state[_REFUSED] = str(error)
    else:
        st.session_state[_EXPORTED] = " ".join([f"{exported.films} films written to {folder}.", *exported.left_out])
