"""How long a change of filter on the Dataset page takes, in a real browser: this checkout, and others beside it.

    FRACATLAS_DIR=/path/to/FracAtlas python -m benchmarks.dataset_filter [FOLDER ...] [--rounds N] [--cache FOLDER]

From a press on a choice of the filters to the new number of radiographs and the new first tile on screen. The apps run
side by side and take turns, so that whatever else the machine does slows all alike: compare the ratios, and the work of
server and browser, which nobody else's work is part of. Each app audits the dataset and makes its thumbnails first,
which takes minutes; with --cache that is kept for the next time.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

from fracture_core.cli.exit_status import exit_status
from fracture_core.data.catalogue import Filters, catalogue, select
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from tests.browser.app import ROOT, Server, chromium


@dataclass(frozen=True)
class Taken:
    """Seconds: on the clock, of the server's processor time, and of work of the page's main thread."""

    wall: float
    server: float
    browser: float


#: Choices that are pressed in turn, by any of the names that a version of the page gives them, and the filters after.
STEPS = (
    ("fractured", Filters(labels=["fractured"])),
    ("upper limb|hand", Filters(labels=["fractured"], parts=["hand"])),
    ("lateral", Filters(labels=["fractured"], parts=["hand"], views=["lateral"])),
    ("fractured", Filters(parts=["hand"], views=["lateral"])),
    ("lateral", Filters(parts=["hand"])),
    ("upper limb|hand", Filters()),
)
_SHOWN = """([words, first]) => {
  const said = [...document.querySelectorAll("[data-testid=stMarkdownContainer] p")].some(
    (one) => one.textContent.startsWith(words));
  const hosts = [document, ...[...document.querySelectorAll(".stBidiComponent *")].map((one) => one.shadowRoot)];
  const tile = said && hosts.map((one) => one?.querySelector(".gallery button")).find(Boolean);
  return Boolean(tile) && tile.textContent.includes(first);
}"""
_QUIET = """() => !document.querySelector("[data-testid=stProgress]")
  && document.querySelector("[data-test-script-state]")?.dataset.testScriptState !== "running" """


def open_page(browser, server: Server) -> Page:
    """Open the Dataset page and wait until the audit is over."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(f"{server.url}/dataset")
    page.locator(".gallery").first.wait_for(state="attached", timeout=600_000)
    page.wait_for_function(_QUIET, timeout=1_200_000, polling=1000)
    page.wait_for_timeout(2000)
    return page


def change(page: Page, server: Server, name: str, number: int, of: int, first: str) -> Taken:
    """Press a choice and wait until its images are shown."""
    choice = page.get_by_role("button", name=re.compile(rf"^(✓ )?({name})( [\d,]+)?$", re.IGNORECASE)).first
    used, drawn = server.processor(), _busy(page)
    before = time.perf_counter()
    choice.click(timeout=60_000)
    page.wait_for_function(_SHOWN, arg=[f"{number:,} of {of:,} radiographs", first], polling="raf", timeout=60_000)
    waited = time.perf_counter() - before
    page.wait_for_timeout(400)
    return Taken(waited, server.processor() - used, _busy(page) - drawn)


def _busy(page: Page) -> float:
    """Return the seconds for which the page's main thread has been at work."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    session.detach()
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def measure(browser, servers: dict[str, Server], rounds: int) -> dict[str, list[Taken]]:
    """Return what every change took by app; the first round warms up and is left out."""
    table = catalogue(FracAtlas(find_fracatlas()))
    pages = {name: open_page(browser, server) for name, server in servers.items()}
    taken_by: dict[str, list[Taken]] = {name: [] for name in servers}
    for number in range(rounds + 1):
        for place, (name, filters) in enumerate(STEPS):
            ids = select(table, filters)
            # Each app goes first as often as the others.
            turns = list(pages) if (number + place) % 2 else list(pages)[::-1]
            for app in turns:
                taken = change(pages[app], servers[app], name, len(ids), len(table), ids[0])
                taken_by[app] += [taken] if number else []
    return taken_by


def main() -> None:
    """Start every app, measure, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("others", nargs="*", type=Path, metavar="FOLDER", help="other checkouts of this project")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        servers = {}
        try:
            for place, checkout in enumerate([ROOT, *options.others]):
                cache = (options.cache or Path(folder)) / f"{place}"
                server = Server(Path(folder) / f"log{place}", folder=checkout, FRACTURE_CACHE_DIR=str(cache.resolve()))
                servers["this checkout" if place == 0 else str(checkout)] = server
                server.wait()
            results = measure(browser, servers, options.rounds)
        finally:
            for server in servers.values():
                server.stop()
    reference = results["this checkout"]
    for name, taken in results.items():
        figures = "   ".join(
            f"{key} {_middle(taken, key):5.2f} s (x {_middle(taken, key) / _middle(reference, key):.2f})"
            for key in ("wall", "server", "browser")
        )
        print(f"{name:40s} {figures}   median of {len(taken)}")


def _middle(taken: list[Taken], key: str) -> float:
    return statistics.median(getattr(sample, key) for sample in taken)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
