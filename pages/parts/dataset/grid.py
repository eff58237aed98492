"""The grid: filters in a rail beside it, pages of thumbnails, and one image when it is picked."""

from __future__ import annotations

import streamlit as st

from fracture_core.data.catalogue import ORDERS, Filters, select, with_outcomes
from pages.parts.dataset.cache import Sources
from pages.parts.dataset.image_view import open_image, show_image
from pages.parts.dataset.rail import asked_filters, first_page, rail
from pages.parts.dataset.tiles import leaf, tiles
from pages.parts.diagnose import examples
from pages.parts.shared.gallery import gallery
from pages.parts.shared.sidebar import Choice

PAGE_SIZES, _SIZE = (24, 48, 96), 48
_MOST_DIAGNOSED = 24
#: On a telephone the filters would fill the first screen: there they come when they are asked for.
_STYLE = """<style>
.st-key-filters_shown { display: none; }
@media (max-width: 900px) {
  .st-key-filters_shown { display: block; }
  .st-key-browser:not(:has(.st-key-filters_shown input:checked)) .st-key-filters { display: none; }
  .st-key-browser [data-testid=stColumn] { min-width: 100%; }
}
</style>"""


def browse(sources: Sources, choice: Choice | None, image_id: str | None) -> None:
    """Draw the filters and beside them the grid, or the one image that is open."""
    filters = asked_filters()
    table = sources.table
    if choice is not None:
        table = with_outcomes(table, choice.rule_out.threshold, choice.rule_in.threshold)
    if image_id is not None:
        show_image(sources, choice, image_id, select(table, filters, st.query_params.get("order", ORDERS[0])))
        return
    st.html(_STYLE)
    with st.container(key="browser"):
        left, right = st.columns([1, 4], gap="medium")
        with left:
            st.toggle("Show filters", key="filters_shown")
            with st.container(key="filters"):
                rail(table, filters, predictions=choice is not None)
        with right:
            _grid(sources, choice, table, filters)


def _grid(sources: Sources, choice: Choice | None, table, filters: Filters) -> None:
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        summary = st.container(width="stretch")
        order = st.selectbox(
            "Order",
            ORDERS if choice else ORDERS[:1],
            key="order",
            on_change=first_page,
            bind="query-params",
            persist_state="page",
            label_visibility="collapsed",
            width=200,
        )
    ids = select(table, filters, order)
    asked = filters.summary_text()
    words = f"**{len(ids):,}** of {len(table):,} radiographs" + (f": {asked}" if asked else "")
    summary.markdown(words.replace("'", "`"))
    if not ids:
        st.info("No radiographs match these filters. Remove one, or clear them all.")
        return
    top, bottom = st.container(), st.container()
    size = bottom.segmented_control(
        "Images per page",
        PAGE_SIZES,
        default=_SIZE,
        required=True,
        key="size",
        on_change=first_page,
        bind="query-params",
        persist_state="page",
    )
    with top:
        place, page = leaf(ids, size, "page")
        with place:
            gallery(tiles(sources, page.ids, choice=choice), "grid", open_image)
    _diagnose(choice, page.ids)
    st.caption(
        f"Images {page.first} to {page.last}. The address bar holds the filters and the page: share it to share this "
        "view."
    )


def _diagnose(choice: Choice | None, ids: tuple[str, ...]) -> None:
    """Offer to open the images of this page on the Diagnose page."""
    count = min(len(ids), _MOST_DIAGNOSED)
    label = f"Diagnose these {count}" if count == len(ids) else f"Diagnose the first {count}"
    if choice is not None and st.button(label, icon=":material/radiology:", key="diagnose_these"):
        for image_id in reversed(ids[:count]):
            examples.pick(image_id)
        st.switch_page("pages/diagnose.py")
