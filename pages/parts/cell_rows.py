"""The radiographs in one cell of the confusion matrix: always as rows, and as pictures where FracAtlas is on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st

from fracture_core.errors import FractureCoreError
from fracture_core.fracatlas import FracAtlas, find_fracatlas
from fracture_core.overlay import overlay, thumbnail, to_png
from fracture_core.predictions import Predictions
from fracture_core.radiograph import read_radiograph
from fracture_core.threshold_tables import CELL_NAMES, rows_table

_PAGE = 8


def show_cell(shown: Predictions, threshold: float) -> None:
    """Draw the opened cell; nothing where none is open."""
    cell = st.session_state.get("threshold_cell")
    if not cell:
        return
    rows = shown.in_cell(cell, threshold)
    st.subheader(f"{CELL_NAMES[cell].capitalize()} ({cell}), {shown.title}: {len(rows)}", anchor=False)
    if rows.empty:
        st.caption("There are none at this threshold.")
        return
    st.caption("Those furthest from the threshold come first.")
    _gallery(list(rows["image_id"]), list(rows["probability"]))
    event = st.dataframe(
        rows_table(rows),
        hide_index=True,
        height=260,
        key=f"rows_{cell}",
        on_select="rerun",
        selection_mode="single-row",
        column_config={"Probability": st.column_config.NumberColumn(format="%.3f")},
    )
    if event.selection.rows and event.selection.rows[0] < len(rows):
        _whole(rows["image_id"][event.selection.rows[0]])


def _gallery(ids: list[str], probabilities: list[float]) -> None:
    try:
        dataset = _dataset(str(find_fracatlas()))
    except FractureCoreError:
        st.info(
            "The pictures are not here: FracAtlas is not on this machine. The Dataset page downloads it, or run "
            "`python -m fracture_core download`. Everything else on this page works without."
        )
        return
    start = _PAGE * (_page_number(len(ids)) - 1)
    columns = st.columns(_PAGE // 2) + st.columns(_PAGE // 2)
    for column, image_id, probability in zip(
        columns, ids[start : start + _PAGE], probabilities[start : start + _PAGE], strict=False
    ):
        try:
            png = _thumbnail(str(dataset.path(image_id)))
        except FractureCoreError as error:
            column.warning(f"{image_id}: {error}")
            continue
        column.image(png, caption=f"{image_id}: {probability:.3f}", width="stretch", alt=f"Radiograph {image_id}")


def _page_number(n: int) -> int:
    pages = -(-n // _PAGE)
    if pages == 1:
        return 1
    st.session_state["cell_page"] = min(st.session_state.get("cell_page", 1), pages)
    return st.pagination(pages, key="cell_page")


def _whole(image_id: str) -> None:
    """Draw one radiograph whole, with the boxes that were drawn round its fractures."""
    try:
        dataset = _dataset(str(find_fracatlas()))
        radiograph = read_radiograph(dataset.path(image_id), accept_cut_short=True)
    except FractureCoreError:
        return
    boxes = dataset.boxes(image_id)
    drawn = overlay(radiograph.pixels, np.zeros(radiograph.pixels.shape, np.float32), "grad-cam", boxes=boxes)
    words = f"{image_id}: the dataset outlines {len(boxes)} fracture(s) on it."
    st.image(to_png(drawn), caption=words, width=min(620, radiograph.pixels.shape[1]), alt=words)


@st.cache_resource(max_entries=1, show_spinner=False)
def _dataset(root: str) -> FracAtlas:
    return FracAtlas(Path(root))


@st.cache_data(max_entries=2000, show_spinner=False)
def _thumbnail(path: str) -> bytes:
    return to_png(thumbnail(read_radiograph(Path(path), accept_cut_short=True).pixels, 256))
