"""Heatmaps against boxes: by drawing pixel for pixel, at the edges, and on real boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fracture_core.evaluation.heatmap_scores import score_heatmap, summarise
from fracture_core.metrics.confusion import MetricsError
from fracture_core.metrics.localisation import (
    box_size,
    boxes_mask,
    centre_in_box,
    centre_map,
    energy_in_boxes,
    hottest_point,
    hottest_point_in_box,
    iou,
    iou_above,
    pointing_by_size,
    size_terciles,
)

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))
MAPS = SHAPES.flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=st.integers(-3, 5).map(float) | st.floats(-2, 2, width=32))
)
_side = st.floats(1, 9, width=32)
BOXES = st.lists(st.tuples(st.floats(-4, 12, width=32), st.floats(-4, 12, width=32), _side, _side), max_size=3).map(
    lambda rows: np.array(rows, np.float32).reshape(-1, 4)
)


def _inside(x, y, boxes):
    """Whether the centre of the pixel (x, y) lies in a box."""
    return any(bx <= x + 0.5 < bx + w and by <= y + 0.5 < by + h for bx, by, w, h in boxes.astype(float).tolist())


@given(SHAPES, BOXES)
def test_the_mask_is_every_pixel_whose_centre_is_in_a_box(shape, boxes):
    mask = boxes_mask(shape, boxes)
    drawn = [[_inside(x, y, boxes) for x in range(shape[1])] for y in range(shape[0])]
    np.testing.assert_array_equal(mask, drawn)


def test_a_thin_box_still_covers_a_pixel_and_one_outside_none():
    assert boxes_mask((10, 10), [[4.6, 2.6, 0.2, 0.2]]).sum() == 1
    assert not boxes_mask((10, 10), [[20, 20, 5, 5]]).any()
    assert not boxes_mask((10, 10), []).any()


@given(MAPS, BOXES)
def test_figures_equal_those_counted_pixel_by_pixel(heatmap, boxes):
    pixels = [(x, y, float(heatmap[y, x])) for y in range(heatmap.shape[0]) for x in range(heatmap.shape[1])]
    total = sum(max(v, 0.0) for *_, v in pixels)
    inside = sum(max(v, 0.0) for x, y, v in pixels if _inside(x, y, boxes))
    assert energy_in_boxes(heatmap, boxes) == pytest.approx(inside / total if total else 0, rel=1e-5, abs=1e-6)
    for level in (0.0, 0.7):
        above = {(x, y) for x, y, v in pixels if v > level}
        boxed = {(x, y) for x, y, _ in pixels if _inside(x, y, boxes)}
        expected = len(above & boxed) / len(above | boxed) if above | boxed else 0
        assert iou_above(heatmap, boxes, level) == pytest.approx(expected)


@given(MAPS, BOXES)
def test_the_hottest_point_has_the_greatest_evidence(heatmap, boxes):
    point = hottest_point(heatmap)
    if point is None:
        assert heatmap.max() <= 0 or heatmap.max() == heatmap.min()
        assert not hottest_point_in_box(heatmap, boxes)
    else:
        assert heatmap[point[1], point[0]] == heatmap.max() > 0
        assert hottest_point_in_box(heatmap, boxes) == _inside(*point, boxes)


@given(MAPS, BOXES, st.sampled_from([0.25, 2.0, 1024.0]))
def test_units_of_evidence_do_not_matter_to_the_figures(heatmap, boxes, unit):
    scaled = heatmap * np.float32(unit)
    assert hottest_point(scaled) == hottest_point(heatmap)
    assert energy_in_boxes(scaled, boxes) == pytest.approx(energy_in_boxes(heatmap, boxes), abs=1e-5)
    assert iou(scaled, boxes) == pytest.approx(iou(heatmap, boxes))


@pytest.mark.parametrize("value", [0.0, 3.0, -2.0])
def test_a_flat_map_points_nowhere(value):
    flat = np.full((8, 8), value, np.float32)
    everywhere = [[0, 0, 8, 8]]
    assert hottest_point(flat) is None
    assert not hottest_point_in_box(flat, everywhere)
    assert energy_in_boxes(flat, [[0, 0, 4, 8]]) == (0.5 if value > 0 else 0.0)
    assert iou(flat, [[0, 0, 4, 8]]) == (0.5 if value > 0 else 0.0)


def test_a_map_without_positive_evidence_scores_nothing_though_it_has_a_maximum():
    heatmap = np.full((8, 8), -2.0, np.float32)
    heatmap[4, 4] = -1.0
    one = score_heatmap("IMG0000001", heatmap, [[3, 3, 3, 3]])
    assert (one.hit, one.energy, one.iou) == (False, 0.0, 0.0)
    assert one.centre_hit


def test_a_plateau_is_met_in_its_middle():
    heatmap = np.zeros((9, 9), np.float32)
    heatmap[2:5, 4:9] = 1
    assert hottest_point(heatmap) == (6, 3)


def test_a_perfect_map_is_perfect():
    heatmap = boxes_mask((40, 30), [[5, 20, 8, 6]]).astype(np.float32)
    one = score_heatmap("a", heatmap, [[5, 20, 8, 6]])
    assert (one.hit, one.energy, one.iou) == (True, 1.0, 1.0)
    assert one.box_size == pytest.approx((48 / 1200) ** 0.5)
    assert not one.centre_hit
    assert one.centre_energy < 0.1


@given(SHAPES)
def test_the_centre_map_and_the_centre_point_agree(shape):
    middle = (shape[1] // 2, shape[0] // 2)
    baseline = centre_map(shape)
    assert np.unravel_index(baseline.argmax(), shape) == middle[::-1]
    assert centre_in_box(shape, [[*middle, 1, 1]])
    assert not centre_in_box(shape, [[middle[0] + 1, middle[1], 1, 1]])


@pytest.mark.parametrize(
    ("heatmap", "boxes"),
    [
        (np.full((4, 4), np.nan), [[0, 0, 1, 1]]),
        (np.zeros((2, 2, 3)), [[0, 0, 1, 1]]),
        (np.ones((4, 4)), [[0, 0, -1, 1]]),
        (np.ones((4, 4)), [[0, 0, np.inf, 1]]),
        (np.ones((4, 4)), []),
    ],
)
def test_unfit_input_is_refused_with_a_sentence(heatmap, boxes):
    with pytest.raises(MetricsError, match=r"\.$"):
        score_heatmap("IMG0000001", heatmap, boxes)


def test_the_summary_counts_every_radiograph_once_and_by_size():
    rng = np.random.default_rng(0)
    scored = []
    for index in range(60):
        side = 2 + index % 30
        boxes = [[rng.integers(0, 60 - side), rng.integers(0, 60 - side), side, side]]
        scored.append(score_heatmap(f"{index}", rng.random((60, 60)).astype(np.float32), boxes))
    everyone, *terciles = summarise(scored)
    assert [row.name for row in terciles] == ["small", "medium", "large"]
    assert everyone.n == sum(row.n for row in terciles) == 60
    assert everyone.pointing.value == pytest.approx(np.mean([one.hit for one in scored]))
    assert everyone.energy.value == pytest.approx(np.mean([one.energy for one in scored]))
    assert everyone.energy.low < everyone.energy.value < everyone.energy.high
    assert terciles[0].largest < terciles[1].smallest
    assert terciles[1].largest < terciles[2].smallest
    # A map of noise holds as much of its energy in a box as the box holds of the image.
    assert terciles[2].energy.value == pytest.approx(np.mean([o.box_size**2 for o in scored[20:30]]), abs=0.03)
    rows = pointing_by_size([o.hit for o in scored], [o.centre_hit for o in scored], [o.box_size for o in scored])
    assert [(r.n, r.pointing, r.centre_pointing) for r in rows] == [
        (r.n, r.pointing, r.centre_pointing) for r in (everyone, *terciles)
    ]


def test_nothing_to_summarize_is_undefined_not_an_error():
    assert not any(row.pointing.defined or row.energy.defined or row.n for row in summarise([]))
    assert not any(row.pointing.defined for row in pointing_by_size([], [], []))
    assert [name for name, _ in size_terciles([])] == ["small", "medium", "large"]
    assert box_size((10, 10), []) == 0


@pytest.mark.slow
def test_on_real_radiographs_brightness_finds_fractures_no_better_than_the_middle(fracatlas_dir):
    import cv2

    from fracture_core.data.fracatlas import FracAtlas

    dataset = FracAtlas(fracatlas_dir)
    scored = []
    for image_id in dataset.table.index[dataset.table["label"] == 1][:40]:
        boxes = dataset.boxes(image_id)
        if len(boxes):
            pixels = cv2.imread(str(dataset.path(image_id)), cv2.IMREAD_GRAYSCALE)
            assert boxes_mask(pixels.shape, boxes).any()
            scored.append(score_heatmap(image_id, pixels.astype(np.float32), boxes))
    everyone = summarise(scored)[0]
    assert everyone.n > 30
    assert 0 < everyone.smallest < everyone.largest < 0.7
    assert everyone.pointing.value < 0.3
    assert everyone.centre_pointing.value < 0.5
    # Bone is brighter than its surroundings, so boxes hold somewhat more of the brightness than of the area.
    assert 0 < everyone.energy.value < 0.3
