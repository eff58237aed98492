"""Mistakes against a plain loop, and the images of them."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.thumbnails import ThumbnailStore, thumbnails
from fracture_core.evaluation.misclassified import FALSE_ALARMS, MISSES, NEAREST_FIRST, evidence_thumbnail, mistakes
from fracture_core.inference.predictor import load_predictor
from fracture_core.metrics.operating_points import OperatingPoint


def point(threshold: float) -> OperatingPoint:
    return OperatingPoint("p", threshold, "by hand", "val", 0.9, 0.9)


@given(st.integers(0, 999), st.floats(0, 0.5), st.floats(0.5, 1), st.sampled_from(["val", "test"]))
def test_mistakes_are_those_a_loop_finds_worst_first(seed, low, high, split):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"label": rng.integers(0, 2, 40), "split": rng.choice(["train", "val", "test"], 40)})
    table["probability"] = np.where(table["split"] == "train", np.nan, rng.random(40).round(2))
    rows = [row for row in table.itertuples() if row.split == split]
    missed = [(row.probability, row.Index) for row in rows if row.label and row.probability < low]
    false = [(-row.probability, row.Index) for row in rows if not row.label and row.probability >= high]
    for kind, expected in ((MISSES, missed), (FALSE_ALARMS, false)):
        found = mistakes(table, kind, point(low), point(high), split=split)
        assert [table.at[i, "probability"] for i in found.ids] == [abs(p) for p, _ in sorted(expected)]
        assert set(found.ids) == {i for _, i in expected}
        between = sum(row.label and low <= row.probability < high for row in rows)
        assert found.indeterminate == (between if kind == MISSES else 0)
        assert found.of == sum(row.label == (kind == MISSES) for row in rows)
        other = mistakes(table, kind, point(low), point(high), split=split, order=NEAREST_FIRST)
        assert set(other.ids) == set(found.ids)
        nearest = [table.at[i, "probability"] for i in other.ids]
        assert nearest == sorted(nearest, reverse=kind == MISSES)


@pytest.fixture(scope="module")
def reader(small_models):
    return load_predictor("small", small_models)


def test_the_picture_has_the_evidence_and_the_boxes(reader, small_models, tmp_path, monkeypatch):
    dataset, store = FracAtlas(small_models.parent / "data"), ThumbnailStore(tmp_path / "pictures.sqlite")
    path, boxes = dataset.path("IMG0000003"), dataset.boxes("IMG0000003")
    data = evidence_thumbnail(reader, path, boxes, "grad-cam", 60, store)
    drawn = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert drawn.shape == (60, 48, 3)
    plain = cv2.imdecode(np.frombuffer(thumbnails({"x": path}, 60, store)["x"], np.uint8), cv2.IMREAD_GRAYSCALE)
    coloured = np.abs(drawn.astype(int) - plain[:, :, None]).max(axis=2) > 60
    x, y, w, _ = np.rint(boxes[0] / 2).astype(int)
    assert coloured[y - 1 : y + 2, x : x + w].any()
    without = evidence_thumbnail(reader, path, np.empty((0, 4)), "grad-cam", 60, store)
    assert without != data
    monkeypatch.setattr(
        "fracture_core.evaluation.misclassified.read_radiograph", lambda *a, **k: pytest.fail("made again")
    )
    assert evidence_thumbnail(reader, path, boxes, "grad-cam", 60, store) == data
