"""One loaded model for all sessions, loaded in the background while the first page is drawn."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import streamlit as st

from fracture_core.bundle.bundle import Bundle

_loading = ThreadPoolExecutor(1, thread_name_prefix="model")


def warm(bundle: Bundle) -> None:
    """Begin loading the model, so that it is ready when the first file comes; return at once."""
    _predictor(bundle.version, bundle)


def predictor(bundle: Bundle):
    """Return the bundle's Predictor, waiting until it is loaded; raise what loading raised."""
    loading = _predictor(bundle.version, bundle)
    try:
        return loading.result()
    except Exception:
        _predictor.clear()
        raise


@st.cache_resource(max_entries=2, show_spinner=False)
def _predictor(version: str, _bundle: Bundle) -> Future:
    return _loading.submit(_load, _bundle)


def _load(bundle: Bundle):
    from fracture_core.imaging.isolation.decoder import start_decoder
    from fracture_core.inference.predictor import Predictor

    start_decoder()
    predictor = Predictor(bundle)
    # The first pass through a network takes several times as long as the next; nobody should wait for it.
    predictor.scorer.score(np.zeros((1, predictor.scorer.size, predictor.scorer.size), np.uint8))
    return predictor
