"""The review set's films, tabulated once for all sessions and again only when a verdict came or went."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from fracture_core.data.review.catalogue import ReviewCatalogue
from fracture_core.data.review.review_set import FILE, ReviewSet
from fracture_core.metrics.agreement import Agreement


def review_films(review: ReviewSet) -> tuple[ReviewCatalogue, dict[tuple[str, str], Agreement]]:
    """Return the films of a review set, and how far its readers agree."""
    return _films(review.folder, _stamp(review), review)


@st.cache_resource(max_entries=2, show_spinner=False)
def _films(
    folder: Path, stamp: tuple[int, int], _review: ReviewSet
) -> tuple[ReviewCatalogue, dict[tuple[str, str], Agreement]]:
    films = ReviewCatalogue(_review)
    return films, films.agreements()


def _stamp(review: ReviewSet) -> tuple[int, int]:
    try:
        status = (review.folder / FILE).stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
