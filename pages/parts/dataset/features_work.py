"""Work on the features of every radiograph: one task for all sessions, its progress, and the buttons that steer it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from fracture_core.concurrency import BackgroundTask, TaskState
from pages.parts.shared.sidebar import escape_markdown

NO_MODEL = "No model is installed, so radiographs cannot be compared."


def panel(find: Callable[[], BackgroundTask], key: str, networks: int, cached: int, total: int) -> None:
    """Draw what becomes of a task until it is done; then the page is drawn anew.

    Args:
        find: Gives the task.
        key: Part of the buttons' keys.
        networks: How many networks read the radiographs.
        cached: Readings of a radiograph by a network that were kept before.
        total: Readings in all.
    """

    @st.fragment(run_every=1.0)
    def watch() -> None:
        work = find()
        progress = work.progress
        if progress.state == "done":
            st.rerun(scope="app")
        if progress.busy:
            st.progress(progress.share, _progress_words(progress))
            stopping = progress.state == "stopping"
            st.button("Cancel", key=f"{key}_cancel", on_click=work.cancel, disabled=stopping, icon=":material/close:")
            st.caption("This continues if you leave the page. Finished work is kept, even if you cancel.")
            return
        if progress.state == "failed":
            st.error(escape_markdown(progress.error))
        done = max(cached, progress.done)
        st.markdown(_offer_words(networks, done, total))
        label = "Continue" if 0 < done < total else "Compute the features"
        st.button(label, key=f"{key}_start", type="primary", on_click=work.start, icon=":material/play_arrow:")

    watch()


def _progress_words(progress: TaskState) -> str:
    if progress.state == "stopping":
        return "Stopping …"
    if progress.total and progress.done >= progress.total:
        return "All radiographs are processed; comparing them takes a few more seconds …"
    if not progress.total:
        return "Starting …"
    return f"{progress.done:,} of {progress.total:,} readings: the network looks at each radiograph once …"


def _offer_words(networks: int, done: int, total: int) -> str:
    who = "The network looks" if networks == 1 else f"{networks} networks look"
    left = f"{done:,} of {total:,} readings are done. " if done else ""
    return f"{left}{who} at each radiograph once, for some minutes in all; the result is kept for later visits."
