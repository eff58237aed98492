"""The radiograph viewer: a component of our own, self-contained, that never goes back to the server."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from fracture_core.explain.gradcam import METHODS
from fracture_core.explain.overlay import colour_layer, contour_paths, legend_stops, to_png
from fracture_core.imaging.radiograph import Radiograph
from fracture_core.inference.predictor import Finding
from fracture_core.reporting.finding_text import COLOURS_DO_NOT_MEAN, COLOURS_MEAN

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "radiograph_viewer",
    html=(_HERE / "viewer.html").read_text("utf-8"),
    css=(_HERE / "viewer.css").read_text("utf-8"),
    js=(_HERE / "viewer.js").read_text("utf-8"),
)


#: The others are for research: they draw much the same.
_OFFERED = ("grad-cam", "localiser")


def picture(finding: Finding) -> dict[str, object]:
    """Everything that the viewer draws of a finding, with every heatmap that its network can give.

    For a radiograph that is not assessed no evidence is sent: there is none to trust.
    """
    methods = [method for method in finding.methods if method in _OFFERED]
    return plain_picture(finding.radiograph) | {
        "id": f"{finding.radiograph.sha256} {finding.bundle}",
        "layers": [_layer(finding, method) for method in methods] if finding.assessed else [],
        "words": finding.triage,
        "withheld": "No evidence is drawn: the model did not read this image.",
    }


def plain_picture(radiograph: Radiograph) -> dict[str, object]:
    """Everything that the viewer draws of a radiograph that no model has read."""
    height, width = radiograph.pixels.shape
    return {
        "id": radiograph.sha256,
        "name": radiograph.name,
        "width": width,
        "height": height,
        "original": _data_url(to_png(radiograph.pixels)),
        "layers": [],
        "legend": legend_stops(),
        "words": "",
        "meaning": f"{COLOURS_MEAN} {COLOURS_DO_NOT_MEAN}",
        "withheld": "",
    }


def viewer(
    picture: dict[str, object], boxes: np.ndarray | None = None, polygons: Sequence[np.ndarray] | None = None
) -> None:
    """Show what `picture` prepared, with the dataset's own boxes (n, 4) and polygons (k, 2) where they are given."""
    drawn = {
        "boxes": [] if boxes is None else np.asarray(boxes, float).round(1).tolist(),
        "polygons": [np.asarray(points, float).round(1).tolist() for points in polygons or ()],
    }
    _component(data=picture | drawn, key="viewer")


def _layer(finding: Finding, method: str) -> dict[str, object]:
    evidence = finding.heatmap(method)
    return {
        "method": method,
        "title": METHODS[method].title,
        "sentence": METHODS[method].sentence,
        "png": _data_url(to_png(colour_layer(evidence, method, longest=512))),
        "contours": [{"path": path, "colour": colour} for path, colour in contour_paths(evidence, method)],
    }


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + b64encode(png).decode()
