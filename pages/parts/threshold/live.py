"""The part of the Threshold page that follows the finger: two components and plotly.js, all served by this app.

The scores of both splits and the charts go to the browser once, outside the fragment that a release of the slider draws
again; each release costs a small message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import plotly
import streamlit as st
from streamlit.components.v1 import declare_component

from fracture_core.reporting.chart_theme import CONFIG
from pages.parts.shared.elements import script

_HERE = Path(__file__).parent
_KEEP_SCORES = """export default ({ data }) => {
  (window.fractureScores ??= new Map()).set(data.key, data);
  dispatchEvent(new Event("fracture-scores"));
};"""
_scores = st.components.v2.component("threshold_scores", html="<span hidden></span>", js=_KEEP_SCORES)
_live = st.components.v2.component(
    "threshold_live",
    html=(_HERE / "live.html").read_text("utf-8"),
    css=(_HERE / "live.css").read_text("utf-8"),
    js=script(*(_HERE / name for name in ("counts.js", "films.js", "loading.js", "ticks.js", "live.js"))),
    # Plotly puts its styles into the head of the page.
    isolate_styles=False,
)


def hand_over(key: str, scores: Mapping[str, Any]) -> None:
    """Send the browser what stays the same while the threshold moves.

    Args:
        key: Names the scores; another split or model has another.
        scores: From `live_scores`.
    """
    _scores(data={"key": key, **scores}, key=f"scores {key}")


def live(key: str, state: Mapping[str, Any], tell: Callable[[str, Any], None]) -> None:
    """Draw slider, confusion matrix, metrics, radiographs of the open cell, and curves.

    Args:
        key: Names the scores, which were handed over.
        state: What a release changes: "threshold", "locked", "cell", "table" and "films".
        tell: Called with what the user did, "moved", "cell", "page" or "film", and its value.
    """
    fixed = {"scores": key, "plotly": _plotly_address(), "config": CONFIG}

    def heard(event: str) -> Callable[[], None]:
        return lambda: tell(event, st.session_state["live"].get(event))

    callbacks = {f"on_{event}_change": heard(event) for event in ("moved", "cell", "page", "film")}
    _live(data=fixed | state, key="live", **callbacks)


def _plotly_address() -> str:
    """Serve plotly.js from the Python package, where the browser keeps it, and return its address."""
    served = declare_component("plotly_js", path=str(Path(plotly.__file__).parent / "package_data"))
    base = (st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{f'/{base}' if base else ''}/component/{served.name}/plotly.min.js"
