"""Average precision of boxes, against a slow reading of its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.evaluation.detection import (
    ImageBoxes,
    average_precision_at,
    boxes_from_text,
    boxes_text,
    overlaps,
)


def by_definition(images: list[ImageBoxes], least: float) -> float:
    """COCO's average precision, box by box: one list of all found boxes, matched in the order of their scores."""
    found = sorted(
        ((float(s), k, tuple(b)) for k, i in enumerate(images) for s, b in zip(i.scores, i.predicted, strict=True)),
        key=lambda one: -one[0],
    )
    taken, right = set(), []
    for _, k, (x, y, w, h) in found:
        best, chosen = least, None
        for n, (a, b, c, d) in enumerate(images[k].drawn):
            if (k, n) in taken:
                continue
            across, down = min(x + w, a + c) - max(x, a), min(y + h, b + d) - max(y, b)
            shared = max(0.0, across) * max(0.0, down)
            share = shared / (w * h + c * d - shared)
            if share > best or (share == best and chosen is None):
                best, chosen = share, n
        right.append(chosen is not None)
        if chosen is not None:
            taken.add((k, chosen))
    drawn = sum(len(i.drawn) for i in images)
    points = [(sum(right[: n + 1]) / drawn, sum(right[: n + 1]) / (n + 1)) for n in range(len(right))]
    read_off = [max((p for r, p in points if r >= at), default=0.0) for at in np.linspace(0, 1, 101)]
    return float(np.mean(read_off))


def boxes(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.column_stack([rng.integers(0, 20, (n, 2)), rng.integers(4, 16, (n, 2))]).astype(float)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from([0.3, 0.5, 0.75]))
def test_it_is_the_definition(seed: int, count: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        n, m = rng.integers(0, 6, 2)
        drawn = boxes(rng, m)
        near = drawn[rng.integers(0, m, n)] + rng.normal(0, 1, (n, 4)) if m else boxes(rng, n)
        near[:, 2:] = np.maximum(near[:, 2:], 1)
        images.append(ImageBoxes(predicted=near, scores=rng.random(n), drawn=drawn))
    expected = by_definition(images, least) if sum(len(i.drawn) for i in images) else float("nan")
    assert average_precision_at(images, least) == pytest.approx(expected, nan_ok=True, abs=1e-9)


def test_perfect_boxes_score_one_and_a_false_one_above_them_costs() -> None:
    drawn = np.array([[0.0, 0, 10, 10], [30, 30, 8, 8]])
    perfect = ImageBoxes(predicted=drawn, scores=np.array([0.9, 0.8]), drawn=drawn)
    assert average_precision_at([perfect]) == 1
    clean = ImageBoxes(predicted=drawn[:1], scores=np.array([0.95]), drawn=np.empty((0, 4)))
    assert average_precision_at([perfect, clean]) == pytest.approx(2 / 3, abs=0.01)
    nothing = ImageBoxes(predicted=np.empty((0, 4)), scores=np.empty(0), drawn=drawn)
    assert average_precision_at([nothing]) == 0 and np.isnan(average_precision_at([clean]))


def test_overlap_of_boxes_by_hand() -> None:
    found = overlaps(np.array([[0, 0, 10, 10]]), np.array([[5, 0, 10, 10], [20, 20, 1, 1], [0, 0, 10, 10]]))
    np.testing.assert_allclose(found, [[50 / 150, 0, 1]])


def test_boxes_as_text_and_back() -> None:
    rows = [(1.0, 2.5, 30.0, 40.25, 0.125), (5.0, 6.0, 7.0, 8.0, 0.5)]
    np.testing.assert_allclose(boxes_from_text(boxes_text(rows), 5), rows)
    assert boxes_from_text(float("nan"), 5).shape == boxes_from_text("", 5).shape == (0, 5)
    with pytest.raises(ValueError, match="boxes"):
        boxes_from_text("1 2 3", 5)
