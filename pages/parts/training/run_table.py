"""All runs: metrics, recipe differences, overlaid curves, notes, and deletion."""

from __future__ import annotations

import zlib
from pathlib import Path

import streamlit as st

from fracture_core.bundle.loading import current_bundle
from fracture_core.errors import FractureCoreError
from fracture_core.jobs import launcher as job
from fracture_core.jobs.history import delete_run, history_rows, note, recipe_differences, rename_run, write_note
from fracture_core.jobs.status import RunStatus
from fracture_core.paths import models_folder
from fracture_core.reporting.training_charts import overlaid
from fracture_core.reporting.training_text import history_table
from fracture_core.training.run_folder import RunFolder
from pages.parts.shared.chart import draw
from pages.parts.shared.sidebar import escape_markdown
from pages.parts.training.attempt import attempt, show_failure

_FIGURES = {"val_auc": "AUC on validation", "val_loss": "loss on validation", "loss": "loss in training"}


def history(runs: list[RunStatus]) -> None:
    """Draw the table of runs, and details of the selected ones."""
    st.subheader("All runs", anchor=False)
    show_failure("runs")
    if not runs:
        st.info("No runs yet.")
        return
    st.caption("Select one to edit its note, or several to compare recipes and curves.")
    # Another list is another table: a selection by row would pass to the run that stands there now.
    listed = zlib.crc32("/".join(run.name for run in runs).encode())
    with st.container(key="runs_table"):
        event = st.dataframe(
            history_table(history_rows(runs, models_folder()), current_bundle(models_folder())),
            hide_index=True,
            key=f"runs_table {listed}",
            placeholder="–",
            on_select="rerun",
            selection_mode="multi-row",
            column_config={
                name: st.column_config.NumberColumn(format="%.3f") for name in ("Validation AUC", "Test AUC")
            },
        )
    chosen = [runs[row] for row in event.selection.rows if row < len(runs)]
    if len(chosen) == 1:
        _single(chosen[0])
    elif chosen:
        _several(chosen)


def _single(run: RunStatus) -> None:
    st.markdown(f"**{escape_markdown(run.name)}**")
    _curves([run])
    there = note(run.run)
    # Another note, written on another screen, is another field: what is replaced has been seen.
    key = f"note_{run.name} {zlib.crc32(there.encode())}"
    st.text_area("Note", there, key=key, height=100, on_change=_keep, args=(run.run, key, there))
    if run.resumable:
        st.button("Resume", icon=":material/play_arrow:", key="resume_chosen", on_click=_resume, args=(run.run,))
    # Keyed by the run, so that they close once the run has another name or is gone, and what is pressed twice does
    # nothing to the next run.
    with st.popover("Rename this run", icon=":material/edit:", disabled=run.alive, key=f"rename_popover_{run.name}"):
        st.text_input("New name", key=f"rename_{run.name}", max_chars=60)
        st.button("Rename", key=f"rename_run {run.name}", on_click=_rename, args=(run.run, f"rename_{run.name}"))
    with st.popover("Delete this run", icon=":material/delete:", disabled=run.alive, key=f"delete_popover_{run.name}"):
        st.markdown(f"Delete {escape_markdown(run.name)} with its history and checkpoints? Its model, if any, is kept.")
        st.button(
            "Yes, delete it",
            type="primary",
            key=f"delete_run {run.name}",
            on_click=attempt,
            args=("runs", delete_run, run.run),
        )


def _several(chosen: list[RunStatus]) -> None:
    try:
        recipes = {run.name: RunFolder(run.run).recipe() for run in chosen}
    except FractureCoreError as error:
        st.error(escape_markdown(str(error)))
        return
    _curves(chosen)
    differences = recipe_differences(recipes)
    st.markdown("**Recipe differences**")
    if differences:
        st.dataframe(differences, hide_index=True, key="recipe_differences")
    else:
        st.caption("None: the recipes are identical.")


def _curves(chosen: list[RunStatus]) -> None:
    try:
        histories = {run.name: RunFolder(run.run).history() for run in chosen}
    except FractureCoreError as error:
        st.error(escape_markdown(str(error)))
        return
    if not any(histories.values()):
        return
    figure = st.segmented_control(
        "Curve", list(_FIGURES), default="val_auc", required=True, key="history_figure", format_func=_FIGURES.get
    )
    option = overlaid(histories, figure, _FIGURES[figure])
    draw(option, "history_curves", height=320, alt=f"{_FIGURES[figure]} by epoch")


def _keep(run: Path, key: str, before: str) -> None:
    attempt("runs", write_note, run, st.session_state[key], before)


def _rename(run: Path, key: str) -> None:
    attempt("runs", rename_run, run, st.session_state[key])


def _resume(run: Path) -> None:
    attempt("runs", job.resume, run)
