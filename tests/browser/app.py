"""The app as a child process, and Chromium to look at it with: for the browser tests, benchmarks and screenshots."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).parents[2]
_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


def find_chromium() -> str | None:
    """The path of a Chromium on this machine, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def chromium() -> Iterator:
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(_QUIET))
        yield browser
        browser.close()


class Tab:
    """A page of Chromium for one test after the other, because a new one costs two seconds of processor time.

    Every test gets it empty, at the first size, without cookies and without what pages keep in the browser.
    """

    _SIZE: ClassVar = {"width": 1280, "height": 1700}

    def __init__(self, browser):
        self._browser = browser
        self._page = None

    def open(self):
        """Return the page, empty."""
        if self._page is None or self._page.is_closed():
            self._page = self._browser.new_context(viewport=self._SIZE, accept_downloads=True).new_page()
        self._page.set_viewport_size(self._SIZE)
        self._page.mouse.move(0, 0)
        return self._page

    def leave(self) -> None:
        """End what a test did on the page; where it cannot be ended in peace, drop the page."""
        from playwright.sync_api import Error

        try:
            self._forget()
        except Error:
            self.close()

    def _forget(self) -> None:
        page, context = self._page, self._page.context
        for other in context.pages:
            if other != page:
                other.close()
        if (origin := page.evaluate("location.origin")) != "null":
            page.evaluate("sessionStorage.clear()")
            page.goto("about:blank")
            devtools = context.new_cdp_session(page)
            devtools.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
            devtools.detach()
        context.clear_cookies()

    def close(self) -> None:
        """Drop the page; the next test gets another one."""
        if self._page is not None:
            self._page.context.close()
        self._page = None


def eventually(page, holds: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something holds on a page, and fail if it never does: until then the page may still be drawing."""
    for _ in range(round(10 * seconds)):
        if holds():
            return
        page.wait_for_timeout(100)
    assert holds()


def steady(page, look: Callable[[], Any]) -> Any:
    """Return what a look at a page gives once two looks a quarter of a second apart give the same."""
    before = look()
    for _ in range(480):
        page.wait_for_timeout(250)
        if (now := look()) == before:
            return now
        before = now
    raise AssertionError(f"never the same twice: {before}")


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """The app on a free loopback port, started in `folder` by `command` (default: streamlit itself, with `options`)."""

    def __init__(
        self, log: Path, *options: str, command: Sequence[str] | None = None, folder: Path = ROOT, **environment: str
    ):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        streamlit = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.headless", "true"]
        streamlit += ["--server.port", str(self.port), *options]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [part.format(port=self.port) for part in command] if command else streamlit,
                cwd=folder,
                env=os.environ | environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return once the app answers."""
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2)
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise RuntimeError(f"the app does not answer: {self.log.read_text()[-2000:]}")

    def memory(self) -> int:
        """Resident bytes, of children too."""
        return sum(1024 * int((p / "status").read_text().partition("VmRSS:")[2].split()[0]) for p in self._ours())

    def processor(self) -> float:
        """Seconds of processor time used so far, by children too: unlike a clock it counts nobody else's work."""
        # proc(5): after the name in parentheses, the 12th and 13th field are ticks in user and in kernel mode.
        fields = [(p / "stat").read_text().rpartition(")")[2].split() for p in self._ours()]
        return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")

    def _ours(self) -> list[Path]:
        return [p for p in Path("/proc").glob("[0-9]*") if _group(p) == self.process.pid]

    def stop(self) -> None:
        """End the app and what it started; nothing where it has ended."""
        if self.process.poll() is not None:
            return
        os.killpg(self.process.pid, 15)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait(20)


def _group(process: Path) -> int:
    try:
        return os.getpgid(int(process.name))
    except OSError:
        return -1
