"""The radiograph viewer: a component of our own, self-contained; only "read again" goes back to the server."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from fracture_core.explain.boxes import BOXES_FROM
from fracture_core.explain.heatmap_methods import METHODS
from fracture_core.explain.overlay import colour_layer, contour_paths, legend_stops, to_png
from fracture_core.explain.peak import peak_box
from fracture_core.imaging.adjustment import Adjustment
from fracture_core.imaging.jpeg import shows_as_read
from fracture_core.imaging.radiograph import Radiograph
from fracture_core.inference.marks import Mark
from fracture_core.inference.predictor import Finding
from fracture_core.reporting.finding_text import COLOURS_DO_NOT_MEAN, kind_of
from pages.parts.shared.elements import plain

_HERE = Path(__file__).parent
_SCRIPTS = ("viewer_tools.js", "viewer.js", "viewer_drawing.js", "viewer_input.js", "viewer_review.js")
_component = st.components.v2.component(
    "radiograph_viewer",
    html=(_HERE / "viewer.html").read_text("utf-8"),
    css=(_HERE / "viewer.css").read_text("utf-8"),
    js="\n".join((_HERE / name).read_text("utf-8") for name in _SCRIPTS),
)


#: The others are for research: they draw much the same.
_OFFERED = ("grad-cam", "localiser")
_STRONGEST = "Most suspicious area"
#: Longest side of the coloured layer, in pixels; evidence is smooth, so the browser enlarges it without loss.
_LAYER_SIDE = 256
#: Longest side of the map behind outlines and boxes, in pixels.
_MAP_SIDE = 512


def finding_data(finding: Finding, data: bytes = b"") -> dict[str, object]:
    """Return everything that the viewer draws of a finding, with every heatmap that its network can give.

    For a radiograph that is not assessed no evidence is sent: there is none to trust. `data` is the file that
    `finding` was read from, if nothing was done to its pixels since.
    """
    methods = [method for method in finding.methods if method in _OFFERED] if finding.assessed else []
    marks = finding.marks()
    return radiograph_data(finding.radiograph, data) | {
        "id": f"{finding.radiograph.sha256} {finding.bundle}",
        "layers": [_layer(finding, method, marks) for method in methods],
        "words": finding.triage,
        "withheld": "No heatmap: the model did not assess this image." if not finding.assessed else "",
    }


def radiograph_data(radiograph: Radiograph, data: bytes = b"") -> dict[str, object]:
    """Return everything that the viewer draws of a radiograph that no model has read; `data` as in `finding_data`."""
    height, width = radiograph.pixels.shape
    header = radiograph.header
    # A browser draws a plain grey JPEG as it was read; packing large detectors' pixels again would take longer than
    # reading them.
    jpeg = data if radiograph.format == "JPEG" and not radiograph.missing and data and shows_as_read(data) else b""
    return {
        "id": radiograph.sha256,
        "name": radiograph.name,
        "width": width,
        "height": height,
        "spacing": header.pixel_spacing if header else None,
        "atDetector": bool(header and header.spacing_at_detector),
        "original": _data_url(jpeg, "jpeg") if jpeg else _data_url(to_png(radiograph.pixels)),
        "layers": [],
        "legend": legend_stops(),
        "words": "",
        "meaning": COLOURS_DO_NOT_MEAN,
        "withheld": "",
    }


def viewer(
    image: dict[str, object],
    boxes: np.ndarray | None = None,
    polygons: Sequence[np.ndarray] | None = None,
    *,
    on_read_again: Callable[[Adjustment], None] | None = None,
    answer: str = "",
    review: Mapping[str, object] | None = None,
    on_verdict: Callable[[dict], None] | None = None,
) -> None:
    """Draw a viewer.

    Args:
        image: what `finding_data` or `radiograph_data` prepared.
        boxes: the dataset's own, (n, 4): x, y, width, height in pixels.
        polygons: the dataset's own, each (k, 2).
        on_read_again: called with what the user cropped and turned; without it nothing can be read again.
        answer: names the answer card of this image (its data-answer); any other is hidden.
        review: the reader's verdict so far (`film`, `round`, `failed`, `reader`, `given`, `boxes`, `comment`); without
            it no verdict can be given.
        on_verdict: called with a verdict: `film`, `round` and `failed` as in `review`, `verdict`, `boxes`, `comment`.
    """
    drawn = {
        "boxes": [] if boxes is None else np.asarray(boxes, float).round(1).tolist(),
        "polygons": [np.asarray(points, float).round(1).tolist() for points in polygons or ()],
        "again": on_read_again is not None,
        "answer": answer,
        "review": dict(review) if review is not None else None,
    }

    def read_again() -> None:
        wish = st.session_state["viewer"].get("read")
        if on_read_again is not None and wish:
            crop = tuple(int(value) for value in wish["crop"]) if wish.get("crop") else None
            on_read_again(Adjustment(crop, bool(wish.get("mirrored")), int(wish.get("turns", 0)) % 4))

    def verdict() -> None:
        given = st.session_state["viewer"].get("verdict")
        if on_verdict is not None and given:
            on_verdict(given)

    _component(data=plain(**image, **drawn), key="viewer", on_read_change=read_again, on_verdict_change=verdict)


def _layer(finding: Finding, method: str, marks: Sequence[Mark]) -> dict[str, object]:
    evidence = finding.heatmap(method, longest=_MAP_SIDE)
    height, width = finding.radiograph.pixels.shape
    across, down = width / evidence.shape[1], height / evidence.shape[0]
    full = finding.full_colour(method)
    box = peak_box(evidence, full)
    box = box and (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    # No box says more than the answer: only what is likely, or above the one threshold, is to be looked at.
    kind = kind_of(finding.triage)
    place = {"likely": "Look here", "above": "Look here"}.get(kind, _STRONGEST)
    layers = [
        {
            "box": mark.box,
            "label": "" if number else "Fracture likely here" if mark.solid and kind == "likely" else place,
            "dotted": not mark.solid,
        }
        for number, mark in enumerate(marks)
    ]
    # What is said of the heatmap on screen must hold of the boxes as well.
    whose = f" The boxes are the {METHODS[BOXES_FROM].title.lower()}'s." if layers and method != BOXES_FROM else ""
    strongest = {"box": box, "label": _STRONGEST, "dotted": kind not in ("likely", "above")}
    return {
        "method": method,
        "title": METHODS[method].title,
        "sentence": METHODS[method].sentence + whose,
        "png": _data_url(to_png(colour_layer(evidence, full, longest=_LAYER_SIDE))),
        "contours": [{"path": path, "colour": colour} for path, colour in contour_paths(evidence, full)],
        "size": [evidence.shape[1], evidence.shape[0]],
        "marks": layers or ([strongest] if box else []),
    }


def _data_url(image: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{b64encode(image).decode()}"
