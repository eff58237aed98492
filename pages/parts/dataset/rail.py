"""The filters beside the grid: every choice with the number of images it would show, kept in the address."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from fracture_core.data.catalogue import Filters, choice_name, facet_counts
from pages.parts.shared.elements import script

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "dataset_rail",
    html='<div class="rail"></div>',
    css=(_HERE / "rail.css").read_text("utf-8"),
    js=script(_HERE / "rail.js"),
)
#: Name in the address, and heading, of each field of `Filters`.
FIELDS = {
    "labels": ("label", "Reference label"),
    "outcomes": ("answer", "Model's answer"),
    "parts": ("part", "Body part"),
    "views": ("projection", "View"),
    "counts": ("fractures", "Number of fractures"),
    "hardware": ("hardware", "Hardware"),
    "splits": ("split", "Split"),
    "defects": ("defect", "Defect"),
}
#: Name of the section that has the rail and the grid.
BROWSE = "Browse"
_LOW, _HIGH, _SEARCH = "p_from", "p_to", "id"


def asked_filters() -> Filters:
    """Return the filters that the address names; what it names wrongly is passed over."""
    named = {field: tuple(st.query_params.get_all(key)) for field, (key, _) in FIELDS.items()}
    low, high = _number(_LOW, 0.0), _number(_HIGH, 1.0)
    return Filters(**named, probability=(min(low, high), max(low, high)), search=st.query_params.get(_SEARCH, ""))


def show_only(**wanted: list[str] | str) -> None:
    """Set the address to these filters and no others; `wanted` by name in the address."""
    clear()
    for key, value in wanted.items():
        st.query_params[key] = value


def clear() -> None:
    """Take every filter out of the address."""
    for key in (*(key for key, _ in FIELDS.values()), _LOW, _HIGH, _SEARCH, "page"):
        st.query_params.pop(key, None)


def rail(table: pd.DataFrame, filters: Filters, *, predictions: bool) -> None:
    """Draw the filters; without `predictions` those of the model's answer are left out."""
    _search(filters)
    if predictions:
        _range(filters)
    counts = facet_counts(table, filters)
    groups = [
        {
            "key": key,
            "title": title,
            "choices": [
                {"value": name, "label": choice_name(name), "n": n, "on": name in getattr(filters, field)}
                for name, n in counts[field].items()
            ],
        }
        for field, (key, title) in FIELDS.items()
        if predictions or field != "outcomes"
    ]
    _component(data={"groups": groups}, key="rail", on_picked_change=_picked)
    st.caption("Upper and lower limb (FracAtlas: hand and leg).")
    st.button("Clear all filters", on_click=clear, icon=":material/filter_alt_off:", key="clear")


def _picked() -> None:
    """Add a choice to its field in the address, or take it out."""
    picked = st.session_state["rail"].get("picked") or {}
    key, value = picked.get("key"), picked.get("value")
    if key not in {key for key, _ in FIELDS.values()} or not isinstance(value, str):
        return
    chosen = st.query_params.get_all(key)
    st.query_params[key] = [other for other in chosen if other != value] if value in chosen else [*chosen, value]
    if not st.query_params.get_all(key):
        st.query_params.pop(key, None)
    first_page()


def first_page() -> None:
    """Go back to the first page of the grid."""
    st.query_params.pop("page", None)
    st.session_state["page"] = 1


def _search(filters: Filters) -> None:
    st.session_state["search"] = filters.search
    st.text_input(
        "Image id, or part of it",
        key="search",
        placeholder="3298, or 19, 20",
        on_change=_searched,
        icon=":material/search:",
    )


def _searched() -> None:
    first_page()
    if text := st.session_state["search"].strip():
        st.query_params[_SEARCH] = text
    else:
        st.query_params.pop(_SEARCH, None)


def _range(filters: Filters) -> None:
    st.session_state["probability"] = filters.probability
    st.slider("Model's probability", 0.0, 1.0, step=0.01, key="probability", on_change=_ranged)


def _ranged() -> None:
    low, high = st.session_state["probability"]
    for key, value, whole in ((_LOW, low, 0.0), (_HIGH, high, 1.0)):
        if value == whole:
            st.query_params.pop(key, None)
        else:
            st.query_params[key] = f"{value:g}"
    first_page()


def _number(key: str, otherwise: float) -> float:
    try:
        number = float(st.query_params.get(key, otherwise))
    except ValueError:
        return otherwise
    return number if 0 <= number <= 1 else otherwise
