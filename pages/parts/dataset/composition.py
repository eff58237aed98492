"""What FracAtlas is made of, plotted; each plot's figures stand under it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fracture_core.data.dataset_statistics import (
    LEAST_POSITIVES,
    box_places,
    classes_by_part,
    classes_by_split,
    classes_by_view,
    parts_by_split,
    sizes,
)
from fracture_core.reporting.dataset_charts import (
    box_size_bars,
    class_bars,
    part_bars,
    place_map,
    share_dots,
    size_bars,
)
from pages.parts.dataset.cache import Sources


def makeup(sources: Sources) -> None:
    """Draw classes by body part, view and split, then sizes of pictures and boxes."""
    table, survey = sources.table, sources.survey
    st.caption(
        "A radiograph that shows several body parts or views counts in each of them. "
        f"Groups with fewer than {LEAST_POSITIVES} fractured radiographs get no rate."
    )
    _classes("Classes by body part", classes_by_part(table), "by body part")
    _classes("Classes by view, hardware and films with several views", classes_by_view(table), "by view")
    _classes("Balance of the split", classes_by_split(table), "by split")
    if sources.audit is None:
        st.caption("This is the reference study's split; what leaks will leave it once the audit is done.")
    parts = parts_by_split(table)
    _plot("Body parts in each part of the split", part_bars(parts), parts.round(3), 330)
    left, right = st.columns(2, gap="large")
    counts = sizes(survey.pictures)
    with left:
        _plot("Sizes of the pictures (pixels, upright)", size_bars(counts), counts, 400)
    with right:
        places = box_places(survey.boxes)
        _plot("Where fractures are outlined", place_map(places), pd.DataFrame(places), 400)
    box_sizes = survey.pictures["box_size"]
    described = box_sizes.describe().rename("side of the largest box, share of the picture's").to_frame().round(4)
    _plot("How large the outlined fractures are", box_size_bars(box_sizes), described, 300)


def _classes(title: str, classes: pd.DataFrame, alt: str) -> None:
    st.subheader(title, anchor=False)
    counts, shares = st.columns(2, gap="large")
    with counts:
        st.echarts_chart(class_bars(classes), height=330, alt=f"Numbers of fractured and other radiographs {alt}")
    with shares:
        st.echarts_chart(share_dots(classes), height=330, alt=f"Share of fractured radiographs {alt}")
    _figures(classes)


def _plot(title: str, option: dict[str, Any], figures: pd.DataFrame, height: int) -> None:
    st.subheader(title, anchor=False)
    st.echarts_chart(option, height=height, alt=title)
    _figures(figures)


def _figures(figures: pd.DataFrame) -> None:
    with st.expander("The figures"):
        st.dataframe(figures, hide_index="group" in figures or "size" in figures)
