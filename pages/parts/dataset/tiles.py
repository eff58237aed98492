"""Images of FracAtlas as tiles of a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fracture_core.data.catalogue import tags
from fracture_core.data.thumbnails import thumbnails
from fracture_core.formatting import format_percent
from fracture_core.metrics.operating_points import triage
from fracture_core.pagination import Page, page_of
from pages.parts.dataset.cache import Sources
from pages.parts.shared.gallery import Tile
from pages.parts.shared.sidebar import Choice


def tile(sources: Sources, image_id: str, image: bytes, more: str = "", choice: Choice | None = None) -> Tile:
    """Return the tile of an image, with what is worth a word of it; with `choice`, the model's answer as well."""
    row = sources.table.loc[image_id]
    marked = bool(row["label"])
    parts = [more] if more else []
    if choice is not None and row["probability"] == row["probability"]:
        answer = triage(row["probability"], choice.rule_out.threshold, choice.rule_in.threshold)
        parts = [f"model: {answer}, {format_percent(row['probability'])}", *parts]
    return Tile(image_id, image, ", ".join(parts + tags(row)), marked, "fracture" if marked else "no fracture")


def tiles(
    sources: Sources, ids: Sequence[str], words: Mapping[str, str] | None = None, choice: Choice | None = None
) -> list[Tile]:
    """Return a tile with its thumbnail for each id, `words` of it before what is known of it."""
    images = thumbnails({image_id: sources.dataset.path(image_id) for image_id in ids})
    labels = words or {}
    return [tile(sources, image_id, images.get(image_id, b""), labels.get(image_id, ""), choice) for image_id in ids]


def leaf(ids: Sequence, size: int, key: str) -> tuple[DeltaGenerator, Page]:
    """Draw page numbers, kept in the address as `key`; give the place above them and the page that goes there."""
    place = st.container()
    pages = page_of(ids, 1, size).pages
    if st.session_state.get(key, 1) > pages:
        st.session_state[key] = pages
    number = st.pagination(pages, key=key, bind="query-params", persist_state="page")
    return place, page_of(ids, number, size)
