"""Take files into the session, where they stay whatever page is visited; nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from fracture_core.imaging.format_names import ANY_FORMAT

if TYPE_CHECKING:
    from fracture_core.reporting.film_session import FilmSession

_LABEL = f"Radiographs ({ANY_FORMAT}; one or several)"
_HELP = "Files are held in memory for this session, until you clear them, and are never written to disk."


def offer_upload(bar: DeltaGenerator) -> None:
    """Draw the uploader: a place to drop files on at first, a button in the bar to add more once there are some."""
    there = bool(st.session_state.get("films"))
    if there:
        st.empty()  # where the first uploader stood: it leaves the screen at once
    with (bar if there else st).container(
        key="add-films" if there else "first-films", width="content" if there else "stretch"
    ):
        # A new key each time: what was taken in leaves the widget, which would forget it on the next page anyway.
        st.file_uploader(
            _LABEL,
            accept_multiple_files=True,
            key=_key(),
            on_change=_take,
            help=_HELP,
            label_visibility="collapsed" if there else "visible",
        )


def film_session() -> FilmSession:
    """Return this session's films."""
    from fracture_core.reporting.film_session import FilmSession

    if "films" not in st.session_state:
        st.session_state["films"] = FilmSession()
    return st.session_state["films"]


def add_film(name: str, data: bytes) -> None:
    """Add a file and open it."""
    st.session_state["added"] = [film_session().add(name, data)]


def _key() -> str:
    return f"uploads {st.session_state.get('uploads_taken', 0)}"


def _take() -> None:
    files = st.session_state[_key()]
    st.session_state["added"] = [film_session().add(file.name, file.getvalue()) for file in files]
    st.session_state["uploads_taken"] = st.session_state.get("uploads_taken", 0) + 1
    context = get_script_run_ctx()
    for file in files:
        # The session holds the bytes now; Streamlit's own copy would outlive "Clear all".
        context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
