"""The new bundle's worst errors, as images where the run's dataset is on disk."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.data.combined.sources import Sources
from fracture_core.data.dataset import Dataset, open_sources
from fracture_core.data.thumbnails import thumbnails
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.bundle_comparison import BundleComparison
from fracture_core.jobs.control import Job
from pages.parts.shared.fracatlas_cache import fracatlas
from pages.parts.shared.sidebar import escape_markdown

_SIDE = 148
_IMAGES = 8


def worst(new: Bundle, comparison: BundleComparison, run: Path, place: int = 0) -> None:
    """Draw the errors that lie furthest from the threshold; `place` numbers the test part on the page."""
    st.subheader(f"Largest errors of {escape_markdown(new.name)}", anchor=False)
    table = comparison.worst
    if table.empty:
        st.caption("No errors on these images at this threshold.")
        return
    with st.container(horizontal=True, gap="small", key=f"worst_{place}"):
        for image_id, error, image in _images(table.head(_IMAGES), run):
            if image:
                st.image(
                    image, caption=f"{escape_markdown(image_id)}: {error}", width=_SIDE, alt=f"Radiograph {image_id}"
                )
    st.dataframe(
        table,
        hide_index=True,
        key=f"worst_rows_{place}",
        column_config={
            "image_id": "Radiograph",
            "error": "Error",
            "new": st.column_config.NumberColumn(f"Probability, {comparison.new}", format="%.3f"),
            "current": st.column_config.NumberColumn(f"Probability, {comparison.current}", format="%.3f"),
        },
    )


def _images(table, run: Path) -> list[tuple[str, str, object]]:
    rows = list(zip(table["image_id"], table["error"], strict=True))
    asked = Job.read(run)
    try:
        named = asked.sources if asked else Sources()
        dataset = fracatlas() if named == Sources() else _dataset(named)
        paths = {image_id: dataset.path(image_id) for image_id, _ in rows if image_id in dataset.table.index}
    except FractureCoreError:
        return []  # not on this machine any more; the table says enough
    shown = thumbnails(paths)
    return [(image_id, error, shown.get(image_id)) for image_id, error in rows]


@st.cache_resource(max_entries=2, show_spinner=False)
def _dataset(sources: Sources) -> Dataset:
    return open_sources(sources)
