"""How a film looks: changed at random, repeatably, with no fracture hidden and nothing inverted."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.data.film_appearance import change_appearance

SIZE = 128
BOXES = np.array([[50, 40, 24, 30]], np.float32)
EVERYWHERE = np.ones((SIZE, SIZE), bool)


def film() -> np.ndarray:
    """A bright bone on dark air, with some noise."""
    rng = np.random.default_rng(0)
    square = rng.integers(10, 30, (SIZE, SIZE)).astype(np.uint8)
    square[:, 45:80] = rng.integers(150, 200, (SIZE, 35))
    return square


@given(st.integers(0, 2**32 - 1))
def test_the_same_random_state_gives_the_same_film_and_the_original_stays(seed: int) -> None:
    original = film()
    first, second = (change_appearance(original, EVERYWHERE, BOXES, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(original, film())
    assert first.shape == (SIZE, SIZE) and first.dtype == np.uint8


def test_bone_stays_brighter_than_air_on_every_film() -> None:
    for seed in range(200):
        made = change_appearance(film(), EVERYWHERE, BOXES, np.random.default_rng(seed)).astype(float)
        # Within the box's rows, where neither frame nor letter may lie on the bone.
        assert (
            made[45:65, 52:72].mean() > made[45:65, 20:40].mean() or (made[45:65, 20:40] == made[45, 20]).mean() > 0.5
        )


def test_no_frame_and_no_letter_hides_a_fracture() -> None:
    flat = np.full((SIZE, SIZE), 120, np.uint8)
    x, y, w, h = BOXES[0].astype(int)
    changed = 0
    for seed in range(300):
        made = change_appearance(flat, EVERYWHERE, BOXES, np.random.default_rng(seed)).astype(float)
        inner = made[y + 4 : y + h - 4, x + 4 : x + w - 4]
        # Noise and uneven light vary by little; an edge of a frame or a letter by far more.
        assert np.abs(inner - np.median(inner)).mean() < 25
        changed += np.abs(made - np.median(inner)).max() > 100
    assert changed > 60


def test_what_lies_beyond_the_radiograph_is_mostly_black() -> None:
    inside = EVERYWHERE.copy()
    inside[:, :20] = False
    square = film()
    square[:, :20] = 0
    medians = []
    for seed in range(200):
        made = change_appearance(square, inside, np.empty((0, 4), np.float32), np.random.default_rng(seed))
        medians.append(np.median(made[:, 4:14]))
    assert 0.6 < np.mean(np.array(medians) < 12) < 0.97
