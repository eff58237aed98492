"""Augmentation: repeatable, boxes stay on their pixels, and nothing moves that was not asked to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.data.augmentation import augment, cell_targets
from fracture_core.recipe import Augmentation

EVERYTHING = Augmentation(
    rotation=30,
    shift=0.1,
    shear=10,
    zoom=0.2,
    horizontal_flip=True,
    vertical_flip=True,
    brightness=0.3,
    contrast=0.3,
    gamma=0.3,
    noise=8,
    erase=0.5,
)
NO_BOXES = np.empty((0, 4), np.float32)


def picture(seed: int = 0, size: int = 96) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)


def test_no_augmentation_changes_nothing() -> None:
    boxes = np.array([[10, 20, 30, 12.5]], np.float32)
    changed, moved = augment(picture(), boxes, 96, Augmentation(), np.random.default_rng(0))
    np.testing.assert_array_equal(changed, picture())
    np.testing.assert_allclose(moved, boxes, atol=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_the_same_random_state_gives_the_same_picture_and_the_original_stays(seed: int) -> None:
    original, boxes = picture(seed), np.array([[30, 30, 20, 20]], np.float32)
    first, second, other = (
        augment(original, boxes, 64, EVERYTHING, np.random.default_rng(s)) for s in (seed, seed, seed + 1)
    )
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert (first[0] != other[0]).any()
    assert first[0].shape == (64, 64) and first[0].dtype == np.uint8 and first[1].dtype == np.float32
    np.testing.assert_array_equal(original, picture(seed))
    np.testing.assert_array_equal(boxes, [[30, 30, 20, 20]])


@given(
    st.integers(0, 2**32 - 1),
    st.builds(
        Augmentation,
        rotation=st.floats(0, 180),
        shift=st.floats(0, 0.15),
        shear=st.floats(0, 20),
        zoom=st.floats(0, 0.3),
        horizontal_flip=st.booleans(),
        vertical_flip=st.booleans(),
    ),
    st.sampled_from((96, 128)),
)
def test_a_box_stays_on_its_pixels(seed: int, augmentation: Augmentation, source: int) -> None:
    rng = np.random.default_rng(seed)
    width, height = rng.integers(10, 30, 2)
    x, y = rng.integers(source // 4, source // 2, 2)
    square = np.zeros((source, source), np.uint8)
    square[y : y + height, x : x + width] = 255
    changed, boxes = augment(square, np.array([[x, y, width, height]]), 96, augmentation, rng)
    rows, columns = np.nonzero(changed >= 128)
    if not len(boxes) or not len(rows):
        assert len(rows) < 100  # it went over the edge, nearly or quite
        return
    hull = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    bx, by, bw, bh = boxes[0]
    assert 0 <= bx <= bx + bw <= 96 and 0 <= by <= by + bh <= 96
    # The sharp corner of a turned box covers less than half of its last pixels.
    assert np.abs(hull - [bx, by, bx + bw, by + bh]).max() <= 2.5


def test_boxes_that_leave_the_picture_are_dropped_and_others_are_clipped() -> None:
    boxes = np.array([[-40, 10, 20, 20], [-10, 10, 30, 20], [95.5, 0, 5, 5]], np.float32)
    _, moved = augment(picture(), boxes, 96, Augmentation(), np.random.default_rng(0))
    np.testing.assert_allclose(moved, [[0, 10, 20, 20]], atol=1e-4)
    _, none = augment(picture(), NO_BOXES, 96, EVERYTHING, np.random.default_rng(0))
    assert none.shape == (0, 4)


@pytest.mark.parametrize(("option", "axis"), [("horizontal_flip", 1), ("vertical_flip", 0)])
def test_flips_are_exact_and_come_half_the_time(option: str, axis: int) -> None:
    rng = np.random.default_rng(0)
    flipped = 0
    for _ in range(200):
        changed, _ = augment(picture(), NO_BOXES, 96, Augmentation(**{option: True}), rng)
        is_flipped = np.array_equal(changed, np.flip(picture(), axis))
        assert is_flipped or np.array_equal(changed, picture())
        flipped += is_flipped
    assert 70 <= flipped <= 130


@pytest.mark.parametrize("option", ["brightness", "contrast", "gamma"])
def test_exposure_changes_greys_in_order_and_leaves_the_black_border_black(option: str) -> None:
    square = np.tile(np.arange(96, dtype=np.uint8) * 2, (96, 1))
    changes = set()
    for seed in range(20):
        changed, _ = augment(square, NO_BOXES, 96, Augmentation(**{option: 0.4}), np.random.default_rng(seed))
        assert not changed[:, 0].any()
        assert (np.diff(changed[:, 1:].astype(int), axis=1) >= 0).all()
        changes.add(changed.tobytes())
    assert len(changes) == 20


def test_brightness_multiplies_within_its_range() -> None:
    square = np.full((96, 96), 100, np.uint8)
    values = [
        int(augment(square, NO_BOXES, 96, Augmentation(brightness=0.2), np.random.default_rng(s))[0][0, 0])
        for s in range(200)
    ]
    assert 80 <= min(values) < 85 and 115 < max(values) <= 120


def test_what_a_shift_uncovers_is_black_or_the_edge_repeated() -> None:
    white = np.full((96, 96), 255, np.uint8)
    moves = [np.random.default_rng(s) for s in range(5)]
    assert all((augment(white, NO_BOXES, 96, Augmentation(shift=0.3), r)[0] == 0).any() for r in moves)
    kept = Augmentation(shift=0.3, nearest_fill=True)
    assert all((augment(white, NO_BOXES, 96, kept, r)[0] == 255).all() for r in moves)


def test_noise_and_erasing_do_what_they_say() -> None:
    grey = np.full((96, 96), 128, np.uint8)
    spread = [augment(grey, NO_BOXES, 96, Augmentation(noise=10), np.random.default_rng(s))[0].std() for s in range(40)]
    assert max(spread) <= 11 and 3 < np.mean(spread) < 7
    erased = 0
    for seed in range(100):
        changed, _ = augment(grey, NO_BOXES, 96, Augmentation(erase=0.5), np.random.default_rng(seed))
        rows, columns = np.nonzero(changed != 128)
        if len(rows):
            erased += 1
            box = changed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert box.min() == box.max() and max(box.shape) <= 24  # one box of one grey
    assert 30 <= erased <= 70


def supersampled(boxes: np.ndarray, size: int, cell: int) -> np.ndarray:
    """The share of each cell under its largest box's share, by counting 10 x 10 points a pixel."""
    points = (np.arange(size * 10) + 0.5) / 10
    shares = [np.zeros((size // cell, size // cell))]
    for x, y, w, h in boxes:
        under = np.outer((points > y) & (points < y + h), (points > x) & (points < x + w))
        shares.append(under.reshape(size // cell, cell * 10, size // cell, cell * 10).mean((1, 3)))
    return np.max(shares, axis=0)


@given(st.lists(st.tuples(*[st.integers(0, 63)] * 2, *[st.integers(1, 40)] * 2), max_size=3))
def test_cells_hold_the_share_of_them_that_is_boxed(drawn: list[tuple[int, ...]]) -> None:
    boxes = np.array([(x, y, min(w, 64 - x), min(h, 64 - y)) for x, y, w, h in drawn], np.float32).reshape(-1, 4)
    target, expected = cell_targets(boxes, 64, 8), supersampled(boxes, 64, 8)
    assert target.shape == (8, 8) and target.dtype == np.float32
    centres = {(int((y + h / 2) // 8), int((x + w / 2) // 8)) for x, y, w, h in boxes}
    for row, column in np.ndindex(8, 8):
        # A fracture smaller than a cell still marks one fully.
        share = 1.0 if (row, column) in centres else expected[row, column]
        assert target[row, column] == pytest.approx(share, abs=1e-3)


def test_no_boxes_mark_no_cells() -> None:
    assert not cell_targets(NO_BOXES, 64, 8).any()
