"""How a radiograph differs from the usual: the statistics, the ranges against numpy, and the arrays there and back."""

from __future__ import annotations

import numpy as np
import pytest

from fracture_core.bundle.usual_ranges import STATISTICS, UsualRanges, UsualRangesError, fit_ranges, grey_statistics


def test_what_is_told_outside_the_ranges_is_named() -> None:
    usual = UsualRanges(ranges=np.stack([np.full(STATISTICS, 0.2), np.full(STATISTICS, 0.8)]))
    statistics = np.full(STATISTICS, 0.5)
    assert usual.differences(statistics) == ()
    statistics[[2, 13]] = 0.1, 0.9
    assert usual.differences(statistics) == ("dark", "close")


def test_the_ranges_leave_one_in_a_hundred_beyond_either_end() -> None:
    statistics = np.random.default_rng(0).normal(size=(5000, STATISTICS))
    low, high = fit_ranges(statistics).ranges
    np.testing.assert_allclose((statistics < low).mean(0), 0.01, atol=1e-3)
    np.testing.assert_allclose((statistics > high).mean(0), 0.01, atol=1e-3)


def test_ranges_survive_a_file_and_damaged_ones_are_refused() -> None:
    usual = fit_ranges(np.random.default_rng(1).normal(size=(200, STATISTICS)))
    arrays = usual.to_arrays()
    again = UsualRanges.from_arrays(arrays)
    assert again is not None
    np.testing.assert_allclose(again.ranges, usual.ranges, rtol=1e-6)
    assert UsualRanges.from_arrays({}) is None
    for damaged in (arrays["scope/ranges"][:, 1:], arrays["scope/ranges"][::-1], arrays["scope/ranges"] * np.inf):
        with pytest.raises(UsualRangesError):
            UsualRanges.from_arrays({"scope/ranges": damaged})


def test_statistics_do_not_see_the_empty_border() -> None:
    picture = np.random.default_rng(2).integers(40, 200, (120, 120)).astype(np.uint8)
    framed = np.zeros((224, 224), np.uint8)
    framed[52:172, 52:172] = picture
    np.testing.assert_allclose(grey_statistics(framed), grey_statistics(picture), atol=1e-6)
