"""The worklist: thumbnails with shape, colour and per cent; a click opens one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from fracture_core.formatting import format_percent
from fracture_core.reporting.finding_text import NEEDS_YOU, WITH_CAUTION, capitalised, kind_of
from fracture_core.reporting.worklist import Entry
from pages.parts.diagnose.finding_card import SHAPES
from pages.parts.shared.elements import plain, script
from pages.parts.shared.sidebar import Choice

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "radiograph_worklist",
    html='<div class="list" role="listbox" aria-label="Worklist"></div>',
    css=(_HERE / "worklist.css").read_text("utf-8"),
    js=script(_HERE / "worklist.js"),
)


def worklist_pane(keys: Sequence[str], entries: Sequence[Entry], choice: Choice, opened: str) -> None:
    """Draw a row for each entry, in this order; the one that is clicked becomes the open one."""

    def picked() -> None:
        chosen = st.session_state["worklist"].get("picked")
        if chosen in keys:
            st.session_state["open"] = chosen

    rows = [_row(key, entry, choice) | {"open": key == opened} for key, entry in zip(keys, entries, strict=True)]
    _component(data=plain(rows=rows), key="worklist", on_picked_change=picked)


def _row(key: str, entry: Entry, choice: Choice) -> dict[str, object]:
    words = entry.finding(choice.rule_out, choice.rule_in)
    kind = kind_of(words)
    colour, shape = SHAPES[kind]
    return {
        "key": key,
        "name": entry.name,
        "kind": kind,
        "words": f"{capitalised(words)}. {WITH_CAUTION}." if entry.doubted else capitalised(words),
        "caution": WITH_CAUTION if entry.doubted else "",
        "share": format_percent(entry.probability) if entry.assessed else "",
        "short": "" if entry.assessed else NEEDS_YOU,
        "colour": colour,
        "shape": shape,
        "reading": entry.reader_finding,
        "thumbnail": "data:image/png;base64," + b64encode(entry.thumbnail).decode() if entry.thumbnail else "",
    }
