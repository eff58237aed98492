"""What a page begins with. It imports Streamlit alone, so that it is on screen before the rest is in memory."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

# A picture of our own: an icon given by name would be fetched from a font server.
_ICON = Path(__file__).with_name("icon.png")
_STYLE = """<style>
.stMainBlockContainer { padding: 2.75rem 2.5rem 2rem; max-width: 1500px; }
@media (max-width: 640px) { .stMainBlockContainer { padding: 3rem 1rem 1rem; } }
</style>"""


def head(title: str) -> None:
    """Draw the head of a page; the first Streamlit call of each."""
    if PagesManager.uses_pages_directory:
        # A server whose first visitor comes by a page's own address takes the folder named pages for the page list
        # and runs this file alone. Once told, it runs streamlit_app.py, which knows the list.
        PagesManager.uses_pages_directory = False
        st.rerun()
    st.set_page_config(page_title=f"{title} · Fracture reader", page_icon=_ICON, layout="wide")
    st.html(_STYLE)
    st.title(title, anchor=False)
