"""The header of a page. It imports Streamlit only, so that it is on screen before the rest is loaded."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.pages_manager import PagesManager

from pages.parts.shared.collection import spare_what_is_loaded

# An image of our own: an icon given by name would be fetched from a font server.
_ICON = Path(__file__).with_name("icon.png")
_ASKED = "asked_by_address"
_STYLE = """<style>
.stMainBlockContainer { padding: 2.75rem 2.5rem 2rem; max-width: 1500px; }
@media (max-width: 640px) { .stMainBlockContainer { padding: 3rem 1rem 1rem; } }
.st-key-fold-sidebar { position: absolute; height: 0; overflow: hidden; }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { color: inherit !important; opacity: .88; }
section.stSidebar[data-collapsed="false"] { width: 15.5rem !important; }
section.stSidebar [role="combobox"] { font-size: .8125rem; padding-right: 0; }
[data-testid="stSidebarContent"] { padding-left: 0; padding-right: 0; }
/* White words on the dark theme's own colour are too faint. */
.stMain button[kind^="primary"]:not(:disabled) { background: #1a6a9f; border-color: #1a6a9f; color: #fff; }
[data-testid="stPageLink"] a, [data-testid="stPageLink"] a * { white-space: normal; overflow: visible; }
.stTabs [role="tablist"] { flex-wrap: wrap; overflow: visible; }
@media (max-width: 1100px) {
  .stTable table { width: calc(100% - 2px); table-layout: fixed; }
  .stTable :is(td, th) { white-space: normal !important; overflow-wrap: anywhere; hyphens: auto; min-width: 0;
    padding: .25rem !important; }
  .stTable [data-testid="stMarkdownContainer"], .stTable [data-testid="stMarkdownContainer"] p { max-width: 100%;
    overflow: visible; overflow-wrap: anywhere; }
  .stMain [role="combobox"] { font-size: .8125rem; padding-right: 0; }
  [data-testid="stButtonGroup"] button { padding-left: .6rem; padding-right: .6rem; }
  [data-testid="stMetricValue"] { font-size: 1.4rem; }
  [data-testid="stMetric"], [data-testid="stMetric"] * { min-width: 0; }
  :is([data-testid="stMetricValue"], [data-testid="stMetricLabel"]),
  :is([data-testid="stMetricValue"], [data-testid="stMetricLabel"]) * { white-space: normal !important;
    overflow: visible !important; text-overflow: clip !important; overflow-wrap: anywhere; }
}
@media (max-width: 640px) { .stTable :is(td, th), .stTable :is(td, th) p { font-size: .68rem !important; } }
.js-plotly-plot .main-svg { background: transparent !important; }
/* A session's first run may be told another theme than the browser ends up with; the page's own colour is right. */
.js-plotly-plot :is(.xtick, .ytick, .legend, .annotation) text, .js-plotly-plot :is(.xtitle, .ytitle) {
  fill: currentColor !important; }
</style>"""
# Streamlit folds the sidebar on telephones alone; a tablet has no room for it beside a radiograph either.
_FOLD = """
export default function ({ parentElement }) {
  const narrow = window.matchMedia("(max-width: 1100px)");
  const fold = () => {
    const open = document.querySelector('[data-testid="stSidebar"][data-collapsed="false"]');
    if (narrow.matches) open?.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
    else if (!open) document.querySelector('[data-testid="stExpandSidebarButton"]')?.click();
  };
  if (narrow.matches) fold();
  narrow.addEventListener("change", fold);
  return () => narrow.removeEventListener("change", fold);
}
"""
_PRESS = Path(__file__).with_name("press.js").read_text("utf-8")
_fold_sidebar = st.components.v2.component("fold_sidebar", html="<span></span>", js=_PRESS + _FOLD)


def page_header(title: str, *, wide: bool = False) -> None:
    """Draw the head of a page; the first Streamlit call of each.

    A `wide` page uses the whole window, and draws its title itself, with `title_bar`.
    """
    spare_what_is_loaded()
    if PagesManager.uses_pages_directory:
        # A server whose first visitor comes by a page's own address takes the folder named pages for the page list
        # and runs this file alone. Once told, it runs streamlit_app.py, which knows the list.
        PagesManager.uses_pages_directory = False
        # What the address asks for would be gone then: the other way of finding the page clears it.
        st.session_state[_ASKED] = {key: st.query_params.get_all(key) for key in st.query_params}
        st.rerun()
    if asked := st.session_state.pop(_ASKED, None):
        st.query_params.from_dict(asked)
    st.set_page_config(
        page_title=f"{title} · Fracture reader",
        page_icon=_ICON,
        layout="wide",
    )
    st.html(_STYLE + (_WIDE if wide else ""))
    with st.container(key="fold-sidebar"):
        _fold_sidebar(key="fold")
    if not wide:
        st.title(title, anchor=False)


def title_bar(title: str) -> DeltaGenerator:
    """Draw the title of a wide page in a bar at the top; return the bar, for what else belongs there."""
    bar = st.container(key="topbar", horizontal=True, vertical_alignment="center", gap="small")
    bar.title(title, anchor=False, width="content")
    return bar


_WIDE = """<style>
.stMainBlockContainer { padding: .4rem 1rem .25rem; max-width: none; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding: .4rem .6rem .5rem; }
  header.stAppHeader button { background: #8883; }
}
.stMainBlockContainer h1 { font-size: 1.15rem; padding: 0 .5rem 0 0; }
header.stAppHeader { background: transparent; height: 2.75rem; min-height: 0; }
header.stAppHeader, header.stAppHeader * { pointer-events: none; }
header.stAppHeader button, header.stAppHeader button * { pointer-events: auto; }
@media (max-width: 1100px) { .stMainBlockContainer h1 { padding-left: 2.6rem; } }
.st-key-topbar { min-height: 2.6rem; padding-right: 5.5rem; }
</style>"""
