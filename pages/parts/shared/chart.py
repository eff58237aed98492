"""Draw a Plotly figure the same way on every page."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go
import streamlit as st

from fracture_core.reporting.chart_theme import CONFIG, in_theme


def draw(
    figure: go.Figure, key: str, *, height: int, alt: str, on_pick: Callable[[object], None] | None = None
) -> None:
    """Draw a figure in the app's theme.

    Args:
        figure: What to draw.
        key: Key of the element; also its name as a PNG.
        height: Pixels.
        alt: What a screen reader says of it.
        on_pick: Called with the customdata of a point or bar that was clicked. None: clicks do nothing.
    """
    # A click on what is selected already takes the selection away: a new key after each click forgets it.
    key = key.replace(" ", "_")
    count = st.session_state.get(f"{key}_picks", 0)
    drawn_as = f"{key}_{count}" if on_pick else key

    def picked() -> None:
        points = st.session_state[drawn_as].selection.points
        if points and "customdata" in points[0]:
            st.session_state[f"{key}_picks"] = count + 1
            on_pick(points[0]["customdata"])

    config = CONFIG | {"toImageButtonOptions": CONFIG["toImageButtonOptions"] | {"filename": key}}
    options = {"on_select": picked, "selection_mode": "points"} if on_pick else {}
    # The app's own theme, whatever the system prefers: st.context.theme tells what the system prefers.
    figure = in_theme(figure, "light" if st.get_option("theme.base") == "light" else "dark")
    with st.container(key=f"chart_{key}"):
        st.plotly_chart(figure, theme=None, key=drawn_as, height=height, config=config, alt=alt, **options)


def draw_selectable(figure: go.Figure, key: str, *, height: int, alt: str) -> list:
    """Draw a figure whose points can be selected with a lasso or a box; return the customdata of those selected."""
    figure = in_theme(figure, "light" if st.get_option("theme.base") == "light" else "dark")
    config = CONFIG | {"modeBarButtons": [["toImage", "lasso2d", "select2d", "resetScale2d"]]}
    with st.container(key=f"chart_{key}"):
        event = st.plotly_chart(
            figure,
            theme=None,
            key=key,
            height=height,
            config=config,
            alt=alt,
            on_select="rerun",
            selection_mode=("points", "lasso", "box"),
        )
    return [point["customdata"] for point in event.selection.points if "customdata" in point]
