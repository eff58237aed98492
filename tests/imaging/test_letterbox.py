"""Into the square and back: nothing stretched, boxes and maps where they belong, for any shape of radiograph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.imaging.letterbox import Placement, letterbox

SIZES = st.sampled_from((32, 64, 96, 224))
SIDES = st.integers(1, 400)


@st.composite
def fields(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """A radiograph's shape (H, W), and a field x, y, width, height within it."""
    height, width = draw(st.integers(16, 300)), draw(st.integers(16, 300))
    x, y = draw(st.integers(0, width - 8)), draw(st.integers(0, height - 8))
    return (height, width), (x, y, draw(st.integers(8, width - x)), draw(st.integers(8, height - y)))


@given(SIDES, SIDES, SIZES)
def test_the_radiograph_fills_the_square_as_far_as_it_can_and_is_not_stretched(h: int, w: int, size: int) -> None:
    square, place = letterbox(np.full((h, w), 200, np.uint8), size)
    assert square.shape == (size, size) and square.dtype == np.uint8
    assert max(place.fitted_width, place.fitted_height) == size
    scale = size / max(h, w)
    assert abs(place.fitted_width - max(1, w * scale)) <= 0.5 and abs(place.fitted_height - max(1, h * scale)) <= 0.5
    inside = np.zeros((size, size), bool)
    inside[place.top : place.top + place.fitted_height, place.left : place.left + place.fitted_width] = True
    assert (square[inside] == 200).all() and not square[~inside].any()
    # Centred, but for the odd pixel.
    assert abs(size - place.fitted_width - 2 * place.left) <= 1 and abs(size - place.fitted_height - 2 * place.top) <= 1


def test_a_picture_of_the_squares_own_size_is_left_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    np.testing.assert_array_equal(letterbox(pixels, 64)[0], pixels)


def test_shrinking_averages_areas() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8)
    means = pixels.reshape(64, 4, 64, 4).mean((1, 3))
    assert np.abs(letterbox(pixels, 64)[0] - means).max() <= 0.51


@given(fields(), SIZES, st.data())
def test_boxes_go_there_and_come_back(field, size: int, data: st.DataObject) -> None:
    (height, width), (x, y, w, h) = field
    _, place = letterbox(np.zeros((height, width), np.uint8), size, (x, y, w, h))
    moved = place.boxes_in_square(np.array([[x, y, w, h]]))
    np.testing.assert_allclose(moved, [[place.left, place.top, place.fitted_width, place.fitted_height]], atol=1e-3)
    numbers = st.floats(0, 300, width=32)
    boxes = np.array(data.draw(st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=4)), np.float32)
    there = place.boxes_in_square(boxes)
    assert there.shape == (len(boxes), 4) and there.dtype == np.float32
    # Independently: the part's own corner goes to (left, top), and lengths scale.
    across, down = place.fitted_width / w, place.fitted_height / h
    back = there.reshape(-1, 4).astype(np.float64) - [place.left, place.top, 0, 0]
    back = back / [across, down, across, down] + [x, y, 0, 0]
    np.testing.assert_allclose(back, boxes.reshape(-1, 4), atol=0.01)


@given(fields(), st.data())
def test_a_box_lies_on_its_pixels_in_the_square(field, data: st.DataObject) -> None:
    (height, width), (x, y, w, h) = field
    left, top = data.draw(st.integers(x, x + w - 4)), data.draw(st.integers(y, y + h - 4))
    right, bottom = data.draw(st.integers(left + 4, x + w)), data.draw(st.integers(top + 4, y + h))
    pixels = np.zeros((height, width), np.uint8)
    pixels[top:bottom, left:right] = 255
    square, place = letterbox(pixels, 224, (x, y, w, h))
    bx, by, bw, bh = place.boxes_in_square(np.array([[left, top, right - left, bottom - top]]))[0]
    light = square.astype(np.float64) / 255
    # The box's length is the light in the brightest line across it, and its middle the light's centre of mass.
    assert light.sum(1).max() == pytest.approx(bw, abs=1.1) and light.sum(0).max() == pytest.approx(bh, abs=1.1)
    places = np.arange(224) + 0.5
    assert light.sum(0) @ places / light.sum() == pytest.approx(bx + bw / 2, abs=0.6)
    assert light.sum(1) @ places / light.sum() == pytest.approx(by + bh / 2, abs=0.6)


