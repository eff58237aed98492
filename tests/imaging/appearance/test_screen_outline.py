"""Photos taken at an angle: the screen's corners are found where they are, and nowhere in radiographs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fracture_core.imaging.adjustment import Adjustment
from fracture_core.imaging.appearance.screen_outline import PERSPECTIVE_WARNING, screen_corners, straightened
from fracture_core.imaging.letterbox import letterbox
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.cautions import cautions
from tests.support.made_pictures import encoded
from tests.support.screen_photos import SCREEN, photo

EXAMPLES = sorted((Path(__file__).parents[3] / "pages" / "examples").glob("*.jpg"))


@pytest.fixture(scope="module")
def photos() -> list[tuple[np.ndarray, np.ndarray]]:
    """Grey photos with the whole screen in view, and where its corners are."""
    random = np.random.default_rng(1)
    made = (
        photo(read_radiograph(path, accept_cut_short=True).pixels, random, share=0.75, skew=0.12) for path in EXAMPLES
    )
    return [(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), corners) for picture, corners in made]


def test_radiographs_have_no_such_outline() -> None:
    assert EXAMPLES
    assert [screen_corners(read_radiograph(path, accept_cut_short=True).pixels) for path in EXAMPLES] == [None] * len(
        EXAMPLES
    )


@pytest.mark.slow
def test_corners_are_found_where_they_are(photos) -> None:
    found = [(screen_corners(picture), corners) for picture, corners in photos]
    seen = [(np.array(where), corners) for where, corners in found if where]
    assert len(seen) >= 0.5 * len(found)
    for where, corners in seen:
        assert np.abs(where - corners).max() < 0.015 * 1440


def test_straightening_gives_the_screen_back(photos) -> None:
    picture, corners = photos[0]
    height, width = SCREEN
    flat = cv2.resize(straightened(picture, tuple(map(tuple, corners.tolist()))), (width, height))
    whole = read_radiograph(EXAMPLES[0]).pixels
    scale = min(height / whole.shape[0], width / whole.shape[1])
    shown = cv2.resize(whole, None, fx=scale, fy=scale)
    left = (width - shown.shape[1]) // 2
    part = flat[:, left : left + shown.shape[1]][: shown.shape[0]]
    smooth = [cv2.GaussianBlur(image.astype(float), (0, 0), 8).ravel() for image in (part, shown[: part.shape[0]])]
    assert np.corrcoef(*smooth)[0, 1] > 0.97


def test_the_button_does_what_the_caution_says(photos) -> None:
    picture = next(picture for picture, _ in photos if screen_corners(picture))
    radiograph = read_radiograph(encoded(picture, "PNG"))
    assert PERSPECTIVE_WARNING in list(cautions(radiograph, letterbox(radiograph.pixels, 224)[1], frozenset()))
    straight = Adjustment(corners=radiograph.screen_corners).apply(radiograph)
    assert straight.screen_corners is None
    assert any("straightened to" in sentence for sentence in straight.warnings)


def test_a_field_laid_down_askew_is_no_photo() -> None:
    field = np.full((300, 200), 160, np.uint8)
    turn = cv2.getRotationMatrix2D((250, 250), 7, 1)
    page = np.zeros((500, 500), np.uint8)
    page[100:400, 150:350] = field
    assert screen_corners(cv2.warpAffine(page, turn, (500, 500))) is None
