"""What a reader's verdict on the Diagnose page costs the server.

    python -m benchmarks.verdict [--films N]

Starts the app with a review folder, opens N radiographs of FracAtlas in Chromium, turns the pages with the arrow key,
then gives a verdict on each by one key, and prints the server's processor time for each of the two (bar: 100 ms a
verdict, the next film's opening included). Processor time counts nobody else's work on the machine.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.data.review.review_set import ReviewSet
from tests.browser.app import Server, chromium

_WAIT = 300_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=24)
    films = parser.parse_args().films
    dataset = FracAtlas(find_fracatlas())
    paths = [str(dataset.path(image_id)) for image_id in dataset.table.index[:: len(dataset) // films][:films]]
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        root = Path(folder)
        server = Server(root / "log", FRACTURE_REVIEW_DIR=str(root / "review"))
        try:
            server.wait()
            turned, given = measure(browser.new_page(viewport={"width": 1440, "height": 900}), server, paths)
        finally:
            server.stop()
        count = len(ReviewSet(root / "review").verdicts())
    print(f"Opening the next film: {1000 * turned:.0f} ms of processor time.")
    print(f"A verdict, with the next film: {1000 * given:.0f} ms (bar 100 ms); {count} of {films} kept.")


def measure(page, server: Server, paths: list[str]) -> tuple[float, float]:
    """Return the server's seconds of processor time for opening the next film, and for a verdict."""
    page.goto(server.url)
    page.locator("input[type=file]").wait_for(state="attached", timeout=_WAIT)
    page.locator("input[type=file]").set_input_files(paths)
    page.locator(".list .row").nth(len(paths) - 1).wait_for(state="attached", timeout=_WAIT)
    name = page.get_by_label("Your name or initials")
    name.fill("bench")
    name.press("Enter")
    page.get_by_text(f"0 of {len(paths)} read").wait_for(timeout=_WAIT)
    page.locator(".port:visible").first.focus()
    spent = []
    for key, texts in (
        ("ArrowRight", [f"{n} of {len(paths)}" for n in range(2, len(paths) + 1)]),
        ("n", [f"{n} of {len(paths)} read" for n in range(1, len(paths) + 1)]),
    ):
        page.wait_for_timeout(3000)  # what came before shall not be counted
        before = server.processor()
        for text in texts:
            shown = page.locator(".viewer").get_attribute("data-review")
            page.keyboard.press(key)
            page.get_by_text(text, exact=key == "ArrowRight").first.wait_for(timeout=_WAIT)
            page.locator(f".viewer[data-review]:not([data-review='{shown}'])").wait_for(timeout=_WAIT)
        page.wait_for_timeout(2000)
        spent.append((server.processor() - before) / len(texts))
    return spent[0], spent[1]


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