def bilinear(heatmap: np.ndarray, place: Placement, x: int, y: int) -> float:
    """The map's value at one pixel of the radiograph, by hand, in float64."""
    h, w = heatmap.shape
    u = ((x + 0.5 - place.x) * place.fitted_width / place.width + place.left) * w / place.size - 0.5
    v = ((y + 0.5 - place.y) * place.fitted_height / place.height + place.top) * h / place.size - 0.5
    columns = np.array([np.interp(u, np.arange(w), row) for row in heatmap.astype(np.float64)])
    return float(np.interp(v, np.arange(h), columns))


@given(fields(), st.sampled_from((1, 2, 7, 10, 28)), st.integers(0, 2**32 - 1))
def test_a_map_comes_back_interpolated_between_its_cells(field, cells: int, seed: int) -> None:
    shape, part = field
    rng = np.random.default_rng(seed)
    _, place = letterbox(np.zeros(shape, np.uint8), 224, part)
    heatmap = rng.normal(size=(cells, cells)).astype(np.float32)
    made = place.map_to_radiograph(heatmap, shape)
    assert made.shape == shape and made.dtype == np.float32
    x, y, w, h = part
    for px, py in zip(rng.integers(x, x + w, 10), rng.integers(y, y + h, 10), strict=True):
        assert made[py, px] == pytest.approx(bilinear(heatmap, place, px, py), abs=1e-3 * float(np.ptp(heatmap)) + 1e-6)
    outside = np.ones(shape, bool)
    outside[y : y + h, x : x + w] = False
    assert not made[outside].any()


@given(fields(), SIZES)
def test_a_level_map_stays_level(field, size: int) -> None:
    shape, part = field
    _, place = letterbox(np.zeros(shape, np.uint8), size, part)
    x, y, w, h = part
    made = place.map_to_radiograph(np.full((7, 7), 3.25, np.float32), shape)
    np.testing.assert_allclose(made[y : y + h, x : x + w], 3.25, rtol=1e-6)


@given(fields(), SIZES, st.data())
def test_a_hot_spot_goes_into_the_square_and_comes_back_to_its_place(field, size: int, data: st.DataObject) -> None:
    shape, (x, y, w, h) = field
    cx, cy = data.draw(st.integers(x + 2, x + w - 3)), data.draw(st.integers(y + 2, y + h - 3))
    pixels = np.zeros(shape, np.uint8)
    pixels[cy - 2 : cy + 3, cx - 2 : cx + 3] = 255
    square, place = letterbox(pixels, size, (x, y, w, h))
    back = place.map_to_radiograph(square.astype(np.float32), shape)
    found_y, found_x = (float(np.mean(axis)) for axis in np.nonzero(back >= 0.9 * back.max()))
    reach = 1.5 + max(1 / s for s in place.scale)  # a pixel of the square, in pixels of the radiograph
    assert abs(found_x - cx) <= reach and abs(found_y - cy) <= reach


def test_the_largest_radiographs_come_back_smooth() -> None:
    """At 2880 pixels a cell of a 7x7 map spans 411: the steps between neighbours must stay far below visible."""
    shape = (2880, 2304)
    _, place = letterbox(np.zeros(shape, np.uint8), 224)
    ramp = np.tile(np.arange(7, dtype=np.float32), (7, 1)).T
    column = place.map_to_radiograph(ramp, shape)[:, 1000]
    assert (np.diff(column) >= 0).all() and np.diff(column).max() < 0.01
    expected = np.clip((np.arange(2880) + 0.5) * 7 / 2880 - 0.5, 0, 6)
    assert np.abs(column - expected).max() < 1e-3
