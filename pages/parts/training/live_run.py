"""The current run, read from its folder every two seconds, and the buttons that pause, stop and resume it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from fracture_core.errors import FractureCoreError
from fracture_core.jobs import launcher as job
from fracture_core.jobs.control import get_request
from fracture_core.jobs.expectation import phases, total_seconds
from fracture_core.jobs.status import RunStatus, log_tail, losses, status
from fracture_core.reporting.training_charts import auc_chart, loss_chart
from fracture_core.reporting.training_text import STATES, pace, stage_in_words, total_in_words
from fracture_core.training.run_folder import RunFolder
from pages.parts.shared.chart import draw
from pages.parts.shared.sidebar import escape_markdown
from pages.parts.training.attempt import attempt, show_failure

#: More often, drawing the curves would take more from the training than it shows.
_SECONDS = 2.0
_ASKED = {"pause": "pausing after the current step …"}
_MARKS = {"done": "✓", "current": "●", "next": "○"}
_STEPPER = """<style>
.stepper { display: flex; flex-wrap: wrap; gap: 0.3rem 1.1rem; list-style: none; margin: 0; padding: 0; }
.stepper li { margin: 0; white-space: nowrap; }
.stepper .current { font-weight: 700; }
.stepper .next { opacity: 0.75; }
</style>"""


def watch(run: Path) -> None:
    """Draw a run that is at work, or that can go on."""
    with st.container(border=True, key="watch"):
        if status(run).alive:
            _polled(str(run))
        else:
            _stopped(run)


@st.fragment(run_every=_SECONDS)
def _polled(name: str) -> None:
    run = Path(name)
    try:
        current = status(run)
    except FractureCoreError:  # it ended, and was renamed or deleted on another screen
        st.rerun(scope="app")
    if not current.alive:
        if current.state == "finished":
            st.session_state.update(training_section="result", training_result=current.name)
        st.rerun(scope="app")
    asked = get_request(run)
    _heading(current, _ASKED.get(asked) if current.state == "running" else None)
    _stepper(current)
    st.progress(current.share, stage_in_words(current))
    for column, (title, value) in zip(st.columns(3), pace(current), strict=True):
        column.metric(title, value)
    _buttons(run, current, pausing=asked == "pause")
    _curves(run)
    _log(run)


def _buttons(run: Path, current: RunStatus, *, pausing: bool) -> None:
    """Draw what can be done now; a press is answered at once, the run follows after its current step."""
    stopping = current.state == "stopping"
    idle = current.state in ("starting", "stopping")
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if current.state == "paused" or (pausing and not stopping):
            _button("Continue", "play_arrow", job.unpause, run, key="go_on", type="primary")
        else:
            _button("Pause", "pause", job.pause, run, key="pause", disabled=idle)
        _button("Stop", "stop", job.cancel, run, key="cancel", disabled=idle)
        if stopping:  # beside it, not in its place: two presses on Stop must not kill the run before its checkpoint
            _button("Stop now", "dangerous", job.kill, run, key="stop_at_once")
        st.caption(
            "The run continues if you leave this page, close the browser or restart the app. Stopping leaves a "
            "checkpoint to resume from; pausing keeps the process in memory. Both take effect after the current step."
        )


def _stepper(current: RunStatus) -> None:
    """Draw the phases of the run in a row, and one time for all of them."""
    items = "".join(
        f'<li class="{phase.state}"{" aria-current=step" if phase.state == "current" else ""}>'
        f"{_MARKS[phase.state]} {phase.title}</li>"
        for phase in phases(current)
    )
    st.html(f'{_STEPPER}<ol class="stepper" aria-label="Phases of the run">{items}</ol>')
    st.markdown(f"**{total_in_words(*total_seconds(current))}**")


def _stopped(run: Path) -> None:
    current = status(run)
    _heading(current)
    if current.state == "failed":
        st.error(escape_markdown(current.error))
    elif current.error:
        st.warning(escape_markdown(current.error))
    else:
        if current.state == "stopped":
            st.markdown("It was stopped by a user of this app.")
        st.markdown("It can be resumed from its last checkpoint and gives the same result as an uninterrupted run.")
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        _button("Resume", "play_arrow", job.resume, run, key="resume", type="primary")
    _curves(run)
    _log(run)


def _heading(current: RunStatus, asked: str | None = None) -> None:
    st.subheader(f"{escape_markdown(current.name)}: {asked or STATES[current.state]}", anchor=False)
    show_failure("run")


def _curves(run: Path) -> None:
    try:
        rows = RunFolder(run).history()
    except FractureCoreError as error:
        st.error(escape_markdown(str(error)))
        return
    live = losses(run)
    if not rows and not live:
        return
    left, right = st.columns(2)
    with left:
        draw(loss_chart(rows, live), "live_loss", height=300, alt="Loss by epoch")
    with right:
        if rows:
            draw(auc_chart(rows), "live_auc", height=300, alt="AUC on validation by epoch")
        else:
            st.caption("The validation curve starts after the first epoch.")


def _log(run: Path) -> None:
    if tail := log_tail(run):
        with st.expander("Log"):
            st.code(tail, language=None, wrap_lines=True)


def _button(label: str, icon: str, act: Callable[[Path], object], run: Path, **options) -> None:
    st.button(label, icon=f":material/{icon}:", on_click=attempt, args=("run", act, run), **options)
