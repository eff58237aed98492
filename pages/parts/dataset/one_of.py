"""A choice of one among several, kept in the address so that a view can be shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st


def one_of(
    label: str,
    options: Sequence[str],
    key: str,
    *,
    default: str | None = None,
    words: Callable[[str], str] = str,
    on_change: Callable[[], None] | None = None,
    collapsed: bool = False,
) -> str:
    """Draw the choice and return what is chosen; the first option, or `default`, until the user chooses.

    `words` makes what is shown of an option, on the page and in the address.
    """
    return st.segmented_control(
        label,
        options,
        default=default or options[0],
        required=True,
        key=key,
        format_func=words,
        on_change=on_change,
        label_visibility="collapsed" if collapsed else "visible",
        bind="query-params",
        persist_state="page",
        wrap=True,
    )
