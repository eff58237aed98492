"""How fast a large review set is browsed, beside FracAtlas, in one run.

    python -m benchmarks.review_browsing [--films N] [--rounds N]

Writes a review set of N films (default 10,000; drawn images of FracAtlas's usual size, every tenth film read twice) to
a temporary folder, and calls what the pages call: opening the set, filtering it as each redraw does, a page of 24
thumbnails that nobody has looked at yet, and the view of one image. Prints processor time and the ratio to FracAtlas.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from fracture_core.cli.exit_status import exit_status
from fracture_core.data.catalogue import Filters, catalogue, facet_counts, select
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.data.review.catalogue import ReviewCatalogue, ReviewFilters
from fracture_core.data.review.review_set import FILE, ReviewSet
from fracture_core.data.review.verdict import VERDICTS, Verdict
from fracture_core.data.thumbnails import ThumbnailStore, thumbnails
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.reporting.review_session import reviewed_image

_A_PAGE = 24
_HEIGHT, _WIDTH = 454, 373
_PICTURES = 200  # drawn; the films are links to these, for the time of drawing says nothing


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    root = find_fracatlas()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "review"
        make_review_set(folder, arguments.films)
        review, atlas = ReviewSet(folder), FracAtlas(root)
        steps = _steps(review, folder, atlas, root, Path(name))
        print(f"{arguments.films} reviewed films, {len(atlas)} of FracAtlas; ms of processor time, median of rounds")
        print(f"{'':28}{'review set':>12}{'FracAtlas':>12}{'ratio':>8}")
        for step, (ours, theirs) in steps.items():
            times: tuple[list[float], list[float]] = ([], [])
            for number in range(arguments.rounds):
                for taken, act in zip(times, (ours, theirs), strict=True):
                    began = time.process_time()
                    act(number)
                    taken.append(1000 * (time.process_time() - began))
            a, b = (float(np.median(taken)) for taken in times)
            print(f"{step:28}{a:12.1f}{b:12.1f}{a / b:8.2f}")


def _steps(
    review: ReviewSet, folder: Path, atlas: FracAtlas, root: Path, scratch: Path
) -> dict[str, tuple[Callable[[int], object], Callable[[int], object]]]:
    films, table = ReviewCatalogue(review), catalogue(atlas)
    filters = ReviewFilters(verdicts=(VERDICTS[0],), reader="a")

    def filter_review(_: int) -> object:
        places = films.select(filters)
        return [films.images[place] for place in places], films.counts(places)

    def filter_atlas(_: int) -> object:
        asked = Filters(labels=("fractured",), parts=("hand",))
        return select(table, asked), facet_counts(table, asked)

    def page_atlas(number: int) -> object:
        ids = table.index[number * _A_PAGE : (number + 1) * _A_PAGE]
        store = ThumbnailStore(scratch / f"{number}.sqlite")
        return thumbnails({image_id: atlas.path(image_id) for image_id in ids}, store=store, threads=1)

    def page_review(number: int) -> object:
        images = films.images[number * _A_PAGE : (number + 1) * _A_PAGE]
        return [reviewed_image(review, film) for film in map(films.film, images) if film is not None]

    def view_review(number: int) -> object:
        return read_radiograph(review.path(films.images[number])), review.of(films.images[number])

    def open_review(_: int) -> object:
        opened = ReviewCatalogue(ReviewSet(folder))
        return opened, opened.agreements()

    def view_atlas(number: int) -> object:
        image_id = table.index[number]
        return read_radiograph(atlas.path(image_id), accept_cut_short=True), atlas.boxes(image_id)

    return {
        "open": (open_review, lambda _: catalogue(FracAtlas(root))),
        "filter, and each redraw": (filter_review, filter_atlas),
        f"page of {_A_PAGE}, the first time": (page_review, page_atlas),
        "view of an image": (view_review, view_atlas),
    }


def make_review_set(folder: Path, films: int) -> None:
    """Write a review set as the app writes it, without waiting for the disk at each verdict.

    Args:
        folder: The folder, which must not be there yet.
        films: How many films.
    """
    ReviewSet(folder)
    rng = np.random.default_rng(0)
    drawn = [_draw(folder / f"{k}.png", rng) for k in range(min(_PICTURES, films))]
    lines = []
    for number in range(films):
        image = hashlib.sha256(str(number).encode()).hexdigest()
        os.link(drawn[number % len(drawn)], folder / "images" / f"{image}.png")
        for reader in ("a", "b")[: 1 + (number % 10 == 0)]:
            verdict = VERDICTS[int(rng.integers(len(VERDICTS)))]
            boxes = ((40.0, 50.0, 60.0, 30.0),) if verdict == VERDICTS[0] else ()
            model = {"bundle": "x 0", "probability": 0.4, "logit": -0.4, "triage": "fracture unlikely"}
            when = f"2026-0{1 + number % 9}-11T10:00:00.000+00:00"
            patient = f"{number // 2:032x}"
            entry = Verdict(image, verdict, boxes, "", reader, when, patient, _HEIGHT, _WIDTH, "HAND", model)
            lines.append(json.dumps(asdict(entry)))
    (folder / FILE).write_text("\n".join(lines) + "\n", "utf-8")


def _draw(path: Path, rng: np.random.Generator) -> Path:
    """Draw what takes about as long to decode as a radiograph: soft shapes with the noise of a detector."""
    soft = cv2.resize(
        rng.integers(0, 200, (12, 10)).astype(np.float32), (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    cv2.imwrite(str(path), np.clip(soft + rng.normal(0, 4, soft.shape), 0, 255).astype(np.uint8))
    return path


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
