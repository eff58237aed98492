"""The box round the strongest evidence."""

from __future__ import annotations

import numpy as np
import pytest

from fracture_core.explain.overlay import CONTOUR_LEVELS, FULL_COLOUR
from fracture_core.explain.peak import peak_box

FULL = FULL_COLOUR["localiser"]


def test_the_box_holds_the_region_that_reaches_half_of_the_peak():
    evidence = np.zeros((200, 120), np.float32)
    evidence[40:60, 30:70] = 0.6 * FULL
    evidence[48:52, 45:50] = 0.9 * FULL
    evidence[150:160, 100:110] = 0.8 * FULL
    assert peak_box(evidence, "localiser") == (30.0, 40.0, 40.0, 20.0)


def test_of_a_large_image_the_box_is_in_its_own_pixels():
    evidence = np.zeros((2000, 1000), np.float32)
    evidence[1000:1200, 500:600] = FULL
    assert peak_box(evidence, "localiser") == pytest.approx((500, 1000, 100, 200), abs=8)


@pytest.mark.parametrize("level", [0.0, -1.0, np.nan, 0.9 * CONTOUR_LEVELS[0]])
def test_where_nothing_is_drawn_there_is_no_box(level):
    assert peak_box(np.full((50, 50), level * FULL, np.float32), "localiser") is None
