"""How long a user waits, measured in a real browser, and what many users cost.

    python -m benchmarks.first_finding FILE [FILE ...] [--sessions 10]

From `make app` to the first finding on screen, then later uploads in the same session, then many sessions that upload
at once: seconds, errors, and the server's memory. Without files it uses FracAtlas's first fractured images, most of
them of the largest size. The browser is running before the clock starts. On a busy machine only the server's processor
time is meaningful.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas
from tests.browser.app import Server, chromium

# The name first: whether something is visible has the browser lay out the page, and this is asked at every frame.
_SHOWN = """name => [...document.querySelectorAll(".stBidiComponent *")].some(
    element => element.shadowRoot?.querySelector(".plain .stage > img")?.alt.includes(name)
      && element.shadowRoot.querySelector(".viewer").checkVisibility({ visibilityProperty: true }))
  && document.querySelector(".answer")?.checkVisibility({ visibilityProperty: true })"""


def wait_for_finding(page, name: str) -> None:
    """Wait until the card is there and the viewer shows this file."""
    # Looked for at every frame that the browser draws: a locator waits up to half a second between two looks.
    page.wait_for_function(_SHOWN, arg=name, polling="raf", timeout=120_000)


def upload(page, path: Path) -> float:
    """Return the seconds from choosing a file to its finding."""
    before = time.perf_counter()
    page.locator("input[type=file]").first.set_input_files(str(path))
    wait_for_finding(page, path.name)
    return time.perf_counter() - before


def first(browser, files: list[Path], log: Path) -> Server:
    """Print the wait for the first finding and for later ones; return the running server."""
    before = time.perf_counter()
    server = Server(log, command=("make", "app", "PORT={port}"))
    server.wait()
    answered, used = time.perf_counter() - before, [server.processor()]
    page = browser.new_page()
    page.goto(server.url)
    page.locator("input[type=file]").wait_for(state="attached", timeout=60_000)
    painted = time.perf_counter() - before
    used.append(server.processor())
    upload(page, files[0])
    seconds = time.perf_counter() - before
    used.append(server.processor())
    print(f"make app -> server answers      {answered:6.2f} s             server's processor time {used[0]:5.2f} s")
    print(f"make app -> page painted        {painted:6.2f} s             server's processor time {used[1]:5.2f} s")
    print(f"make app -> first finding       {seconds:6.2f} s  (bar 6 s)  server's processor time {used[2]:5.2f} s")
    waits = []
    for path in files[1:]:
        waits.append(upload(page, path))
    if waits:
        each = (server.processor() - used[2]) / len(waits)
        middle = statistics.median(waits)
        print(f"later upload, median            {middle:6.2f} s  (bar 1 s)  server's processor time {each:5.2f} s")
        print(f"later upload, slowest of {len(waits):<3d}    {max(waits):6.2f} s")
    page.close()
    return server


def crowd(browser, server: Server, files: list[Path], sessions: int) -> None:
    """Print what `sessions` simultaneous sessions see and cost."""
    contexts = [browser.new_context() for _ in range(sessions)]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.goto(server.url)
        page.locator("input[type=file]").wait_for(state="attached", timeout=60_000)
    before = time.perf_counter()
    chosen = [files[number % len(files)] for number in range(sessions)]
    for page, path in zip(pages, chosen, strict=True):
        page.locator("input[type=file]").set_input_files(str(path))
    for page, path in zip(pages, chosen, strict=True):
        wait_for_finding(page, path.name)
    print(f"{sessions} sessions at once, all read    {time.perf_counter() - before:6.2f} s")
    print(f"server's memory                 {server.memory() / 2**20:6.0f} MB  (bar 1,536 MB)")
    print(f"errors in the server's log      {server.log.read_text().count('Traceback'):6d}")
    for context in contexts:
        context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--sessions", type=int, default=10)
    arguments = parser.parse_args()
    files = arguments.files
    if not files:
        dataset = FracAtlas()
        files = [dataset.path(i) for i in dataset.table.index[dataset.table["label"] == 1][:12]]
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        server = first(browser, files, Path(folder) / "log")
        try:
            crowd(browser, server, files, arguments.sessions)
        finally:
            server.stop()


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
