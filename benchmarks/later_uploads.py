"""How long a later upload takes beside the bare network, and beside an older version of the app, in one run.

    python -m benchmarks.later_uploads [FILE ...] [--against FOLDER]

Starts the app, uploads the first file, and then each further one into the same session, in Chromium, from choosing the
file to its finding. Between uploads it times the network alone on a letterboxed radiograph. `--against` is a checkout
of an older version, whose page held one film at a time; its uploads take turns with ours, so that both meet the same
load. Wall time depends on whatever else the machine does; the processor time of server and browser does not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.first_finding import upload
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import load_predictor
from tests.browser.app import ROOT, Server, chromium


class Side:
    """One version of the app with its page, and the seconds that its uploads took."""

    def __init__(self, browser, folder: Path, log: Path, *, one_at_a_time: bool = False):
        self.one_at_a_time = one_at_a_time
        own = folder / ".venv" / "bin" / "python"  # with the packages that this version asks for
        python = str(own) if own.exists() else sys.executable
        command = (python, "-m", "streamlit", "run", "streamlit_app.py", "--server.headless", "true")
        self.server = Server(log, command=(*command, "--server.port", "{port}"), folder=folder)
        self.server.wait()
        self.page = browser.new_page(viewport={"width": 1440, "height": 900})
        self.page.goto(self.server.url, timeout=120_000)
        self.page.locator("input[type=file]").wait_for(state="attached", timeout=120_000)
        self.wall: list[float] = []
        self.server_time: list[float] = []
        self.browser_time: list[float] = []

    def take(self, path: Path) -> None:
        """Upload a file and note what it took; the run after the finding is on screen counts as processor time too."""
        self.page.bring_to_front()  # Chromium draws no frames of a page that is hidden
        if self.one_at_a_time:
            self.page.get_by_role("button", name="Remove").first.click()
            self.page.locator(".answer").wait_for(state="detached", timeout=120_000)
        self.page.wait_for_timeout(1500)
        before = self.server.processor(), _browser_processor()
        self.wall.append(upload(self.page, path))
        self.page.wait_for_timeout(1500)
        self.server_time.append(self.server.processor() - before[0])
        self.browser_time.append(_browser_processor() - before[1])

    def say(self, name: str, network: float) -> None:
        wall, server, browser = map(statistics.median, (self.wall, self.server_time, self.browser_time))
        print(
            f"{name:6s} later upload, median of {len(self.wall)}: wall {wall:5.2f} s ({wall / network:4.1f} networks), "
            f"processor: server {server:5.2f} s, browser {browser:5.2f} s"
        )


def _browser_processor() -> float:
    """Seconds of processor time that this process's browser has used so far."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if "chrom" in (folder / "comm").read_text() and _is_ours(folder):
                total += sum(map(int, (folder / "stat").read_text().rpartition(")")[2].split()[11:13]))
        except OSError:
            continue
    return total / os.sysconf("SC_CLK_TCK")


def _is_ours(folder: Path) -> bool:
    while folder.name not in ("0", "1"):
        if folder.name == str(os.getpid()):
            return True
        folder = Path("/proc") / (folder / "stat").read_text().rpartition(")")[2].split()[1]
    return False


def _network(path: Path) -> Callable[[], tuple[float, float]]:
    """Return what runs the bare network once and gives its seconds of wall and of processor time."""
    scorer = load_predictor().scorer
    square = scorer.fit(read_radiograph(path, accept_cut_short=True).pixels)[0][None]
    scorer.score(square)

    def run() -> tuple[float, float]:
        before = time.perf_counter(), time.process_time()
        scorer.score(square)
        return time.perf_counter() - before[0], time.process_time() - before[1]

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--against", type=Path, help="a checkout of another version")
    arguments = parser.parse_args()
    files = arguments.files
    if not files:
        dataset = FracAtlas()
        files = [dataset.path(i) for i in dataset.table.index[dataset.table["label"] == 1][:12]]
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, ExitStack() as ending:
        sides: dict[str, Side] = {}
        for name, where in (("ours", ROOT), ("other", arguments.against)):
            if where:
                sides[name] = Side(browser, where, Path(folder) / f"{name}.log", one_at_a_time=name == "other")
                ending.callback(sides[name].server.stop)
        network = _network(files[0])
        for side in sides.values():
            side.page.bring_to_front()
            upload(side.page, files[0])
        alone = []
        for path in files[1:]:
            for side in sides.values():
                alone += [network() for _ in range(5)]
                side.take(path)
            waits = ", ".join(f"{name} {side.wall[-1]:.2f} s" for name, side in sides.items())
            print(f"{path.name}: {waits}; the network alone {1000 * min(alone[-5:])[0]:.0f} ms", flush=True)
        wall, processor = map(statistics.median, zip(*alone, strict=True))
        print(f"bare network, median of {len(alone)}: wall {1000 * wall:.0f} ms, processor {1000 * processor:.0f} ms")
        for name, side in sides.items():
            side.say(name, wall)
        if len(sides) == 2:
            pairs = zip(sides["ours"].wall, sides["other"].wall, strict=True)
            print(f"ours / other, median of pairs: wall {statistics.median(a / b for a, b in pairs):.2f}")
            work = [[sum(both) for both in zip(s.server_time, s.browser_time, strict=True)] for s in sides.values()]
            ratio = statistics.median(a / b for a, b in zip(*work, strict=True))
            print(f"ours / other, median of pairs: processor of server and browser {ratio:.2f}")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
