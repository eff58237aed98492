"""Check that memory stays flat: a thousand diagnoses in a row, and how much the process grew.

    python -m benchmarks.endurance [FOLDER] [--bundle NAME] [--diagnoses 1000] [--through core|page|both]

"core": file -> finding -> every heatmap that the page shows, as PNG, in this process. "page": the same through the app,
started on a free loopback port: one visitor after the other over Streamlit's own websocket, each with the same ten
uploads, because an open page keeps its image and images differ in size. Memory is resident memory (RSS) after warming
up, at every tenth of the way, and at the end.

Streamlit keeps a departed visitor for two minutes, in case the connection was only lost; the page's value is therefore
taken after the last of them have been released. Exits with 1 if memory grows by more than 50 MB.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fracture_core.bundle.loading import DEFAULT_BUNDLE
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.explain.overlay import colour_layer, to_png
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import load_predictor
from tests.browser.app import Server
from tests.support.web_session import WebSession

BAR = 50 * 2**20
_A_VISIT = 10
#: Seconds: a little more than Streamlit keeps a lost session.
_KEPT = 150.0


def resident() -> int:
    """Return the resident memory of this process, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])


def diagnose(reader, path: Path) -> None:
    """Do everything that the page does with a file, and keep nothing of it."""
    finding = reader.predict(read_radiograph(path, accept_cut_short=True))
    to_png(finding.radiograph.pixels)
    for method in finding.methods[:2]:
        to_png(colour_layer(finding.heatmap(method), finding.full_colour(method), longest=512))


def watch(
    what: str,
    n: int,
    once: Callable[[], object],
    memory: Callable[[], int],
    *,
    warm_up: int = 100,
    settle: Callable[[], object] = gc.collect,
) -> int:
    """Run `once` n times, print memory on the way, and return the growth in bytes.

    `warm_up` runs come first, in which libraries fill their caches and allocators their pools. `settle` is called
    before the first and the last measurement to release what is kept for a while.
    """
    for _ in range(warm_up):
        once()
    settle()
    first, began = memory(), time.process_time()
    print(f"{what}: {first / 2**20:.0f} MB after {warm_up} diagnoses of warming up", flush=True)
    for done in range(1, n + 1):
        once()
        if done % max(1, n // 10) == 0:
            print(f"{what}: {done:6d} diagnoses, {(memory() - first) / 2**20:+7.1f} MB", flush=True)
    settle()
    growth = memory() - first
    spent = time.process_time() - began
    print(
        f"{what}: growth {growth / 2**20:.1f} MB over {n} diagnoses (bar 50 MB); {spent:.0f} s of this process's time"
    )
    return growth


def through_core(bundle: str, files: list[Path], n: int, warm_up: int) -> int:
    """Return the growth of this process, in bytes."""
    reader, coming = load_predictor(bundle), itertools.cycle(files)
    return watch("core", n, lambda: diagnose(reader, next(coming)), resident, warm_up=warm_up)


class Visitors:
    """One visitor after the other, each with a few uploads."""

    def __init__(self, url: str, files: list[Path]):
        self._url, self._coming, self._done = url, itertools.cycle(files), 0
        self._visitor: WebSession | None = None

    def diagnose(self) -> None:
        """Upload the next file and wait for its result; raise if there is none."""
        if self._done % _A_VISIT == 0:
            self.leave()
            self._visitor = WebSession(self._url, 120)
        self._done += 1
        path = next(self._coming)
        self._visitor.upload(path.name, path.read_bytes())
        self._visitor.until(lambda: self._visitor.finished)
        if not self._visitor.answer:
            raise RuntimeError(f"{path.name} got no answer: {self._visitor.alerts}")

    def leave(self) -> None:
        """Close the current visitor's tab."""
        if self._visitor is not None:
            self._visitor.close()
        self._visitor, self._done = None, 0

    def forgotten(self, rest: float) -> None:
        """Return once Streamlit has released all who left: after `rest` seconds, and during the next visit."""
        self.leave()
        time.sleep(rest)
        for _ in range(_A_VISIT):
            self.diagnose()


def through_page(files: list[Path], n: int, warm_up: int, rest: float) -> int:
    """Return the growth of the app's process, in bytes."""
    with tempfile.TemporaryDirectory() as scratch:
        server = Server(Path(scratch) / "log")
        try:
            server.wait()
            visitors = Visitors(server.url, files[:: -(-len(files) // _A_VISIT)])
            settle = partial(visitors.forgotten, rest)
            return watch("page", n, visitors.diagnose, server.memory, warm_up=warm_up, settle=settle)
        finally:
            server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--bundle", default=DEFAULT_BUNDLE)
    parser.add_argument("--diagnoses", type=int, default=1000)
    parser.add_argument("--warm-up", type=int, default=100, help="diagnoses before the first look")
    parser.add_argument("--through", choices=("core", "page", "both"), default="both")
    parser.add_argument("--rest", type=float, default=_KEPT, help="seconds for the page to let go of lost sessions")
    arguments = parser.parse_args()
    folder = arguments.folder or FracAtlas().root / "images" / "Fractured"
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    growths = []
    if arguments.through in ("core", "both"):
        growths.append(through_core(arguments.bundle, files, arguments.diagnoses, arguments.warm_up))
    if arguments.through in ("page", "both"):
        growths.append(through_page(files, arguments.diagnoses, arguments.warm_up, arguments.rest))
    return int(max(growths) > BAR)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
