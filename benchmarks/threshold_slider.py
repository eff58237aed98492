"""What moving the threshold slider costs the server, tab by tab, and changing a filter on the Dataset page.

    python -m benchmarks.threshold_slider [--bundle NAME] [--moves N] [--beside-training]

Runs the pages in Streamlit's own test harness, without a browser, and prints the median and the slowest move in wall
time (bars: 100 ms and 300 ms) and in processor time. The harness redraws the whole page where a browser redraws only
what depends on the slider, so a browser's cost is lower. Then it drags the slider in Chromium and prints the frames a
second (bar: 30). `--beside-training` first starts a training job on FracAtlas,
as the Training page does, and measures while its steps run.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from streamlit.testing.v1 import AppTest

from fracture_core.bundle.loading import DEFAULT_BUNDLE
from fracture_core.cli.exit_status import exit_status
from fracture_core.jobs import launcher as job
from fracture_core.jobs.status import status
from fracture_core.paths import dataset_folder
from fracture_core.recipe import Recipe
from pages.parts.threshold.state import EXACT
from pages.parts.threshold.tabs import TITLES
from tests.browser.app import Server, chromium, find_chromium

ROOT = Path(__file__).resolve().parents[1]


def timed(app: AppTest, changes: Sequence[Callable[[], object]]) -> tuple[list[float], list[float]]:
    """Return the milliseconds of wall time and of processor time of each change, except the first, which warms up."""
    wall, processor = [], []
    for change in changes:
        change()
        before = time.perf_counter(), time.process_time()
        app.run()
        wall.append(1000 * (time.perf_counter() - before[0]))
        processor.append(1000 * (time.process_time() - before[1]))
        if app.exception:
            raise SystemExit(app.exception[0].value)
    return wall[1:], processor[1:]


def say(what: str, wall: Sequence[float], processor: Sequence[float], bar: int) -> None:
    print(
        f"{what:24s} wall {statistics.median(wall):4.0f} ms, slowest {max(wall):4.0f} ms   "
        f"processor {statistics.median(processor):4.0f} ms, most {max(processor):4.0f} ms   (bar {bar} ms)"
    )


def opened(page: str, bundle: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / page), default_timeout=300)
    app.session_state["bundle"] = bundle
    return app.run()


def slider(bundle: str, moves: int) -> None:
    app = opened("threshold.py", bundle)
    places = [(37 * n % 997) / 1000 for n in range(moves + 1)]
    for split in ("val", "test"):
        app.session_state["threshold_split"] = split
        app.session_state["threshold_unlock"] = True
        for tab in TITLES:
            app.session_state["threshold_tab"] = tab
            app.run()
            move = [lambda to=to: app.number_input(key=EXACT).set_value(to) for to in places]
            say(f"release, {split}, {tab}", *timed(app, move), 100)


def releases(page, server: Server, times: int = 12) -> None:
    """Print what one release costs the server behind a real browser, from its message to the end of the run."""
    page.evaluate(_LISTEN)
    page.wait_for_timeout(2000)
    before, waits = server.processor(), []
    for number in range(times):
        waits.append(page.evaluate(_RELEASE, 0.03 + 0.04 * number))
        page.wait_for_timeout(500)
    print(
        f"release, in a browser    wall {statistics.median(waits):4.0f} ms, slowest {max(waits):4.0f} ms   "
        f"processor {1000 * (server.processor() - before) / times:4.0f} ms, all the server's   (bar 100 ms)"
    )


def frames(seconds: float = 3.0) -> None:
    """Drag the slider in Chromium, on the test set, and print how often a second matrix and marks moved."""
    if not find_chromium():
        print("There is no Chromium on this machine: frames are left out.")
        return
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        server = Server(Path(folder) / "log")
        try:
            server.wait()
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            page.goto(f"{server.url}/threshold")
            page.locator(".live[aria-busy=false]").wait_for(timeout=180_000)
            page.get_by_text("Test (check here)").click()
            page.get_by_text("Allow changes on the test set").click()
            page.locator(".live[aria-busy=false][data-locked=false]").wait_for(timeout=180_000)
            releases(page, server)
            drawn, shown, work = page.evaluate(_DRAG, seconds)
            print(
                f"dragging, on test        {drawn:.0f} frames a second, {shown:.0f} with a new matrix (bar 30); "
                f"{work:.2f} ms of work a frame; load {os.getloadavg()[0]:.1f}"
            )
        finally:
            server.stop()


#: Keeps when the page was last told something, and when it told something.
_LISTEN = """() => {
  window.told = 0;
  const state = document.querySelector("[data-testid=stApp]");
  new MutationObserver(() => { if (state.dataset.testScriptState === "notRunning") window.told = performance.now(); })
    .observe(state, { attributes: true, attributeFilter: ["data-test-script-state"] });
}"""
#: Lets the slider go at a threshold; milliseconds until the server has drawn all that depends on it.
_RELEASE = """async (threshold) => {
  const { live } = document.querySelector(".live"), began = performance.now();
  live.release({ threshold });
  while (window.told < began && performance.now() - began < 20000) await new Promise((done) => setTimeout(done, 2));
  return window.told - began;
}"""
#: Moves the slider a little in every frame, as a finger does, and counts frames, frames with new counts, and the
#: milliseconds that one update takes.
_DRAG = """async (seconds) => {
  const live = document.querySelector(".live"), slider = live.querySelector("input"), began = performance.now();
  let frames = 0, changes = 0;
  new MutationObserver(() => changes++).observe(live, { attributes: true, attributeFilter: ["data-counts"] });
  while (performance.now() - began < 1000 * seconds) {
    await new Promise(requestAnimationFrame);
    frames++;
    const share = (frames % 90) / 90;
    slider.value = +slider.min + share * (slider.max - slider.min);
    slider.dispatchEvent(new Event("input"));
  }
  const passed = (performance.now() - began) / 1000, before = performance.now();
  for (let k = 0; k < 50; k++) { live.live.threshold = (k + 1) / 52; live.live.show(); }
  return [frames / passed, changes / passed, (performance.now() - before) / 50];
}"""


def filters(bundle: str, moves: int) -> None:
    if not (dataset_folder() / "dataset.csv").is_file():
        print("FracAtlas is not on this machine: the dataset page is left out.")
        return
    app = opened("dataset.py", bundle)
    choices = [
        ("label", ["fractured"]),
        ("part", ["hand"]),
        ("projection", ["lateral"]),
        ("split", ["test"]),
        ("part", []),
    ]
    change = [lambda key=key, to=to: _ask(app, key, to) for key, to in (choices * moves)[: moves + 1]]
    say("filter, dataset page", *timed(app, change), 300)


def _ask(app: AppTest, key: str, choices: Sequence[str]) -> None:
    """Do what a press in the rail of filters does to the address."""
    app.query_params[key] = list(choices)


@contextlib.contextmanager
def training() -> Iterator[None]:
    """Run a job in folders of its own that trains on FracAtlas, from its first step to its end."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FRACTURE_RUNS_DIR"] = folder
        run = job.start(Recipe.load("default").replace(fast_path=False), None, "beside-a-benchmark")
        try:
            deadline = time.monotonic() + 900
            while (now := status(run)).stage != "training":
                if now.state != "running" or time.monotonic() > deadline:
                    raise SystemExit(f"The training job did not get to its first step ({now.state}): {now.error}")
                time.sleep(0.5)
            print(f"beside a training job, at step {status(run).done}; load {os.getloadavg()[0]:.1f}", flush=True)
            yield
            print(f"the job is {status(run).state}, at step {status(run).done}")
        finally:
            job.kill(run)
            job.wait(run, 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default=DEFAULT_BUNDLE)
    parser.add_argument("--moves", type=int, default=10)
    parser.add_argument("--beside-training", action="store_true", help="measure while a training job runs")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # Streamlit's harness warns at every run that it is no server
    with training() if arguments.beside_training else contextlib.nullcontext():
        slider(arguments.bundle, arguments.moves)
        frames()
        filters(arguments.bundle, arguments.moves)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
