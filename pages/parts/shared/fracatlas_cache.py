"""FracAtlas, read once for all pages and sessions. Light to import: it brings no scikit-learn to the first page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from fracture_core.data.fracatlas import FracAtlas, find_fracatlas

#: Its folder, and when its dataset.csv was written.
Key = tuple[str, int]


def fracatlas() -> FracAtlas:
    """Return FracAtlas; raise DatasetError where it is not installed."""
    return fracatlas_of(fracatlas_key())


def fracatlas_key() -> Key:
    """Return what the cache knows FracAtlas by; raise DatasetError where it is not installed."""
    root = find_fracatlas()
    return str(root), (root / "dataset.csv").stat().st_mtime_ns


@st.cache_resource(max_entries=2, show_spinner=False)
def fracatlas_of(key: Key) -> FracAtlas:
    """Return the dataset of a key."""
    return FracAtlas(Path(key[0]))
