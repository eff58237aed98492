"""Carry out what a button asks for; a failure is shown by the next run of the page."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from fracture_core.errors import FractureCoreError
from pages.parts.shared.sidebar import escape_markdown


def attempt(section: str, act: Callable[..., object], *arguments: object) -> None:
    """Call `act`, and keep its error for `show_failure` of this section."""
    try:
        act(*arguments)
    except FractureCoreError as error:
        st.session_state[f"failure_{section}"] = str(error)
    except OSError as error:
        st.session_state[f"failure_{section}"] = f"A file of this run could not be written ({error.strerror})."


def show_failure(section: str) -> None:
    """Show why the last attempt of a section failed, once."""
    if message := st.session_state.pop(f"failure_{section}", None):
        st.error(escape_markdown(message))
