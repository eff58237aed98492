"""The current threshold and when it may be moved: it is chosen on validation and checked on test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.evaluation.predictions import SPLITS, Predictions, split_predictions
from fracture_core.metrics.confusion import CELLS
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.reporting.threshold_live import live_scores

EXACT, SPLIT, UNLOCK, CELL, PAGE = (f"threshold_{name}" for name in ("exact", "split", "unlock", "cell", "page"))
#: The address holds the threshold and the split whose values were on screen when it was set.
_ADDRESS, _ADDRESS_SPLIT = "t", "on"


@dataclass(frozen=True)
class Setting:
    """A threshold, how it was chosen, and the split whose values were on screen then."""

    threshold: float
    criterion: str
    split: str = "val"


@st.cache_resource(max_entries=4, show_spinner=False)
def predictions_of(version: str, _bundle: Bundle) -> dict[str, Predictions]:
    """Return both splits of a model, with whatever was computed of them, once for all sessions."""
    return split_predictions(_bundle)


@st.cache_resource(max_entries=8, show_spinner=False)
def scores_of(version: str, split: str, points: tuple[OperatingPoint, ...], _bundle: Bundle) -> dict[str, Any]:
    """Return what the browser needs of a split, once for all sessions."""
    return live_scores(predictions_of(version, _bundle)[split], points)


def points_of(bundle: Bundle) -> tuple[OperatingPoint, ...]:
    """Return the operating points that can be gone to: the model's own, then the saved ones."""
    return (*bundle.points.values(), *bundle.chosen_points())


def current(bundle: Bundle) -> Setting:
    """Return the current setting; a newly chosen model starts at its own single threshold, or at the address's."""
    if st.session_state.get("threshold_bundle") != bundle.version:
        first = "threshold_bundle" not in st.session_state
        st.session_state["threshold_bundle"] = bundle.version
        for key in ("threshold_pair", "threshold_pair_split", CELL):
            st.session_state.pop(key, None)
        go_to_point(bundle.points["single"])
        if first and (asked := _from_address()):
            st.session_state["threshold_setting"] = asked
    return st.session_state["threshold_setting"]


def keep_in_address(setting: Setting, bundle: Bundle) -> None:
    """Write the threshold to the address, unless it is the one that the page opens at."""
    if setting.threshold == bundle.points["single"].threshold:
        st.query_params.pop(_ADDRESS, None)
        st.query_params.pop(_ADDRESS_SPLIT, None)
    elif st.query_params.get(_ADDRESS) != repr(setting.threshold):
        st.query_params.update({_ADDRESS: repr(setting.threshold), _ADDRESS_SPLIT: setting.split})


def _from_address() -> Setting | None:
    threshold = _share(st.query_params.get(_ADDRESS))
    split = st.query_params.get(_ADDRESS_SPLIT, "val")
    if threshold is None or split not in SPLITS:
        return None
    return Setting(threshold, f"from a shared address, on {SPLITS[split]}", split)


def split_choice() -> str:
    """Draw the choice of split with its purpose; return "val" or "test"."""
    return st.segmented_control(
        "Data",
        list(SPLITS),
        default="val",
        required=True,
        key=SPLIT,
        format_func={"val": "Validation (choose here)", "test": "Test (check here)"}.get,
        help="If you choose a threshold on the test set, no unseen images are left to test it.",
    )


def unlocked(split: str) -> bool:
    """Return whether the threshold may be moved; on test only after the user asked for it."""
    if split == "val":
        return True
    return st.toggle(
        "Allow changes on the test set",
        key=UNLOCK,
        help="A threshold chosen this way is marked as chosen on test, here and when saved.",
    )


def exact_field(setting: Setting, *, locked: bool) -> None:
    """Draw a number field with the setting's threshold."""
    if st.session_state.get(EXACT) != min(setting.threshold, 1.0):
        st.session_state[EXACT] = min(setting.threshold, 1.0)
    st.number_input(
        "Exact value", 0.0, 1.0, step=0.01, format="%.4f", key=EXACT, on_change=_typed, disabled=locked, width=150
    )


def go_to_point(point: OperatingPoint) -> None:
    """Set the threshold to a point's, with its criterion and split."""
    st.session_state["threshold_setting"] = Setting(point.threshold, point.criterion, point.split)


def browser_event(event: str, value: Any, bundle: Bundle) -> None:
    """Apply what the user did in the browser.

    Args:
        event: "moved" (value: "threshold", and "point" where one was chosen), "cell" (one of CELLS, or "none"),
            "page" or "film".
        value: What came with it; anything invalid is ignored.
        bundle: The model on screen.
    """
    if event == "moved" and isinstance(value, Mapping):
        _moved(value, bundle)
    elif event == "cell" and value in (*CELLS, "none"):
        st.session_state[CELL] = value if value in CELLS else None
        st.session_state[PAGE] = 1
    elif event == "page" and isinstance(value, int):
        st.session_state[PAGE] = value
    elif event == "film" and isinstance(value, str):
        st.session_state["threshold_film"] = value


def _moved(value: Mapping[str, Any], bundle: Bundle) -> None:
    threshold = _share(value.get("threshold"))
    if threshold is None or _locked():
        return
    named = [point for point in points_of(bundle) if point.name == value.get("point")]
    if named:
        go_to_point(named[0])
    else:
        _set(threshold)


def _typed() -> None:
    _set(st.session_state[EXACT])


def _set(threshold: float) -> None:
    split = st.session_state.get(SPLIT, "val")
    st.session_state["threshold_setting"] = Setting(threshold, f"set manually, on {SPLITS[split]}", split)


def _share(value: Any) -> float | None:
    """Return a number from 0 to 1, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and 0 <= number <= 1 else None


def _locked() -> bool:
    return st.session_state.get(SPLIT) == "test" and not st.session_state.get(UNLOCK)
