"""Streamlit's own login, if secrets.toml has an [auth] section; otherwise none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st
from starlette.formparsers import MultiPartParser
from streamlit.errors import StreamlitAuthError


def keep_uploads_in_memory() -> None:
    """Let the server keep whole uploads in memory; by default Streamlit writes more than 1 MB to temporary files."""
    MultiPartParser.spool_max_size = 2**20 * (st.get_option("server.maxUploadSize") + 1)


def may_enter() -> bool:
    """Whether this session may see the pages: always without [auth], and once logged in with it."""
    return st.user.get("is_logged_in", not _unreadable_secrets()) is True


def who() -> str:
    """Return the name of the user, for the audit log."""
    from fracture_core.reporting.audit_log import NOBODY  # the page is on screen before the core is in memory

    if not st.user.get("is_logged_in"):
        return NOBODY
    return str(
        next(filter(None, map(st.user.get, ("email", "preferred_username", "sub"))), "logged in, name not given")
    )


def login_page() -> None:
    """Draw the login: a button a provider."""
    st.set_page_config(page_title="Fracture reader")
    st.title("Fracture reader", anchor=False)
    if _unreadable_secrets():
        st.error("The login settings (secrets.toml) cannot be read. Please contact the administrator of this server.")
        return
    settings = st.secrets["auth"]
    providers = {name: str(name) for name, value in settings.items() if isinstance(value, Mapping)}
    if "client_id" in settings:
        providers = {None: "your account"} | providers
    st.caption("Please log in to use this server.")
    for provider, label in providers.items():
        if st.button(f"Log in with {label}", key=f"login {provider}", type="primary"):
            try:
                st.login(provider)
            except StreamlitAuthError:
                st.error("The login is not fully configured. Please contact the administrator of this server.")


def offer_logout() -> None:
    """Show in the sidebar who is logged in, with a button to log out."""
    if st.user.get("is_logged_in"):
        with st.sidebar:
            st.text(f"Logged in: {who()}")  # not Markdown: the words are the provider's
            st.button("Log out", on_click=st.logout, icon=":material/logout:")


def _unreadable_secrets() -> bool:
    # Streamlit takes a file that it cannot parse for no file, which would leave the door open after a slip.
    there = any(Path(file).is_file() for file in st.get_option("secrets.files"))
    return there and not st.secrets.load_if_toml_exists()
