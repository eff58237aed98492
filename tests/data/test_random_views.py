"""Random views: repeatable, boxes stay on their pixels, and the label is what is in view."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.data import random_views
from fracture_core.data.image_pyramid import ImagePyramid, image_pyramid
from fracture_core.data.random_views import SEEN, View, random_view

SEEDS = st.integers(0, 2**32 - 1)


def radiograph(seed: int = 0, height: int = 500, width: int = 400) -> ImagePyramid:
    """Two grey bones in noise, and one bright rectangle that is the fracture's box."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 40, (height, width), dtype=np.uint8)
    for left in (width // 5, 3 * width // 5):
        pixels[:, left : left + width // 8] += 70
    w, h = rng.integers(40, 70, 2)
    x, y = int(rng.integers(60, width - 130)), int(rng.integers(60, height - 130))
    pixels[y : y + h, x : x + w] = 255
    return image_pyramid(pixels, np.array([[x, y, w, h]]))


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the grey values as the geometry made them."""
    monkeypatch.setattr(random_views, "change_appearance", lambda square, inside, boxes, rng: square)


def view(seed: int, **choices) -> View:
    return random_view(radiograph(seed), True, 128, np.random.default_rng(seed), **choices)


@given(SEEDS)
def test_the_same_random_state_gives_the_same_view(seed: int) -> None:
    first, second = view(seed), view(seed)
    np.testing.assert_array_equal(first.square, second.square)
    np.testing.assert_array_equal(first.boxes, second.boxes)
    assert first.fractured == second.fractured
    assert first.square.shape == (128, 128) and first.square.dtype == np.uint8
    assert first.boxes.dtype == np.float32
    assert (first.boxes >= 0).all() and (first.boxes[:, :2] + first.boxes[:, 2:] <= 128.001).all()


def test_boxes_stay_on_their_pixels_at_every_zoom(plain) -> None:
    sizes = []
    for seed in range(150):
        made = view(seed, whole=0.2)
        bright = made.square > 150
        if not made.fractured:
            continue
        x, y, w, h = made.boxes[0]
        sizes.append(w * h)
        rows, columns = (axis + 0.5 for axis in np.nonzero(bright))
        assert len(rows)
        # A turned rectangle's corners may stick out of the box, its middle may not.
        assert x - 1 <= columns.mean() <= x + w + 1 and y - 1 <= rows.mean() <= y + h + 1
        within = (columns > x - 1) & (columns < x + w + 1) & (rows > y - 1) & (rows < y + h + 1)
        assert within.mean() > 0.75
    assert max(sizes) > 15 * min(sizes)  # 0.5 to 3 is 36 times the area


def test_a_view_without_the_fracture_is_no_positive_and_shows_none_of_it(plain) -> None:
    lost = [made for made in (view(seed, whole=0.0) for seed in range(300)) if not made.fractured]
    assert 5 < len(lost) < 150
    for made in lost:
        assert not len(made.boxes)
    # Up to a fifth of a box may stay in view of what counts as none.
    assert np.median([(made.square > 150).mean() for made in lost]) == 0


def test_a_box_that_is_mostly_cut_off_does_not_count(plain) -> None:
    for seed in range(100):
        made = view(seed, whole=0.0)
        for x, y, w, h in made.boxes:
            inside = x > 0 and y > 0 and x + w < 128 and y + h < 128
            assert inside or (made.square[int(y) : int(y + h) + 1, int(x) : int(x + w) + 1] > 150).mean() > SEEN / 2


@given(SEEDS)
def test_what_is_sound_stays_sound(seed: int) -> None:
    sound = image_pyramid(np.full((300, 200), 90, np.uint8), [])
    made = random_view(sound, False, 96, np.random.default_rng(seed), beside=[(sound, False)] * (seed % 3))
    assert not made.fractured and not len(made.boxes)


def test_radiographs_side_by_side_keep_all_their_boxes(plain) -> None:
    count = []
    for seed in range(20):
        beside = [(radiograph(seed + 1, 300, 420), True)]
        made = random_view(radiograph(seed), True, 256, np.random.default_rng(seed), whole=1.0, beside=beside)
        count.append(len(made.boxes))
        for x, y, w, h in made.boxes:
            assert (made.square[int(y + h / 3) : int(y + 2 * h / 3), int(x + w / 3) : int(x + 2 * w / 3)] > 150).all()
    assert max(count) == 2


def test_close_ups_are_cut_from_the_radiographs_own_pixels(plain) -> None:
    # A checkerboard of single pixels survives only where the view shows them at their own size or larger.
    pixels = np.indices((600, 600)).sum(0) % 2 * 255
    fine = image_pyramid(pixels.astype(np.uint8), [])
    spread = [
        np.std(random_view(fine, False, 256, np.random.default_rng(seed), whole=0.0).square[96:160, 96:160])
        for seed in range(40)
    ]
    assert max(spread) > 35  # interpolation halves it; any smaller level of the pyramid is evenly grey


@pytest.mark.parametrize(("whole", "unchanged"), [(1.0, 0.0), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)])
def test_a_share_of_the_whole_views_keeps_the_grey_values(monkeypatch, whole: float, unchanged: float) -> None:
    changed = []

    def change_appearance(square, inside, boxes, rng):
        changed.append(square)
        return np.full_like(square, 7)

    monkeypatch.setattr(random_views, "change_appearance", change_appearance)
    views = [view(seed, whole=whole, unchanged=unchanged) for seed in range(100)]
    kept = sum(made.square.max() > 7 for made in views)
    assert kept + len(changed) == 100
    assert 35 <= kept <= 65 if (whole, unchanged) == (1.0, 0.5) else kept == 100 * whole * unchanged


def test_a_pyramid_is_the_radiograph_halved_and_knows_where_there_is_anatomy() -> None:
    pixels = np.zeros((800, 600), np.uint8)
    pixels[500:700, 350:450] = np.random.default_rng(0).integers(100, 256, (200, 100))
    made = image_pyramid(pixels, np.empty((0, 4)))
    assert [level.shape for level in made.levels] == [(800, 600), (400, 300), (200, 150)]
    assert made.interest.sum() == pytest.approx(1)
    rows, columns = np.indices(made.interest.shape)
    centre = [(grid * made.interest).sum() / 16 for grid in (rows + 0.5, columns + 0.5)]
    np.testing.assert_allclose(centre, [600 / 800, 400 / 600], atol=0.08)
