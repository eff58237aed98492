"""Images of FracAtlas as tiles of a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fracture_core.data.catalogue import Page, page_of, tags
from fracture_core.data.thumbnails import thumbnails
from pages.parts.dataset.cache import Sources
from pages.parts.shared.gallery import Tile


def tile(sources: Sources, image_id: str, picture: bytes, more: str = "") -> Tile:
    """Give the tile of an image, with what is worth a word of it."""
    row = sources.table.loc[image_id]
    marked = bool(row["label"])
    words = ", ".join(([more] if more else []) + tags(row))
    return Tile(image_id, picture, words, marked, "fractured" if marked else "")


def tiles(sources: Sources, ids: Sequence[str], words: Mapping[str, str] | None = None) -> list[Tile]:
    """Give a tile with its thumbnail for each id, `words` of it before what is known of it."""
    pictures = thumbnails({image_id: sources.dataset.path(image_id) for image_id in ids})
    return [tile(sources, image_id, pictures.get(image_id, b""), (words or {}).get(image_id, "")) for image_id in ids]


def leaf(ids: Sequence, size: int, key: str) -> tuple[DeltaGenerator, Page]:
    """Draw page numbers, kept in the address as `key`; give the place above them and the page that goes there."""
    place = st.container()
    pages = page_of(ids, 1, size).pages
    if st.session_state.get(key, 1) > pages:
        st.session_state[key] = pages
    number = st.pagination(pages, key=key, bind="query-params", persist_state="page")
    return place, page_of(ids, number, size)
