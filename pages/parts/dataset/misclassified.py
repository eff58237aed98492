"""Where the model is wrong: its worst misses and false alarms, with heatmap and boxes."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.misclassified import (
    FALSE_ALARMS,
    MISSES,
    NEAREST_FIRST,
    WORST_FIRST,
    evidence_thumbnail,
    mistakes,
)
from fracture_core.reporting.finding_text import percent, points_in_words
from pages.parts.dataset.cache import Sources
from pages.parts.dataset.image_view import open_image
from pages.parts.dataset.tiles import leaf, tile
from pages.parts.shared.gallery import Tile, gallery
from pages.parts.shared.predictor_cache import reader
from pages.parts.shared.sidebar import Choice

_PAGE = 12
_SIDE = 320
_SPLITS = ("test", "val")


def wrong(sources: Sources, choice: Choice | None) -> None:
    """Draw the mistakes at the sidebar's operating point."""
    if choice is None:
        st.info("There is no model in models/ yet, so there are no mistakes to look at.")
        return
    with st.container(horizontal=True, gap="medium"):
        kind = _one("Which", (MISSES, FALSE_ALARMS), "mistake")
        split = _one("Of which images", _SPLITS, "of")
        order = _one("Order", (WORST_FIRST, NEAREST_FIRST), "worst")
    found = mistakes(sources.table, kind, choice.rule_out, choice.rule_in, split=split, order=order)
    asked = "fractured images, called unlikely" if kind == MISSES else "images without a fracture, called likely"
    st.markdown(f"**{len(found.ids)}** of {found.of} {asked}.")
    st.caption(f"{points_in_words(choice.rule_out, choice.rule_in)} Colour: the heatmap. Blue: the dataset's boxes.")
    if not found.ids:
        return
    place, page = leaf(found.ids, _PAGE, "wrong_page")
    with place, st.spinner("Drawing the heatmaps …"):
        drawn = [_tile(sources, choice, image_id) for image_id in page.ids]
    with place:
        gallery(drawn, "mistakes", open_image, width=210)


def _one(label: str, options: Sequence[str], key: str) -> str:
    return st.segmented_control(
        label,
        options,
        default=options[0],
        required=True,
        key=key,
        on_change=_first_page,
        bind="query-params",
        persist_state="page",
        wrap=True,
    )


def _first_page() -> None:
    st.session_state["wrong_page"] = 1


def _tile(sources: Sources, choice: Choice, image_id: str) -> Tile:
    model, dataset = reader(choice.bundle), sources.dataset
    try:
        boxes = dataset.boxes(image_id)
        drawn = evidence_thumbnail(model, dataset.path(image_id), boxes, model.default_method, _SIDE)
    except (OSError, FractureCoreError):
        drawn = b""
    return tile(sources, image_id, drawn, f"probability {percent(sources.table.at[image_id, 'probability'])}")
