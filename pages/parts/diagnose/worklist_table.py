"""The worklist: many radiographs as a table, a click opens one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import partial

import pandas as pd
import streamlit as st

from fracture_core.reporting.worklist import Entry, to_csv, worklist
from pages.parts.shared.sidebar import Choice, escape_markdown


def offer_table(entries: Sequence[Entry], choice: Choice, keys: Sequence[str]) -> int:
    """Draw the worklist with its keys for previous and next; give the place in `entries` of the one that is open."""
    table = worklist(entries, choice.rule_out, choice.rule_in)
    order = table.index.tolist()
    opened = st.session_state.get("open")
    row = order.index(keys.index(opened)) if opened in keys else 0
    ordered_keys = [keys[place] for place in order]
    _mark(row)
    st.dataframe(
        _shown(table),
        key="worklist",
        on_select=partial(_select, ordered_keys),
        selection_mode="single-row-required",
        hide_index=True,
        height=264,
        row_height=44,
        column_config={
            "picture": st.column_config.ImageColumn("", width=48),
            "file": st.column_config.TextColumn("File"),
            "finding": st.column_config.TextColumn("Finding"),
            "probability": st.column_config.ProgressColumn("Probability", format="percent", min_value=0, max_value=1),
            "notes": st.column_config.TextColumn("Warnings and errors", width="large"),
        },
        alt="Worklist: a row a radiograph, the most suspicious first",
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for label, key, to in (("Previous", "Left", row - 1), ("Next", "Right", row + 1)):
            inside = 0 <= to < len(order)
            st.button(
                label,
                shortcut=key,
                disabled=not inside,
                on_click=_show,
                args=(ordered_keys[to] if inside else None,),
            )
        st.markdown(f"**{row + 1}** of {len(order)}: {escape_markdown(entries[order[row]].name)}")
        st.download_button(
            "Table as CSV",
            to_csv(table),
            "fracture-worklist.csv",
            "text/csv",
            on_click="ignore",
            icon=":material/download:",
        )
    return order[row]


def _mark(row: int) -> None:
    """Select the row of what is open, however it was opened."""
    kept = st.session_state.get("worklist")
    if kept is None or list(kept["selection"]["rows"]) != [row]:
        st.session_state["worklist"] = {"selection": {"rows": [row]}}


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    pictures = ["data:image/png;base64," + b64encode(png).decode() if png else None for png in table["thumbnail"]]
    shown = pd.DataFrame({"picture": pictures, "file": table["file"].tolist()})
    shown["finding"] = table["finding"].tolist()
    shown["probability"] = table["probability"].tolist()
    shown["notes"] = [error or warnings for error, warnings in zip(table["error"], table["warnings"], strict=True)]
    return shown


def _select(keys: Sequence[str]) -> None:
    rows = st.session_state["worklist"]["selection"]["rows"]
    if rows and rows[0] < len(keys):
        _show(keys[rows[0]])


def _show(key: str) -> None:
    st.session_state["open"] = key
