"""Plot the composition of FracAtlas, with the numbers below each plot."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fracture_core.data.catalogue import PARTS, SPLITS, VIEWS, choice_name
from fracture_core.data.dataset_statistics import (
    LEAST_POSITIVES,
    box_places,
    box_size_table,
    classes_by_part,
    classes_by_split,
    classes_by_view,
    classes_table,
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
from pages.parts.dataset.rail import BROWSE, show_only
from pages.parts.shared.chart import draw

#: The names of bars, and the filter that each stands for.
_FIELDS = ((PARTS, "part"), (VIEWS, "projection"), (SPLITS, "split"), (("hardware",), "hardware"))


def makeup(sources: Sources) -> None:
    """Draw classes by body part, view and split, then sizes of images and boxes."""
    table, survey = sources.table, sources.survey
    st.caption(
        "Select a bar to see its images. A radiograph showing several body parts or views is counted in each. "
        f"No rate is shown for groups with fewer than {LEAST_POSITIVES} fractures."
    )
    _classes("Classes by body part", classes_by_part(table), "by body part")
    _classes("Classes by view, hardware and films with several views", classes_by_view(table), "by view")
    _classes("Balance of the split", classes_by_split(table), "by split")
    if sources.audit is None:
        st.caption("This is the reference study's split. Leaking images are removed once the audit has finished.")
    parts = parts_by_split(table)
    named = (100 * parts).round(1).rename(index=choice_name, columns=choice_name).add_suffix(", %")
    _plot("Body parts in each split", part_bars(parts), named.rename_axis("Split").reset_index(), 330)
    left, right = st.columns(2, gap="large")
    counts = sizes(survey.images)
    with left:
        shown = counts.rename(columns={"size": "Size", "n": "Radiographs"})
        _plot("Image sizes (px, upright)", size_bars(counts), shown, 400)
    with right:
        places = box_places(survey.boxes)
        _plot("Where fractures are outlined", place_map(places), pd.DataFrame(places), 400)
    box_sizes = survey.images["box_size"]
    _plot("Size of the outlined fractures", box_size_bars(box_sizes), box_size_table(box_sizes), 300)


def _classes(title: str, classes: pd.DataFrame, alt: str) -> None:
    st.subheader(title, anchor=False)
    counts, shares = st.columns(2, gap="large")
    with counts:
        draw(
            class_bars(classes),
            f"classes_{alt}",
            on_pick=_pick,
            height=330,
            alt=f"Numbers of fractured and other radiographs {alt}",
        )
    with shares:
        draw(share_dots(classes), f"shares_{alt}", height=330, alt=f"Share of fractured radiographs {alt}")
    _figures(classes_table(classes))


def _pick(bar: object) -> None:
    """Show the images of a bar, (group, class), in the grid."""
    group, label = bar
    field = next((key for names, key in _FIELDS if group in names), None)
    if field:
        show_only(**{field: [group], "label": [label]})
        st.session_state["show"] = BROWSE


def _plot(title: str, figure: go.Figure, figures: pd.DataFrame, height: int) -> None:
    st.subheader(title, anchor=False)
    draw(figure, f"plot_{title}", height=height, alt=title)
    _figures(figures)


def _figures(figures: pd.DataFrame) -> None:
    with st.expander("Show the numbers"):
        st.dataframe(figures, hide_index=True)
