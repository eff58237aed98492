"""The radiographs in one cell of the confusion matrix: always as rows, and as pictures where FracAtlas is on disk."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.data.thumbnails import thumbnails
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.predictions import Predictions
from fracture_core.reporting.threshold_tables import CELL_NAMES, rows_table

_PAGE = 10
#: Pixels: five side by side on a laptop, two on a telephone.
_SIDE = 148


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
    st.caption("Those furthest from the threshold come first. Below each picture: its probability.")
    _gallery(rows)
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
        image_id = rows["image_id"][event.selection.rows[0]]
        label = f"{image_id} whole, with its outlined fractures and the heatmap"
        st.page_link("pages/dataset.py", label=label, query_params={"image": image_id}, icon=":material/image_search:")


def _gallery(rows: pd.DataFrame) -> None:
    try:
        dataset = _dataset(str(find_fracatlas()))
    except FractureCoreError:
        st.info(
            "The pictures are not here: FracAtlas is not on this machine. The Dataset page downloads it, or run "
            "`python -m fracture_core download`. Everything else on this page works without."
        )
        return
    start = _PAGE * (_page_number(len(rows)) - 1)
    page = rows.iloc[start : start + _PAGE]
    paths = {i: dataset.path(i) for i in page["image_id"] if i in dataset.table.index}
    pictures = thumbnails(paths)
    with st.container(horizontal=True, gap="small", key="gallery"):
        for image_id, probability in zip(page["image_id"], page["probability"], strict=True):
            if image_id in pictures:
                caption = f"{image_id}: {probability:.3f}"
                st.image(pictures[image_id], caption=caption, width=_SIDE, alt=f"Radiograph {image_id}")
            else:
                st.caption(f"{image_id} cannot be read.", width=_SIDE)


def _page_number(n: int) -> int:
    pages = -(-n // _PAGE)
    if pages == 1:
        return 1
    if st.session_state.get("cell_page", 1) > pages:
        del st.session_state["cell_page"]
    return st.pagination(pages, key="cell_page")


@st.cache_resource(max_entries=2, show_spinner=False)
def _dataset(root: str) -> FracAtlas:
    return FracAtlas(Path(root))
