"""The radiographs in one cell of the confusion matrix, as small images where FracAtlas is on disk and as rows."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pandas as pd
import streamlit as st

from fracture_core.data.thumbnails import thumbnails
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.predictions import Predictions
from fracture_core.pagination import page_of
from fracture_core.reporting.threshold_tables import CELL_NAMES, rows_table
from pages.parts.shared.fracatlas_cache import fracatlas

_PAGE = 12
_NOT_INSTALLED = (
    "The images cannot be shown because FracAtlas is not installed. Download it on the Dataset page or run "
    "`python -m fracture_core download`. Everything else on this page works without it."
)


def films(shown: Predictions, threshold: float, cell: str | None, number: int) -> dict[str, Any]:
    """Return a page of the radiographs in the open cell, as the live part draws them.

    Args:
        shown: The split on screen.
        threshold: A calibrated probability.
        cell: The open cell, or None.
        number: The page, from 1.
    """
    if not cell:
        hint = "Select a cell of the matrix to see its radiographs here."
        return {"title": "Radiographs", "note": hint, "tiles": [], "page": 1, "pages": 1}
    rows = shown.in_cell(cell, threshold)
    title = f"{CELL_NAMES[cell].capitalize()} ({cell}), {shown.title}: {len(rows)}"
    page = page_of(rows.index, number, _PAGE)
    part = rows.loc[list(page.ids)]
    images = _images(part["image_id"])
    note = "Furthest from the threshold first. The probability is below each image."
    if rows.empty:
        note = "No radiographs in this cell at this threshold."
    elif images is None:
        note = _NOT_INSTALLED.replace("`", "")
    tiles = [
        {"id": image_id, "probability": f"{probability:.3f}", "src": (images or {}).get(image_id, "")}
        for image_id, probability in zip(part["image_id"], part["probability"], strict=True)
    ]
    return {"title": title, "note": note, "tiles": tiles, "page": page.number, "pages": page.pages}


def cell_rows(shown: Predictions, threshold: float, cell: str | None) -> None:
    """Draw every radiograph of the open cell as a row; a selected one can be opened on the Dataset page."""
    if not cell:
        st.caption("Select a cell of the confusion matrix to list its radiographs.")
        return
    rows = shown.in_cell(cell, threshold)
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
        label = f"Open {image_id} with its outlined fractures and the heatmap"
        st.page_link("pages/dataset.py", label=label, query_params={"image": image_id}, icon=":material/image_search:")


def _images(image_ids: pd.Series) -> dict[str, str] | None:
    """Thumbnails by id as data URLs; None where FracAtlas is not installed."""
    try:
        dataset = fracatlas()
    except FractureCoreError:
        return None
    paths = {image_id: dataset.path(image_id) for image_id in image_ids if image_id in dataset.table.index}
    images = thumbnails(paths)
    return {image_id: f"data:image/jpeg;base64,{b64encode(images[image_id]).decode()}" for image_id in images}
