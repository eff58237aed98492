"""A real browser and a real server: Chromium from the system, Streamlit as a child process on a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def browser():
    """Chromium, headless; skipped where there is none, required where CI is set."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs Chromium: install Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=list(_QUIET))
        yield chromium
        chromium.close()


class Server:
    """The app on a free loopback port."""

    def __init__(self, log: Path, **environment: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.headless", "true"]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [*command, "--server.port", str(self.port)],
                cwd=ROOT,
                env=os.environ | environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2)
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"the app does not answer: {self.log.read_text()[-2000:]}")

    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(status.partition("VmRSS:")[2].split()[0])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


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
