"""The Training page: the current run on top, below it a new run, a result, or all runs."""

from __future__ import annotations

import streamlit as st

from fracture_core.jobs.status import list_runs
from pages.parts.training.comparison import result
from pages.parts.training.live_run import watch
from pages.parts.training.new_run import new_run
from pages.parts.training.run_table import history

_SECTIONS = {"new": "New run", "result": "Result", "history": "All runs"}


def training_page() -> None:
    """Draw everything."""
    runs = list_runs()
    # The newest run is offered as long as it has not come to its end; one that trains goes before all.
    shown = next((run for run in runs if run.alive), runs[0] if runs and runs[0].resumable else None)
    if shown:
        watch(shown.run)
    section = st.segmented_control(
        "Section",
        list(_SECTIONS),
        default="new",
        required=True,
        key="training_section",
        format_func=_SECTIONS.get,
        label_visibility="collapsed",
        bind="query-params",
        wrap=True,
    )
    if section == "new":
        new_run()
    elif section == "result":
        result(runs)
    else:
        history(runs)
