"""The grid: filters that live in the address, pages of thumbnails, and one image when it is picked."""

from __future__ import annotations

import streamlit as st

from fracture_core.data.catalogue import (
    COUNTS,
    DEFECT_CHOICES,
    HARDWARE,
    LABELS,
    ORDERS,
    PARTS,
    SPLITS,
    VIEWS,
    Filters,
    select,
)
from pages.parts.dataset.cache import Sources
from pages.parts.dataset.image_view import open_image, show_image
from pages.parts.dataset.tiles import leaf, tiles
from pages.parts.shared.gallery import gallery
from pages.parts.shared.sidebar import Choice

PAGE_SIZES = (24, 48, 96)
#: On a telephone the filters would fill the first screen: there they come when they are asked for.
_STYLE = """<style>
.st-key-filters_shown { display: none; }
@media (max-width: 640px) {
  .st-key-filters_shown { display: block; }
  .st-key-filters:not(:has(.st-key-filters_shown input:checked)) [data-testid=stExpander] { display: none; }
}
</style>"""


def browse(sources: Sources, choice: Choice | None, image_id: str | None) -> None:
    """Draw the filters and below them the grid, or the one image that is open."""
    st.html(_STYLE)
    with st.container(key="filters"):
        st.toggle("Show filters", key="filters_shown")
        with st.expander("Filters", expanded=image_id is None, icon=":material/filter_alt:"):
            filters, order, size = _filters(sources)
    ids = select(sources.table, filters, order)
    if image_id is not None:
        show_image(sources, choice, image_id, ids)
    else:
        _grid(sources, ids, filters, size)


def _filters(sources: Sources) -> tuple[Filters, str, int]:
    search = st.text_input(
        "Image id, or part of it",
        key="id",
        placeholder="3298, or several: 0019, 0020",
        on_change=_first_page,
        bind="query-params",
        persist_state="page",
        icon=":material/search:",
    )
    with st.container(horizontal=True, gap="medium"):
        labels = _pills("Label", LABELS, "label")
        parts = _pills("Body part", PARTS, "part")
        views = _pills("View", VIEWS, "projection")
        counts = _pills("Number of fractures", COUNTS, "fractures")
        hardware = _pills("Hardware", HARDWARE, "hardware")
        splits = _pills("Split", SPLITS, "split")
        defects = _pills("Defect", DEFECT_CHOICES, "defect")
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        order = _one("Order", ORDERS if sources.bundle else ORDERS[:1], "order", ORDERS[0])
        size = _one("Images a page", PAGE_SIZES, "size", 48)
        st.button("Clear all filters", on_click=_clear, icon=":material/filter_alt_off:", key="clear")
    return Filters(labels, parts, views, hardware, splits, defects, counts, search), order, size


def _pills(label: str, options: tuple[str, ...], key: str) -> list[str]:
    return st.pills(
        label,
        options,
        selection_mode="multi",
        key=key,
        on_change=_first_page,
        bind="query-params",
        persist_state="page",
        wrap=True,
    )


def _one(label: str, options: tuple, key: str, default):
    return st.segmented_control(
        label,
        options,
        default=default,
        required=True,
        key=key,
        on_change=_first_page,
        bind="query-params",
        persist_state="page",
        wrap=True,
    )


def _first_page() -> None:
    st.session_state["page"] = 1


def _clear() -> None:
    for key in ("label", "part", "projection", "fractures", "hardware", "split", "defect"):
        st.session_state[key] = []
    st.session_state["id"] = ""
    _first_page()


def _grid(sources: Sources, ids: list[str], filters: Filters, size: int) -> None:
    asked = filters.summary_text()
    words = f"**{len(ids):,}** of {len(sources.table):,} radiographs" + (f": {asked}" if asked else "")
    st.markdown(words.replace("'", "`"))
    if not ids:
        st.info("No radiograph fits all of these filters. Take one away, or clear them.")
        return
    place, page = leaf(ids, size, "page")
    with place:
        gallery(tiles(sources, page.ids), "grid", open_image)
    st.caption(f"Images {page.first} to {page.last}. The address keeps filters and page: share it to share this view.")
