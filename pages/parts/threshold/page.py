"""The slider and all that moves with it, in one fragment: releasing it redraws only this part of the page."""

from __future__ import annotations

import zlib

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.evaluation.predictions import SPLITS, Predictions
from fracture_core.reporting.threshold_live import live_table, open_films_text
from fracture_core.reporting.threshold_tables import figures_csv
from pages.parts.shared.sidebar import Choice, use_here
from pages.parts.threshold.confusion_cell import films
from pages.parts.threshold.live import hand_over, live
from pages.parts.threshold.state import (
    CELL,
    PAGE,
    Setting,
    browser_event,
    current,
    exact_field,
    keep_in_address,
    points_of,
    predictions_of,
    scores_of,
    split_choice,
    unlocked,
)
from pages.parts.threshold.tabs import tabs


def scores(bundle: Bundle) -> None:
    """Send the browser the scores of both splits, before `lab` is drawn and outside of it."""
    points = points_of(bundle)
    with st.container(key="scores"):
        for split in SPLITS:
            hand_over(_scores_key(bundle, split), scores_of(bundle.version, split, points, bundle))


def _scores_key(bundle: Bundle, split: str) -> str:
    # A point that was saved, renamed or deleted makes other scores: its mark is on the charts.
    named = ",".join(point.name for point in points_of(bundle))
    return f"{bundle.version}-{split}-{zlib.crc32(named.encode())}"


@st.fragment
def lab(choice: Choice) -> None:
    """Draw everything that depends on the threshold."""
    bundle = choice.bundle
    if st.session_state.pop("threshold_changed", False):
        st.rerun(scope="app")
    if st.session_state.pop("threshold_to_diagnose", False):
        st.switch_page("pages/diagnose.py")
    if film := st.session_state.pop("threshold_film", None):
        st.switch_page("pages/dataset.py", query_params={"image": film})
    setting = current(bundle)
    keep_in_address(setting, bundle)
    splits = predictions_of(bundle.version, bundle)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        split = split_choice()
        locked = not unlocked(split)
        exact_field(setting, locked=locked)
        _on_diagnose(choice, setting)
    shown = splits[split]
    _say_which(shown, setting, locked=locked)
    _live(bundle, shown, setting, locked=locked)
    _below(bundle, shown, setting)
    tabs(bundle, splits, shown, setting)


def _say_which(shown: Predictions, setting: Setting, *, locked: bool) -> None:
    counted = f"**{len(shown)} {shown.title} radiographs, {shown.fractured} with a fracture.**"
    if shown.split == "val":
        st.markdown(
            f"{counted} All values above the tabs are computed on these. Choose the threshold here, then check it on "
            "the test set."
        )
    elif locked:
        st.markdown(f"{counted} They were not used for any choice, so the threshold is locked while you view them.")
    else:
        st.warning(
            f"{counted} A threshold chosen on the test set is no longer tested by it. A threshold you set now is "
            "marked.",
            icon=":material/warning:",
        )
    if setting.split == "test":
        st.warning("This threshold was set on the test set, so its test results are optimistic.")


def _live(bundle: Bundle, shown: Predictions, setting: Setting, *, locked: bool) -> None:
    threshold, cell = min(setting.threshold, 1.0), st.session_state.get(CELL)
    live(
        _scores_key(bundle, shown.split),
        {
            "threshold": threshold,
            "locked": locked,
            "cell": cell or "",
            "table": live_table(shown.confusion(threshold)),
            "films": films(shown, threshold, cell, st.session_state.get(PAGE, 1)),
        },
        lambda event, value: browser_event(event, value, bundle),
    )


def _on_diagnose(choice: Choice, setting: Setting) -> None:
    """Draw the button that uses the threshold on Diagnose, and what it changes there."""
    bundle = choice.bundle
    st.button(
        f"Use {setting.threshold:.3f} on Diagnose",
        key="use_on_diagnose",
        type="primary",
        icon=":material/radiology:",
        on_click=_use,
        args=(bundle, setting),
        help="For this session. Save it under Save to keep it.",
    )
    if "films" in st.session_state:
        entries = st.session_state["films"].entries(bundle.version).values()
        st.markdown(open_films_text(entries, choice.rule_in.threshold, setting.threshold), width="stretch")


def _below(bundle: Bundle, shown: Predictions, setting: Setting) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            "Drag the slider, or select a curve, a marker or a place in the histogram to set that threshold. The "
            "diamond is the reference study's published result on its 817 test images. Hover over a plot to save it as "
            "PNG. 95 % CI: Wilson for rates, bootstrap for the last three.",
            width="stretch",
        )
        st.download_button(
            "Metrics as CSV",
            lambda: figures_csv(shown, setting.threshold, bundle.version),
            f"{bundle.name}-{shown.title}-{setting.threshold:.4f}.csv",
            "text/csv",
            key="figures_csv",
            on_click="ignore",
            icon=":material/download:",
        )


def _use(bundle: Bundle, setting: Setting) -> None:
    """Go on to the Diagnose page with this threshold."""
    split = predictions_of(bundle.version, bundle)[setting.split]
    use_here(bundle, split.point("from the Threshold page", setting.threshold, setting.criterion))
    st.session_state["threshold_to_diagnose"] = True
