"""The threshold that the page stands at, and who may move it: validation's figures choose, test's figures check."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.evaluation.predictions import SPLITS, Predictions, split_predictions
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.reporting.threshold_charts import Chart

SLIDER, EXACT, SPLIT, UNLOCK = "threshold_slider", "threshold_exact", "threshold_split", "threshold_unlock"


@dataclass(frozen=True)
class Setting:
    """A threshold, how it was come by, and the split whose figures were on screen then."""

    threshold: float
    criterion: str
    split: str = "val"


@st.cache_resource(max_entries=4, show_spinner=False)
def predictions_of(version: str, _bundle: Bundle) -> dict[str, Predictions]:
    """Both splits of a bundle, with whatever was computed of them, once for all sessions."""
    return split_predictions(_bundle)


def current(bundle: Bundle) -> Setting:
    """Where the page stands; a newly chosen bundle starts at its own single threshold."""
    if st.session_state.get("threshold_bundle") != bundle.version:
        st.session_state["threshold_bundle"] = bundle.version
        for key in ("threshold_pair", "threshold_pair_split"):
            st.session_state.pop(key, None)
        go_to_point(bundle.points["single"])
    return st.session_state["threshold_setting"]


def split_choice() -> str:
    """Draw the choice of split, and say what it is for; give "val" or "test"."""
    split = st.segmented_control(
        "Figures from",
        list(SPLITS),
        default="val",
        required=True,
        key=SPLIT,
        format_func={"val": "Validation: choose here", "test": "Test: check here"}.get,
        help="A threshold chosen by its test figures has no untouched images left to be tested on.",
    )
    return split


def unlocked(split: str) -> bool:
    """Whether the threshold may be moved; on test only after the user asked for it."""
    if split == "val":
        return True
    return st.toggle(
        "Move the threshold while looking at test",
        key=UNLOCK,
        help="What you then choose is marked as chosen on test, here and where it is saved.",
    )


def controls(setting: Setting, *, locked: bool) -> None:
    """Draw slider and number field, both at the setting."""
    for key in (SLIDER, EXACT):
        if st.session_state.get(key) != min(setting.threshold, 1.0):
            st.session_state[key] = min(setting.threshold, 1.0)
    wide, narrow = st.columns([4, 1], vertical_alignment="bottom")
    wide.slider(
        "Threshold: called fractured at or above this probability",
        0.0,
        1.0,
        step=0.001,
        format="%.3f",
        key=SLIDER,
        on_change=_moved,
        args=(SLIDER,),
        disabled=locked,
    )
    narrow.number_input(
        "Exactly", 0.0, 1.0, step=0.01, format="%.4f", key=EXACT, on_change=_moved, args=(EXACT,), disabled=locked
    )


def go_to_point(point: OperatingPoint) -> None:
    """Stand at a point; its criterion and split come along."""
    st.session_state["threshold_setting"] = Setting(point.threshold, point.criterion, point.split)


def clicked(key: str, chart: Chart) -> None:
    """Go where a plot was clicked."""
    drawn = st.session_state.get("threshold_bundle"), st.session_state.get(SPLIT)
    before, kept = st.session_state.pop(f"{key}_picked", (None, None))
    picked = st.session_state[key].selection.selected
    if not picked and before == drawn:
        # A click on the mark set last takes it away again; the reader still means that place. A plot of other
        # predictions loses its mark as well, but then nobody has clicked.
        picked = kept
    if not picked or _locked():
        return
    st.session_state[f"{key}_picked"] = drawn, picked
    threshold = chart.threshold_at(picked[0]["series_name"], picked[0]["data_indices"][0])
    if threshold is not None:
        _set(threshold, "picked on a plot")


def _moved(key: str) -> None:
    _set(st.session_state[key], "set by hand")


def _set(threshold: float, how: str) -> None:
    split = st.session_state.get(SPLIT, "val")
    st.session_state["threshold_setting"] = Setting(threshold, f"{how}, looking at {SPLITS[split]}", split)


def _locked() -> bool:
    return st.session_state.get(SPLIT) == "test" and not st.session_state.get(UNLOCK)
