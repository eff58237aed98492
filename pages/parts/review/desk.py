"""The desk of the Review page: one film, its boxes, and three verdicts at a key each."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from fracture_core.explain.overlay import to_png

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "review_desk",
    html=(_HERE / "desk.html").read_text("utf-8"),
    css=(_HERE / "desk.css").read_text("utf-8"),
    js=(_HERE / "desk.js").read_text("utf-8"),
)


def desk(
    film: str,
    pixels: np.ndarray,
    on_verdict: Callable[[dict[str, Any]], None],
    *,
    boxes: Sequence[Sequence[float]] = (),
    comment: str = "",
    given: str = "",
) -> None:
    """Draw the desk.

    Args:
        film: What names the film.
        pixels: The film, uint8 (H, W).
        on_verdict: Called with `verdict`, `boxes` and `comment` when one is given on this film.
        boxes: The boxes to begin with, (x, y, width, height) in pixels.
        comment: The comment to begin with.
        given: The reader's own verdict so far.
    """
    count = st.session_state.setdefault("desk_round", 0)

    def verdict() -> None:
        answer = st.session_state["desk"].get("verdict")
        if answer and answer.get("id") == film and answer.get("round") == count:
            st.session_state["desk_round"] = count + 1
            on_verdict(answer)

    height, width = pixels.shape
    data = {
        "id": film,
        "round": count,
        "src": f"data:image/png;base64,{b64encode(to_png(pixels)).decode()}",
        "width": width,
        "height": height,
        "boxes": [list(map(float, box)) for box in boxes],
        "comment": comment,
        "given": given,
    }
    _component(data=data, key="desk", on_verdict_change=verdict)
