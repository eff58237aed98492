"""Drawings: what is clean stays clean, what is drawn lies where the evidence is, the original is never touched."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from fracture_core.explain.heatmap_methods import METHODS
from fracture_core.explain.overlay import (
    CONTOUR_LEVELS,
    FULL_COLOUR,
    MARK_COLOUR,
    colour_layer,
    contour_paths,
    contours,
    overlay,
    share_of_full,
    thumbnail,
    to_png,
    with_marks,
)

METHOD = "localiser"
FULL = FULL_COLOUR[METHOD]


def spot(height: int = 120, width: int = 90, x: int = 60, y: int = 30, radius: float = 8.0) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return (FULL * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))).astype(np.float32)


def test_every_heatmap_method_has_a_scale():
    assert set(FULL_COLOUR) == set(METHODS)


@pytest.mark.parametrize("style", ["colour", "contour"])
@pytest.mark.parametrize("level", [0.0, -3.0, 0.05 * FULL])
def test_no_evidence_leaves_the_radiograph_as_it_is(style, level):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40), dtype=np.uint8)
    drawn = overlay(pixels, np.full((50, 40), level, np.float32), METHOD, style=style, opacity=1)
    assert (drawn == pixels[..., None]).all()


@pytest.mark.parametrize("style", ["colour", "contour"])
def test_evidence_changes_the_picture_where_it_is_and_nowhere_else(style):
    pixels = np.full((120, 90), 128, np.uint8)
    before = pixels.copy()
    changed = (overlay(pixels, spot(), METHOD, style=style) != 128).any(-1)
    assert (pixels == before).all()
    rows, columns = np.nonzero(changed)
    assert abs(rows.mean() - 30) < 1.5
    assert abs(columns.mean() - 60) < 1.5
    assert np.hypot(rows - 30, columns - 60).max() < 8 * 2.5


@given(hnp.arrays(np.float32, (9, 7), elements=st.floats(-1e6, 1e6, width=32)), st.floats(1e-3, 1))
def test_the_scale_is_absolute_and_rising(evidence, factor):
    share = share_of_full(evidence, METHOD)
    assert share.min() >= 0
    assert share.max() <= 1
    assert (share_of_full(evidence * np.float32(factor), METHOD) <= share + 1e-6).all()
    alpha = colour_layer(evidence, METHOD)[..., 3].astype(int)
    order = np.argsort(share, axis=None)
    assert (np.diff(alpha.ravel()[order]) >= 0).all()


def test_opacity_zero_shows_the_original():
    pixels = np.full((120, 90), 77, np.uint8)
    assert (overlay(pixels, spot(), METHOD, opacity=0) == 77).all()


def test_a_small_layer_lies_over_the_same_place_as_the_large_one():
    evidence = spot(1200, 900, 600, 300, 80)
    small = colour_layer(evidence, METHOD, longest=300)[..., 3].astype(float)
    assert small.shape == (300, 225)
    rows, columns = np.indices(small.shape)
    assert abs((rows * small).sum() / small.sum() - 75) < 1
    assert abs((columns * small).sum() / small.sum() - 150) < 1


@pytest.mark.parametrize("scale", [1, 7])
def test_contours_lie_at_their_level(scale):
    radius = 12.0
    evidence = spot(120 * scale, 90 * scale, 45 * scale, 60 * scale, radius * scale)
    found = contours(evidence, METHOD)
    assert [level for level, _ in found] == list(CONTOUR_LEVELS)
    for level, ring in found:
        reach = np.hypot(ring[:, 0] - 45 * scale, ring[:, 1] - 60 * scale) / scale
        expected = radius * np.sqrt(2 * np.log(1 / level))
        assert abs(reach.mean() - expected) < 1.5
    paths = contour_paths(evidence, METHOD)
    assert len(paths) == len(found)
    assert all(path.startswith("M") and path.endswith("Z") for path, _ in paths)


def test_boxes_are_drawn_at_their_edges():
    drawn = overlay(np.zeros((60, 60), np.uint8), np.zeros((60, 60)), METHOD, boxes=np.array([[10, 20, 30, 25]]))
    rows, columns = np.nonzero(drawn.any(-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 45, 10, 40)
    assert not drawn[30, 25].any()


@pytest.mark.parametrize(("solid", "least", "most"), [(True, 1.0, 1.0), (False, 0.2, 0.8)])
def test_the_models_boxes_are_solid_or_dotted(solid, least, most):
    """Along an edge a solid box is everywhere, a dotted one here and there; within it nothing is drawn."""
    drawn = with_marks(np.zeros((400, 300, 3), np.uint8), [((50, 60, 120, 200), solid)])
    lit = drawn.any(axis=2)
    for edge in (lit[60, 50:171], lit[260, 50:171], lit[60:261, 50], lit[60:261, 170]):
        assert least <= edge.mean() <= most
    assert not lit[63:258, 53:168].any() and not lit[:57].any() and not lit[:, 174:].any()
    assert set(map(tuple, drawn[lit])) == {MARK_COLOUR}


@pytest.mark.parametrize("shape", [(300, 20), (20, 300), (5, 5), (1000, 900)])
def test_a_thumbnail_is_square_and_keeps_proportions(shape):
    small = thumbnail(np.full(shape, 200, np.uint8), 64)
    rows, columns = np.nonzero(small)
    assert small.shape == (64, 64)
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert max(tall, wide) == 64
    assert abs(tall / wide - shape[0] / shape[1]) / (shape[0] / shape[1]) < 0.25


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_png_keeps_every_pixel(channels):
    picture = np.random.default_rng(1).integers(0, 256, (31, 17, *channels), dtype=np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(to_png(picture)))) == picture).all()


@pytest.mark.slow
def test_the_largest_radiograph_is_drawn_in_little_memory():
    """31 megapixels: the drawing takes its own 94 MB and not many times that."""
    pixels = np.zeros((5600, 5600), np.uint8)
    evidence = np.full(pixels.shape, 0.4, np.float32)
    tracemalloc.start()
    drawn = overlay(pixels, evidence, "localiser")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert drawn.nbytes < peak < drawn.nbytes + 100e6
    assert (drawn == drawn[0, 0]).all()
