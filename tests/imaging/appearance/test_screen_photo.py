"""Photos of a screen: what is seen in made-up ones of the example radiographs, and not seen in the radiographs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fracture_core.imaging.appearance.screen_photo import MOIRE_WARNING, TINT_WARNING, shows_moire
from fracture_core.imaging.letterbox import letterbox
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.cautions import cautions
from tests.support.made_pictures import encoded
from tests.support.screen_photos import photo

EXAMPLES = sorted((Path(__file__).parents[3] / "pages" / "examples").glob("*.jpg"))


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    """Photos in grey, as messengers and scanners leave them."""
    random = np.random.default_rng(0)
    made = (photo(read_radiograph(path, accept_cut_short=True).pixels, random)[0] for path in EXAMPLES[:5])
    return [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in made]


def test_radiographs_show_no_moire() -> None:
    assert EXAMPLES
    for path in EXAMPLES:
        assert not read_radiograph(path, accept_cut_short=True).moire


@pytest.mark.slow
def test_moire_is_seen_in_most_grey_photos_of_a_screen(photos) -> None:
    seen = [shows_moire(picture) for picture in photos]
    assert sum(seen) >= 0.6 * len(seen)
    radiograph = read_radiograph(encoded(photos[seen.index(True)], "PNG"))
    assert MOIRE_WARNING in list(cautions(radiograph, letterbox(radiograph.pixels, 224)[1], frozenset()))


def test_a_grid_of_one_direction_and_a_slanted_edge_are_no_moire() -> None:
    pixels = read_radiograph(EXAMPLES[0]).pixels.astype(float)
    rows, columns = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]]
    grid = pixels + 6 * np.sin(2 * np.pi * (0.31 * columns + 0.02 * rows))
    edge = pixels * np.clip(columns + 0.4 * rows - pixels.shape[1] * 0.6, 0, 2) / 2
    for made in (grid, edge):
        assert not shows_moire(np.clip(made, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_colour_cast_is_told_and_neutral_colour_is_not(kind: str) -> None:
    pixels = read_radiograph(EXAMPLES[0]).pixels
    cast = np.clip(pixels[:, :, None] * np.array([0.8, 0.95, 1.15]), 0, 255).astype(np.uint8)
    assert TINT_WARNING in read_radiograph(encoded(cast, kind)).warnings
    neutral = np.dstack([pixels] * 3)
    neutral[:20, :20] = (255, 0, 0)
    assert TINT_WARNING not in read_radiograph(encoded(neutral, kind)).warnings


def test_small_and_flat_images_show_nothing() -> None:
    assert not shows_moire(np.zeros((100, 100), np.uint8))
    assert not shows_moire(np.full((600, 600), 128, np.uint8))
