"""How often a photo of a screen is noticed, and how often a radiograph is taken for one.

    FRACATLAS_DIR=... FRACTURE_ELSEWHERE_DIR=... python -m studies.screen_photos [--photos 40] [--films 300]

Made-up photos (`tests/support/screen_photos.py`: sub-pixels, a lens at an angle, light, noise) of validation
radiographs of FracAtlas, in grey, and with the whole screen in view for the perspective; and the radiographs
themselves, those of elsewhere among them if their folder is set. A corner counts as found within 1.5 % of the
photo's width. What is noticed decides over a sentence, never over an answer. Two minutes on an idle core.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from fracture_core.cli.exit_status import exit_status
from fracture_core.data.audit import audit
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.split import project_split
from fracture_core.imaging.appearance.screen_outline import screen_corners
from fracture_core.imaging.appearance.screen_photo import shows_moire
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from fracture_core.metrics.intervals import wilson
from tests.support.screen_photos import PHOTO, photo

#: How far off a corner may be, as a share of the photo's width.
_NEAR = 0.015


def spread(paths: list[Path], count: int) -> list[Path]:
    """Return so many of a list, evenly spread over it."""
    return [paths[place] for place in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)]


def noticed_photos(paths: Iterable[Path], random: np.random.Generator) -> tuple[list[bool], list[bool]]:
    """Photograph radiographs; return whether moiré is seen in each photo, and whether its corners are found."""
    moire, corners = [], []
    for path in paths:
        pixels = read_radiograph(path, accept_cut_short=True).pixels
        close, _ = photo(pixels, random)
        moire.append(shows_moire(cv2.cvtColor(close, cv2.COLOR_RGB2GRAY)))
        askew, stood = photo(pixels, random, share=0.75, skew=0.12)
        found = screen_corners(cv2.cvtColor(askew, cv2.COLOR_RGB2GRAY))
        corners.append(found is not None and np.abs(np.array(found) - stood).max() < _NEAR * PHOTO[1])
    return moire, corners


def taken_for_photos(paths: Iterable[Path]) -> tuple[list[bool], list[bool]]:
    """Return of each radiograph whether moiré is seen in it, and whether a screen's outline is."""
    moire, corners = [], []
    for path in paths:
        try:
            pixels = read_radiograph(path, accept_cut_short=True).pixels
        except UnreadableRadiograph:
            continue
        moire.append(shows_moire(pixels))
        corners.append(screen_corners(pixels) is not None)
    return moire, corners


def report(name: str, moire: list[bool], corners: list[bool]) -> None:
    """Print both counts with their intervals."""
    for what, seen in (("moiré", moire), ("outline", corners)):
        print(f"{name:24}{what:8} {sum(seen):4} of {len(seen)}: {wilson(sum(seen), len(seen))}", flush=True)


def main() -> None:
    """Print a line a group and kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--films", type=int, default=300)
    options = parser.parse_args()
    dataset = FracAtlas()
    validation = [dataset.path(image_id) for image_id in project_split(dataset, audit(dataset)).val]
    report("photos", *noticed_photos(spread(validation, options.photos), np.random.default_rng(0)))
    report("FracAtlas validation", *taken_for_photos(spread(validation, options.films)))
    if os.environ.get("FRACTURE_ELSEWHERE_DIR"):
        folder = Path(os.environ["FRACTURE_ELSEWHERE_DIR"])
        for name, part in (("limb films elsewhere", "limbs"), ("other images elsewhere", "outside")):
            report(name, *taken_for_photos(sorted(path for path in (folder / part).rglob("*") if path.is_file())))


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
