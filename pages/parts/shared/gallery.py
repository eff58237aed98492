"""Rows of small images that can be clicked: one component, so that a page of them is one message."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.parts.shared.elements import plain, script

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "radiograph_gallery",
    html='<div class="gallery" role="list"></div>',
    css=(_HERE / "gallery.css").read_text("utf-8"),
    js=script(_HERE / "gallery.js"),
)


@dataclass(frozen=True)
class Tile:
    """One image (JPEG, b"" where there is none) with its id, a line in words, and whether it is marked.

    `name` stands in place of the id on screen.
    """

    image_id: str
    image: bytes
    words: str
    marked: bool = False
    badge: str = ""
    name: str = ""


def gallery(tiles: Sequence[Tile], key: str, on_pick: Callable[[str], None], *, width: int = 132) -> None:
    """Draw tiles at least `width` pixels wide; `on_pick` gets the image id of the one that was clicked."""

    def picked() -> None:
        chosen = st.session_state[key].get("picked")
        if chosen in {tile.image_id for tile in tiles}:
            on_pick(chosen)

    drawn = [
        {
            "id": tile.image_id,
            "src": f"data:image/jpeg;base64,{b64encode(tile.image).decode()}" if tile.image else "",
            "name": tile.name or tile.image_id,
            "words": tile.words,
            "badge": tile.badge,
            "marked": tile.marked,
        }
        for tile in tiles
    ]
    _component(data=plain(tiles=drawn, width=width), key=key, on_picked_change=picked)
