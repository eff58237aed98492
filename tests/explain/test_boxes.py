"""Boxes from a map of evidence: where they lie, how strong they are, and how many there are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fracture_core.explain.boxes import regions


def bump(shape: tuple[int, int], y: int, x: int, height: float, sigma: float = 6) -> np.ndarray:
    down, across = np.mgrid[: shape[0], : shape[1]]
    return (height * np.exp(-((down - y) ** 2 + (across - x) ** 2) / (2 * sigma**2))).astype(np.float32)


@pytest.mark.parametrize("shape", [(200, 160), (1500, 1200)])
def test_two_bumps_give_two_boxes_round_their_peaks(shape: tuple[int, int]) -> None:
    scale = shape[0] / 200
    spots = [(50, 40, 2.0), (150, 120, 1.0)]
    evidence = sum(bump(shape, int(y * scale), int(x * scale), h, 6 * scale) for y, x, h in spots)
    found = regions(evidence, 0.3)
    assert len(found) == 2 and found[0].score == pytest.approx(2, rel=0.05)
    for region, (y, x, _) in zip(found, spots, strict=True):
        assert region.x < x * scale < region.x + region.width and region.y < y * scale < region.y + region.height
        # Half the peak of a bell lies 1.18 sigma from its middle.
        assert region.width == pytest.approx(2 * 1.18 * 6 * scale, rel=0.25)
    assert len(regions(evidence, 1.5)) == 1 and regions(evidence, 3.0) == []


def test_regions_are_scipys_connected_parts() -> None:
    rng = np.random.default_rng(0)
    evidence = ndimage.gaussian_filter(rng.normal(size=(120, 90)), 5).astype(np.float32)
    level = float(np.quantile(evidence, 0.97))
    labels, count = ndimage.label(evidence >= level, structure=np.ones((3, 3)))
    peaks = sorted(ndimage.maximum(evidence, labels, range(1, count + 1)), reverse=True)
    np.testing.assert_allclose([region.score for region in regions(evidence, level)], peaks[:8], rtol=1e-6)


def test_a_map_without_evidence_has_no_box() -> None:
    assert regions(np.full((50, 40), -1.0), 0.1) == []
