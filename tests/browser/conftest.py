"""A real browser and a real server: Chromium from the system, Streamlit as a child process on a free port."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.browser.app import Server, chromium, find_chromium


@pytest.fixture(scope="session")
def browser():
    """Chromium, headless; skipped where there is none, required where CI is set."""
    if not find_chromium():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs Chromium: install Debian's package chromium")
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def server(small_models, tmp_path_factory) -> Iterator[Server]:
    """The app on the small bundle and its dataset."""
    folder = tmp_path_factory.mktemp("server")
    running = Server(
        folder / "log",
        FRACTURE_MODELS_DIR=str(small_models),
        FRACATLAS_DIR=str(small_models.parent / "data"),
    )
    running.wait()
    yield running
    running.stop()


@pytest.fixture
def page(browser, server):
    """A page of a fresh session on the app; it fails where the page logs an error or calls another machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    opened = context.new_page()
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("request", lambda r: None if r.url.startswith((server.url, "data:", "blob:")) else troubles.append(r.url))
    opened.goto(server.url)
    opened.locator("[data-testid=stFileUploader]").wait_for(timeout=60_000)
    yield opened
    context.close()
    assert not troubles


@pytest.fixture(scope="session")
def findings(small_models):
    """What the core itself says of every picture of the small dataset: path -> Finding."""
    from fracture_core.predict import load_reader
    from fracture_core.radiograph import read_radiograph

    reader = load_reader("small", small_models)
    paths = sorted((small_models.parent / "data" / "images").glob("*/*.jpg"))
    return {path: reader.read(read_radiograph(path)) for path in paths}


@pytest.fixture(scope="session")
def known(findings):
    """The pictures that the small network is not surprised by, most evidence drawn first."""
    paths = [path for path, finding in findings.items() if finding.familiar]
    return sorted(paths, key=lambda path: -findings[path].heatmap("grad-cam").max())
