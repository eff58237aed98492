"""The reader: a name or initials, or the login's name."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.parts.shared.auth import who

#: What the orders of the films mean.
ORDER_HELP = (
    "Most instructive: films near an operating point or unlike the training films first, body parts mixed; films that "
    "have your verdict come last."
)


def reader_name(place: DeltaGenerator) -> str:
    """Draw where readers say who they are, and return it; with a login it is known."""
    if st.user.get("is_logged_in"):
        return who()
    return place.text_input(
        "Your name or initials", key="review_reader", persist_state="session", max_chars=60, width=220
    ).strip()


def known_reader() -> str:
    """Return the reader's name as far as it is known before its field is drawn."""
    return who() if st.user.get("is_logged_in") else str(st.session_state.get("review_reader") or "").strip()
