"""One loaded model for all sessions, loaded in the background while the first page is drawn."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from fracture_core.bundle.bundle import Bundle

if TYPE_CHECKING:
    from fracture_core.inference.predictor import Predictor

_loading = ThreadPoolExecutor(1, thread_name_prefix="model")


def loading(bundle: Bundle) -> Future[Predictor]:
    """Begin loading the model, so that it is ready when the first file comes; return at once."""
    model = _loaded(bundle.version, bundle)
    if model.done() and model.exception():
        _loaded.clear()
        model = _loaded(bundle.version, bundle)
    return model


def predictor(bundle: Bundle) -> Predictor:
    """Return the bundle's Predictor, waiting until it is loaded; raise what loading raised."""
    return loading(bundle).result()


@st.cache_resource(max_entries=2, show_spinner=False)
def _loaded(version: str, _bundle: Bundle) -> Future[Predictor]:
    return _loading.submit(_load, _bundle)


def _load(bundle: Bundle) -> Predictor:
    from fracture_core.imaging.isolation.decoder import start_decoder
    from fracture_core.inference.predictor import Predictor

    start_decoder()
    predictor = Predictor(bundle)
    # The first pass through a network takes several times as long as the next; nobody should wait for it.
    predictor.scorer.score(np.zeros((1, predictor.scorer.size, predictor.scorer.size), np.uint8))
    return predictor
