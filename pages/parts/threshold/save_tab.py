"""Save what was chosen to the bundle; the diagnose page offers it at once."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.saved_points import save_pair, save_single
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.predictions import SPLITS, Predictions
from fracture_core.reporting.threshold_tables import saved_table
from pages.parts.threshold.state import Setting

SINGLE, PAIR = "The threshold", "The triage pair"


def save_tab(bundle: Bundle, splits: Mapping[str, Predictions], setting: Setting, pair: tuple[float, float]) -> None:
    """Draw the form, and what was saved before."""
    what = st.radio(
        "What to save",
        [SINGLE, PAIR],
        key="save_what",
        horizontal=True,
        format_func={
            SINGLE: f"{SINGLE}, {setting.threshold:.3f}",
            PAIR: f"{PAIR}, {pair[0]:.3f} and {pair[1]:.3f}",
        }.get,
    )
    pair_split = st.session_state.get("threshold_pair_split", "val")
    split = setting.split if what == SINGLE else pair_split
    if split == "test":
        st.warning("This was set on the test set and will be saved as chosen on test.")
    with st.form("save_form", border=False):
        name = st.text_input("Name", key="save_name", max_chars=60, placeholder="e.g. A&E, night shift")
        note = st.text_area("Note", key="save_note", max_chars=500, height=80, placeholder="Why this threshold?")
        submitted = st.form_submit_button("Save with the model", key="save", type="primary")
    if submitted:
        try:
            if what == SINGLE:
                save_single(bundle, splits[split].point("", setting.threshold, setting.criterion), name, note)
            else:
                how = f"triage pair set manually, on {SPLITS[split]}"
                save_pair(bundle, *(splits[split].point("", t, how) for t in pair), name, note)
        except FractureCoreError as error:
            st.error(str(error))
        else:
            st.session_state["threshold_saved"] = name
            st.rerun()  # the sidebar offers it at once
    if saved := st.session_state.pop("threshold_saved", None):
        st.success(f"Saved as {saved!r}. Select it on the Diagnose page under Operating point.")
    if points := bundle.chosen_points():
        st.dataframe(saved_table(points), hide_index=True)  # not a table: those read Markdown, and users typed this
    else:
        st.caption("Nothing saved yet. Points are stored with the model; earlier ones are never overwritten.")
