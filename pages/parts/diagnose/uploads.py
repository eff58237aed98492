"""Take files into the session, where they stay whatever page is visited; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

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
            args=(_key(),),
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


def remove_films(keys: Sequence[str]) -> None:
    """Remove films from the session, with all that was prepared to show them."""
    film_session().remove(keys)
    opened = st.session_state.get("opened")
    if opened is not None and opened.key[0] in keys:
        st.session_state.pop("opened")


def _key() -> str:
    return f"uploads {st.session_state.get('uploads_taken', 0)}"


def take_stray() -> bool:
    """Take in files that came while their uploader gave way to the next one, which does not know them.

    Returns whether there were any.
    """
    context = get_script_run_ctx()
    stray = list(context.uploaded_file_mgr.file_storage.get(context.session_id, {}).values())
    _add([(file.file_id, file.name, file.data) for file in stray])
    return bool(stray)


def _take(key: str) -> None:
    """Take in what an uploader holds; what was taken from it before may still be listed there, without its bytes."""
    files = [file for file in st.session_state.get(key) or () if isinstance(file, UploadedFile)]
    _add([(file.file_id, file.name, file.getvalue()) for file in files])
    st.session_state["uploads_taken"] = st.session_state.get("uploads_taken", 0) + 1


def _add(files: Sequence[tuple[str, str, bytes]]) -> None:
    """Add files, each with its id, name and bytes; they are opened with those that were added and not shown yet."""
    if not files:
        return
    added = [film_session().add(name, data) for _, name, data in files]
    st.session_state["added"] = [*st.session_state.get("added", ()), *added]
    context = get_script_run_ctx()
    for file_id, _, _ in files:
        # The session holds the bytes now; Streamlit's own copy would outlive "Clear all".
        context.uploaded_file_mgr.remove_file(context.session_id, file_id)
