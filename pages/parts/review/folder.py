"""The review folder: chosen once, with a plain statement of what will be written there, and switched off again."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.review.verdict import ReviewError
from fracture_core.paths import review_folder, review_folder_by_environment
from fracture_core.settings import SettingsError, choose_review_folder, forget_review_folder
from pages.parts.shared.sidebar import escape_markdown

#: What is written, as the README in the folder and SECURITY.md say it too.
WRITTEN = (
    "**What will be written there.** For each film that you give a verdict on: its pixels as a PNG without header or "
    "name; your verdict, boxes and comment; what the model had answered; your name or initials and the time; and, for "
    "DICOM files, a keyed hash in place of the patient. Nothing else, and nothing for films without a verdict."
)
_OFF = "Reviewing is off: nothing is written. Choose a folder to give verdicts on films and to keep them."
_MESSAGE = "review_folder_message"


def review_set() -> ReviewSet | None:
    """Return the review set, opened once for all sessions; None if reviewing is off.

    Raises:
        ReviewError: The folder cannot be used.
    """
    folder = review_folder()
    if folder is None:
        return None
    opened = _opened(folder)
    if not (folder / "images").is_dir():  # somebody removed it while the app was running
        _opened.clear()
        opened = _opened(folder)
    return opened


@st.cache_resource(max_entries=4, show_spinner=False)
def _opened(folder: Path) -> ReviewSet:
    return ReviewSet(folder)


def require_in_use(review: ReviewSet) -> None:
    """Raise ReviewError if reviewing was switched off, or moved to another folder, after the page was drawn."""
    folder = review_folder()
    if folder is None or folder.absolute() != review.folder:
        raise ReviewError("Reviewing was switched off or moved to another folder meanwhile. Nothing was changed.")


def choose_folder() -> None:
    """Draw the choice of a folder, where reviewing is off."""
    st.info(_OFF)
    _say()
    if review_folder_by_environment():
        st.caption("The administrator of this server has switched it off with FRACTURE_REVIEW_DIR.")
        return
    st.markdown(WRITTEN)
    st.text_input("Review folder", key="review_folder_text", placeholder="/data/review", width=480)
    st.button("Write verdicts there", key="review_folder_choose", type="primary", on_click=_choose)
    st.caption(
        "A folder on the computer that runs this app; it is created if it does not exist. The choice is "
        "remembered and applies to everyone who uses this app."
    )


def folder_in_use(folder: Path) -> None:
    """Say in the sidebar which folder is written to, and offer to switch reviewing off."""
    with st.sidebar.container(key="review-folder"):
        st.caption(f"Verdicts are kept in {escape_markdown(str(folder))}")
        _say()
        if review_folder_by_environment():
            return
        with st.popover("Review folder", icon=":material/folder:"):
            st.markdown(WRITTEN.replace("will be written", "is written"))
            st.button("Switch reviewing off", key="review_folder_off", on_click=_switch_off)
            st.caption("What was written stays in the folder.")


def _choose() -> None:
    """Keep the folder that was typed, unless another one was chosen on another screen meanwhile."""
    if review_folder() is not None:
        return  # the page says which
    try:
        chosen = choose_review_folder(st.session_state.get("review_folder_text", ""))
    except SettingsError as error:
        st.session_state[_MESSAGE] = str(error)
        return
    try:
        _opened(chosen)
    except ReviewError as error:  # a folder that cannot be written to is not kept
        forget_review_folder()
        st.session_state[_MESSAGE] = str(error)


def _switch_off() -> None:
    try:
        forget_review_folder()
    except SettingsError as error:
        st.session_state[_MESSAGE] = str(error)


def _say() -> None:
    if message := st.session_state.pop(_MESSAGE, ""):
        st.error(escape_markdown(message))
