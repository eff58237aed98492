"""The review set on the Dataset page, beside FracAtlas; nothing of it is there where reviewing is off."""

from __future__ import annotations

import streamlit as st

from fracture_core.data.review.verdict import ReviewError
from pages.parts.review.folder import review_set
from pages.parts.shared.sidebar import escape_markdown

_FRACATLAS, _REVIEW = "FracAtlas", "Review set"


def review_shown() -> bool:
    """Draw the choice between FracAtlas and the review set, and the review set where it is chosen.

    Returns whether it was drawn.
    """
    try:
        review = review_set()
        if review is None:
            return False
        chosen = st.segmented_control(
            "Radiographs",
            (_FRACATLAS, _REVIEW),
            default=_FRACATLAS,
            required=True,
            key="dataset_source",
            bind="query-params",
            persist_state="page",
            label_visibility="collapsed",
        )
        if chosen != _REVIEW:
            return False
        from pages.parts.review.browse import browse

        browse(review)
    except ReviewError as error:
        st.error(escape_markdown(str(error)))
        return st.session_state.get("dataset_source") == _REVIEW
    return True
