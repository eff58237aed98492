"""How many simultaneous sessions the app can serve, and how long each of them waits.

    python -m benchmarks.crowd [FOLDER] [--bundle NAME] [--rounds 3] [--most 80] [--seconds 900]

Starts the app on a free loopback port. Then 1, 5, 10, 20, 40 ... visitors at a time (Streamlit's own websocket and
upload address, no browser) each upload a radiograph of their own at the same moment, `rounds` times, and check that
image, name and probability on their page are those of their own file. Prints findings per second, waiting times, the
server's memory, how many were asked to come back because the queue was full, errors and wrong answers.

Stops at the first step with an error or a wrong answer, and beyond `--most` sessions or `--seconds`. FOLDER contains
the radiographs (default: FracAtlas). Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from fracture_core.bundle.loading import DEFAULT_BUNDLE
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Predictor, load_predictor
from tests.browser.app import Server
from tests.support.web_session import TroubleError, WebSession

STEPS = (1, 5, 10, 20, 40, 80, 160)
_FULL = "The server is busy"


@dataclass
class Outcome:
    """What all sessions of a step saw together."""

    waits: list[float] = field(default_factory=list)
    turned_away: int = 0
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory: int = 0

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.waits, share)) if self.waits else float("nan")


class Truth:
    """The core's own result for a file, computed in this process: what each visitor must see."""

    def __init__(self, reader: Predictor):
        self._reader = reader
        self._lock = threading.Lock()

    @cache  # noqa: B019 - lives as long as the script
    def of(self, path: Path) -> tuple[np.ndarray, str]:
        """Return the pixels, and the probability as the result card places its mark; "" if none is shown."""
        with self._lock:
            finding = self._reader.predict(read_radiograph(path))
        return finding.radiograph.pixels, f"left:{finding.probability:.2%}" if finding.assessed else ""

    def fault(self, session: WebSession, path: Path) -> str:
        """Return what on the visitor's page does not belong to this file, or ""."""
        pixels, mark = self.of(path)
        shown = session.viewer()
        if shown is None:
            return f"{path.name}: no image"
        name, seen = shown
        if name != path.name or not np.array_equal(seen, pixels):
            return f"{path.name}: shows {name}"
        return "" if mark in session.answer else f"{path.name}: another probability"


def visit(session: WebSession, paths: list[Path], together: threading.Barrier, outcome: Outcome, truth: Truth) -> None:
    """Upload one file after the other, each at the same moment as all other visitors."""
    for path in paths:
        data = path.read_bytes()
        try:
            together.wait(session.timeout)
            before = time.perf_counter()
            session.upload(path.name, data)
            session.until(lambda: session.finished)
            wait = time.perf_counter() - before
        except (TroubleError, OSError, threading.BrokenBarrierError) as error:
            outcome.errors.append(f"{type(error).__name__}: {error}")
            together.abort()
            return
        if any(_FULL in alert for alert in session.alerts):
            outcome.turned_away += 1
        elif session.traceback or not session.answer:
            outcome.errors.append(session.traceback or f"{path.name}: no answer; {session.alerts}")
        else:
            outcome.waits.append(wait)
            if fault := truth.fault(session, path):
                outcome.wrong.append(fault)


def step(server: Server, sessions: int, rounds: int, files: list[Path], truth: Truth, timeout: float) -> Outcome:
    """Run a number of visitors at once, all with different files."""
    outcome = Outcome()
    chosen = [[files[(r * sessions + s) % len(files)] for r in range(rounds)] for s in range(sessions)]
    for path in {path for paths in chosen for path in paths}:
        truth.of(path)
    try:
        visitors = [WebSession(server.url, timeout) for _ in range(sessions)]
    except (TroubleError, OSError) as error:
        outcome.errors.append(f"not let in: {error}")
        return outcome
    together = threading.Barrier(sessions)
    before = time.perf_counter()
    with ThreadPoolExecutor(sessions) as pool:
        running = [
            pool.submit(visit, v, paths, together, outcome, truth) for v, paths in zip(visitors, chosen, strict=True)
        ]
        while not all(session.done() for session in running):
            outcome.memory = max(outcome.memory, server.memory())
            time.sleep(0.2)
        for session in running:
            session.result()
    outcome.seconds = time.perf_counter() - before
    for visitor in visitors:
        visitor.close()
    return outcome


def _row(sessions: int, outcome: Outcome) -> str:
    rate = len(outcome.waits) / outcome.seconds if outcome.seconds else 0.0
    return (
        f"{sessions:8d} {rate:10.2f} {outcome.percentile(50):8.2f} {outcome.percentile(95):8.2f}"
        f" {outcome.memory / 2**20:9.0f} {outcome.turned_away:12d} {len(outcome.errors):7d} {len(outcome.wrong):7d}"
    )


def judge(results: dict[int, Outcome]) -> bool:
    """Print whether the bars are met: twenty at once, no error, 95 % within 1.5 of a fair share of one's wait."""
    twenty, alone = results.get(20), results.get(1)
    if twenty is None or alone is None or not alone.waits:
        print("The bars need the steps of 1 and of 20 sessions.")
        return False
    single = alone.percentile(95)
    ratio = twenty.percentile(95) / single
    clean = not (twenty.errors or twenty.wrong or twenty.turned_away)
    print(f"20 sessions: p95 is {ratio:.1f} x a single one's p95 of {single:.2f} s   (bar 30 x)")
    print(f"20 sessions: {'no error, no wrong answer, nobody turned away' if clean else 'NOT clean'}")
    return clean and ratio <= 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--bundle", default=DEFAULT_BUNDLE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=80, help="the largest step")
    parser.add_argument("--seconds", type=float, default=900.0, help="begin no step after so long")
    parser.add_argument("--timeout", type=float, default=120.0, help="how long a visitor waits before giving up")
    arguments = parser.parse_args()
    folder = arguments.folder or FracAtlas().root / "images" / "Fractured"
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    steps = [n for n in STEPS if n <= arguments.most]
    if len(files) < max(steps):
        parser.error(f"{folder} holds {len(files)} images, fewer than {max(steps)} sessions")
    truth, results, ended = Truth(load_predictor(arguments.bundle)), {}, time.monotonic() + arguments.seconds
    with tempfile.TemporaryDirectory() as scratch:
        server = Server(Path(scratch) / "log")
        try:
            server.wait()
            warm = WebSession(server.url, arguments.timeout)
            warm.upload(files[-1].name, files[-1].read_bytes())
            warm.until(lambda: warm.finished)
            warm.close()
            print("sessions findings/s    p50 s    p95 s memory MB  turned away  errors   wrong", flush=True)
            for sessions in steps:
                if time.monotonic() > ended:
                    print(f"stopped: {arguments.seconds:.0f} s are over")
                    break
                outcome = results[sessions] = step(server, sessions, arguments.rounds, files, truth, arguments.timeout)
                print(_row(sessions, outcome), flush=True)
                if outcome.errors or outcome.wrong:
                    print("stopped, because of:", *(outcome.errors + outcome.wrong)[:5], sep="\n  ")
                    break
            traces = server.log.read_text().count("Traceback")
            print(f"tracebacks in the server's log: {traces}")
        finally:
            server.stop()
    return 0 if judge(results) and not traces else 1


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
