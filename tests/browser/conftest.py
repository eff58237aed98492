"""A real browser and a real server: Chromium from the system, Streamlit as a child process on a free port."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.manifest import write_manifest
from fracture_core.explain.overlay import FULL_COLOUR
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Predictor, load_predictor
from fracture_core.network.weights import save_weights
from tests.browser.app import Server, Tab

if TYPE_CHECKING:
    from playwright.sync_api import Page

FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def vocal_models(small_models, tmp_path_factory) -> Path:
    """The small bundle with a head that finds evidence in every image: the untrained one leaves nothing to draw."""
    models = tmp_path_factory.mktemp("vocal") / "models"
    shutil.copytree(small_models, models)
    bundle = load_bundle("small", models)
    weights = bundle.weights()
    picture = read_radiograph(next((small_models.parent / "data" / "images" / "Fractured").iterdir()))
    # The map is proportional to the weight of the pooled cells in the logit.
    evidence = Predictor(bundle).predict(picture).heatmap("grad-cam")
    strongest = evidence.max() if evidence.max() > 0 else evidence.min()
    weights["local_logit/kernel"] = weights["local_logit/kernel"] * np.float32(
        0.8 * FULL_COLOUR["grad-cam"] / strongest
    )

    def kept() -> Predictor:
        save_weights(bundle.folder / "weights.safetensors", weights)
        write_manifest(bundle.folder, temperature=bundle.temperature, created=bundle.created, provenance={})
        return load_predictor("small", models)

    # Random weights put the logit anywhere, where every probability may be exactly 1; 95 % tells the films apart.
    away = np.log(19) * bundle.temperature - kept().predict(picture).logit
    weights["global_logit/bias"] = weights["global_logit/bias"] + np.float32(away)
    kept()
    return models


@pytest.fixture(scope="session")
def server(small_models, vocal_models, tmp_path_factory) -> Iterator[Server]:
    """The app on the small bundle and its dataset."""
    folder = tmp_path_factory.mktemp("server")
    running = Server(
        folder / "log",
        FRACTURE_MODELS_DIR=str(vocal_models),
        FRACTURE_CACHE_DIR=str(folder / "cache"),
        FRACATLAS_DIR=str(small_models.parent / "data"),
    )
    running.wait()
    yield running
    running.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Note which tests failed, before their fixtures are torn down."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def reused_tab(browser) -> Iterator[Tab]:
    """The one tab that `tab` gives to test after test."""
    kept = Tab(browser)
    yield kept
    kept.close()


@pytest.fixture
def tab(reused_tab, request) -> Iterator[Page]:
    """An empty page that knows nothing of earlier tests."""
    yield reused_tab.open()
    if request.node.stash.get(FAILED, False):
        reused_tab.close()  # a key may still be down, or a dialog open
    else:
        reused_tab.leave()


@pytest.fixture
def app_tab(tab, server) -> Iterator[Page]:
    """The same for the app; it fails where a page logs an error or calls another machine."""
    troubles: list[str] = []

    def note_error(error) -> None:
        troubles.append(str(error))

    def note_request(request) -> None:
        if not request.url.startswith((server.url, "data:", "blob:", "about:")):
            troubles.append(request.url)

    tab.on("pageerror", note_error)
    tab.on("request", note_request)
    yield tab
    tab.remove_listener("pageerror", note_error)
    tab.remove_listener("request", note_request)
    assert not troubles


@pytest.fixture
def page(app_tab, server) -> Page:
    """A fresh session on the app, at its first page."""
    app_tab.goto(server.url)
    app_tab.locator("[data-testid=stFileUploader]").wait_for(timeout=60_000)
    return app_tab


@pytest.fixture(scope="session")
def findings(small_models, vocal_models):
    """What the core itself says of every image of the small dataset: path -> Finding."""
    reader = load_predictor("small", vocal_models)
    paths = sorted((small_models.parent / "data" / "images").glob("*/*.jpg"))
    return {path: reader.predict(read_radiograph(path)) for path in paths}


@pytest.fixture(scope="session")
def known(findings):
    """The images that the small network is not surprised by, most evidence drawn first."""
    paths = [path for path, finding in findings.items() if finding.assessed]
    return sorted(paths, key=lambda path: -findings[path].heatmap("grad-cam").max())
