"""Show unexpected errors as a message instead of an empty page."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from fracture_core.errors import FractureCoreError

_log = logging.getLogger(__name__)


@contextmanager
def error_boundary() -> Iterator[None]:
    """Show an error of this project or of the disk that the block raises, and end the page there."""
    try:
        yield
    except FractureCoreError as error:
        _say(str(error))
    except OSError as error:
        # Which call failed helps whoever runs the server; the file's name stays out of the log, it may be a patient's.
        _log.error("A page met %s (%s).", type(error).__name__, error.strerror)
        _say(f"The server cannot read or write a file it needs ({error.strerror}). Please contact its administrator.")


def _say(words: str) -> None:
    from pages.parts.shared.sidebar import (
        escape_markdown,  # the page is on screen before the libraries behind it are in memory
    )

    st.error(escape_markdown(words))
