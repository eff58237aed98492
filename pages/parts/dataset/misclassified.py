"""Show what the model gets wrong: a confusion matrix to filter by, and its largest errors with heatmap and boxes."""

from __future__ import annotations

import streamlit as st

from fracture_core.data.catalogue import choice_name
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.misclassified import (
    FALSE_ALARMS,
    MISSES,
    NEAREST_FIRST,
    WORST_FIRST,
    evidence_thumbnail,
    mistakes,
)
from fracture_core.formatting import format_percent
from fracture_core.metrics.confusion import confusion
from fracture_core.reporting.finding_text import points_in_words
from fracture_core.reporting.threshold_charts import matrix_chart
from pages.parts.dataset.cache import Sources
from pages.parts.dataset.image_view import open_image
from pages.parts.dataset.one_of import one_of
from pages.parts.dataset.rail import BROWSE, show_only
from pages.parts.dataset.tiles import leaf, tile
from pages.parts.shared.chart import draw
from pages.parts.shared.gallery import Tile, gallery
from pages.parts.shared.predictor_cache import predictor
from pages.parts.shared.sidebar import Choice

_PAGE = 12
_SIDE = 320
_SPLITS = ("test", "val")


def wrong(sources: Sources, choice: Choice | None) -> None:
    """Draw the mistakes at the sidebar's operating point."""
    if choice is None:
        st.info("No model is installed, so there is nothing to show here.")
        return
    with st.container(horizontal=True, gap="medium"):
        kind = one_of("Error", (MISSES, FALSE_ALARMS), "mistake", on_change=_first_page)
        split = one_of("Data", _SPLITS, "of", words=choice_name, on_change=_first_page)
        order = one_of("Order", (WORST_FIRST, NEAREST_FIRST), "worst", on_change=_first_page)
    _matrix(sources, choice, split)
    errors = mistakes(sources.table, kind, choice.rule_out, choice.rule_in, split=split, order=order)
    st.markdown(errors.sentence)
    st.caption(f"{points_in_words(choice.rule_out, choice.rule_in)} Colour: the heatmap. Blue: the dataset's boxes.")
    if not errors.ids:
        return
    place, page = leaf(errors.ids, _PAGE, "wrong_page")
    with place, st.spinner("Drawing the heatmaps …"):
        drawn = [_tile(sources, choice, image_id) for image_id in page.ids]
    with place:
        gallery(drawn, "mistakes", open_image, width=210)


def _matrix(sources: Sources, choice: Choice, split: str) -> None:
    """Draw the confusion matrix at the upper threshold; a press on a cell shows its images in the grid."""
    known = sources.table[(sources.table["split"] == split) & sources.table["probability"].notna()]
    threshold = min(choice.rule_in.threshold, 1.0)
    matrix = confusion(known["label"], known["probability"], threshold)

    def pick(cell: object) -> None:
        low, high = ("0", f"{threshold!r}") if cell in ("FN", "TN") else (f"{threshold!r}", "1")
        label = "fractured" if cell in ("TP", "FN") else "not fractured"
        show_only(label=[label], split=[split], p_from=low, p_to=high)
        st.session_state["show"] = BROWSE

    with st.container(width=480):
        counted = "" if choice.rule_out == choice.rule_in else "; indeterminate counts as no fracture"
        st.markdown(f"**Confusion matrix at {threshold:.3f}**{counted}. Select a cell to see its images in the grid.")
        alt = f"{matrix.fn} fractures missed, {matrix.fp} false positives"
        draw(matrix_chart(matrix, clickable=True), "dataset_matrix", height=330, alt=alt, on_pick=pick)


def _first_page() -> None:
    st.session_state["wrong_page"] = 1


def _tile(sources: Sources, choice: Choice, image_id: str) -> Tile:
    model, dataset = predictor(choice.bundle), sources.dataset
    try:
        boxes = dataset.boxes(image_id)
        drawn = evidence_thumbnail(model, dataset.path(image_id), boxes, model.default_method, _SIDE)
    except (OSError, FractureCoreError):
        drawn = b""
    return tile(sources, image_id, drawn, f"probability {format_percent(sources.table.at[image_id, 'probability'])}")
