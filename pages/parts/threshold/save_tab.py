"""Save the chosen threshold with the bundle; the Diagnose page offers it at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.saved_points import delete_saved, offered, save_pair, save_single
from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.monitoring.reference import rename_calibration
from fracture_core.evaluation.predictions import SPLITS, Predictions
from fracture_core.metrics.operating_points import OperatingPoint
from fracture_core.reporting.threshold_tables import saved_table
from pages.parts.shared.sidebar import escape_markdown
from pages.parts.threshold.state import Setting

SINGLE, PAIR = "The threshold", "The triage pair"


def save_tab(bundle: Bundle, splits: Mapping[str, Predictions], setting: Setting, pair: tuple[float, float]) -> None:
    """Draw the form, and the saved points."""
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
        _change(bundle, points)
    else:
        st.caption("Nothing saved yet. Points are stored with the model; earlier ones are never overwritten.")


def _change(bundle: Bundle, points: Sequence[OperatingPoint]) -> None:
    """Draw the ways to rename and to delete a saved point or pair."""
    if refusal := st.session_state.pop("threshold_refused", None):
        st.error(escape_markdown(refusal))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox("Saved point", list(offered(points)), key="saved_point", width=260)
        # Keyed by the point, so that they close once it has another name or is gone, and what is pressed twice does
        # nothing to the next point.
        with st.popover("Rename", icon=":material/edit:", key=f"saved_rename_{name}"):
            st.text_input("New name", key="saved_new_name", max_chars=60)
            st.button("Rename", key=f"saved_rename {name}", on_click=_rename, args=(bundle, name))
        with st.popover("Delete", icon=":material/delete:", key=f"saved_delete_{name}"):
            st.markdown(f"Delete {escape_markdown(name)}? It is no longer offered on the Diagnose page.")
            st.button(
                "Yes, delete it",
                type="primary",
                key=f"saved_delete {name}",
                on_click=_try,
                args=(delete_saved, bundle, name),
            )


def _rename(bundle: Bundle, name: str) -> None:
    # Read now: what was typed last came together with the press.
    _try(rename_calibration, bundle, name, st.session_state["saved_new_name"])


def _try(act: Callable[..., None], *arguments: object) -> None:
    try:
        act(*arguments)
    except FractureCoreError as error:
        st.session_state["threshold_refused"] = str(error)
    st.session_state["threshold_changed"] = True  # the sidebar offers the same points: the whole page is drawn again
