"""Plot how often the heatmap points at the fracture, by fracture size, beside the image centre."""

from __future__ import annotations

import streamlit as st

from fracture_core.data.catalogue import choice_name
from fracture_core.data.dataset_statistics import pointing, pointing_table
from fracture_core.explain.heatmap_methods import METHODS
from fracture_core.reporting.dataset_charts import pointing_dots
from pages.parts.dataset.cache import Sources
from pages.parts.dataset.one_of import one_of
from pages.parts.shared.chart import draw

_SPLITS = ("test", "val")


def localisation(sources: Sources) -> None:
    """Draw the pointing game of each heatmap method that the bundle recorded."""
    if sources.bundle is None:
        st.info("No model is installed, so there is no heatmap to compare with the boxes.")
        return
    split = one_of("Images", _SPLITS, "pointing", words=choice_name)
    st.markdown(
        "For radiographs with outlined fractures: how often the hottest point of the heatmap lies in a box, and how "
        "often the image centre does (a baseline that ignores the image). Thirds by the side of the largest box."
    )
    table = pointing(sources.bundle.predictions(), sources.survey.images, split)
    if not table:
        st.info("This model's predictions do not record where its heatmaps point.")
    for method, rows in table.items():
        title = METHODS[method].title if method in METHODS else method
        st.subheader(title, anchor=False)
        draw(pointing_dots(rows, title), f"pointing_{method}", height=360, alt=f"How often {title} points into a box")
        st.dataframe(pointing_table(rows), hide_index=True)
