"""What a dataset is made of, against counts made by hand, and the plots of it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from fracture_core.data.catalogue import catalogue
from fracture_core.data.dataset_statistics import (
    box_places,
    classes_by_part,
    classes_by_split,
    classes_by_view,
    parts_by_split,
    pointing,
    pointing_table,
    sizes,
    survey,
)
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.metrics.intervals import wilson
from fracture_core.reporting import dataset_charts as charts
from tests.support.miniature import Entry, build


def drawable(chart: go.Figure) -> bool:
    """Whether a chart becomes JSON, without values that JSON does not have."""
    json.dumps(json.loads(chart.to_json()), allow_nan=False)
    return bool(chart.data)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> FracAtlas:
    drawn = ("Fractured",), 1
    entries = [
        Entry("A"),
        Entry("B", *drawn, boxes=((0.0, 0.0, 48.0, 60.0), (90.0, 110.0, 6.0, 10.0))),
        Entry("C", *drawn, boxes=((48.0, 60.0, 24.0, 30.0),), exif=6, annotated_size=(120, 96)),
    ]
    return FracAtlas(build(tmp_path_factory.mktemp("survey"), entries))


def test_sizes_and_boxes_are_upright(dataset):
    found = survey(dataset)
    assert found.images.loc["A", ["width", "height", "orientation"]].tolist() == [96, 120, 1]
    assert found.images.loc["C", ["width", "height", "orientation"]].tolist() == [120, 96, 6]
    assert np.isnan(found.images.at["A", "box_size"])
    assert found.images.at["B", "box_size"] == pytest.approx(0.5)
    first = found.boxes[found.boxes["image_id"] == "B"].iloc[0]
    assert first[["x", "y", "width", "height"]].tolist() == [0.25, 0.25, 0.5, 0.5]
    assert sizes(found.images).values.tolist() == [["96 x 120", 2], ["120 x 96", 1]]
    assert sizes(found.images, most=1).values.tolist() == [["96 x 120", 2], ["1 other sizes", 1]]


def test_places_are_counted_where_boxes_lie():
    columns = ["image_id", "x", "y", "width", "height"]
    boxes = pd.DataFrame([("B", 0.25, 0.25, 0.5, 0.5), ("B", 0.9, 0.1, 0.001, 0.001)], columns=columns)
    places = box_places(boxes)
    expected = np.zeros((24, 24), int)
    expected[:12, :12] = 1
    expected[2, 21] = 1
    np.testing.assert_array_equal(places, expected)


def test_classes_are_counted_with_a_rate_where_there_are_enough():
    table = pd.DataFrame({"hand": [1] * 50 + [0] * 10, "leg": [0] * 45 + [1] * 15, "hip": 0, "shoulder": 0})
    table["label"] = [1] * 20 + [0] * 40
    table["split"] = ["train"] * 30 + ["test"] * 30
    for name in ("frontal", "lateral", "oblique", "hardware", "multiscan"):
        table[name] = 1
    rows = classes_by_part(table).set_index("group")
    assert rows.loc["hand", ["fractured", "not fractured", "n"]].tolist() == [20, 30, 50]
    rate = wilson(20, 50)
    assert rows.loc["hand", ["share", "low", "high"]].tolist() == [rate.value, rate.low, rate.high]
    assert np.isnan(rows.at["leg", "share"])
    assert classes_by_split(table)["n"].tolist() == [30, 0, 30, 0]
    assert classes_by_view(table)["fractured"].tolist() == [20] * 5
    parts = parts_by_split(table)
    assert parts.loc["train", "hand"] == 1
    assert parts.loc["test", "leg"] == 0.5
    assert parts.loc["val"].tolist() == [0, 0, 0, 0]
    for option in (charts.class_bars(classes_by_part(table)), charts.share_dots(classes_by_part(table))):
        assert drawable(option)
    assert drawable(charts.part_bars(parts))
    bars = charts.class_bars(classes_by_part(table)).data
    assert [list(bar.x) for bar in bars] == [[20, 0, 0, 0], [30, 15, 0, 0]]


def test_pointing_is_counted_by_box_size_beside_the_middle():
    ids = [f"I{k}" for k in range(6)]
    predictions = pd.DataFrame({"image_id": [*ids, "no box"], "split": "test"})
    predictions["hit_grad-cam"] = pd.array([0, 0, 1, 1, 1, 1, None], "Int8")
    predictions["hit_centre"] = pd.array([0, 0, 0, 0, 1, 1, None], "Int8")
    predictions = pd.concat([predictions, predictions.iloc[:1].assign(split="val")])
    pictures = pd.DataFrame({"box_size": [0.01, 0.02, 0.1, 0.11, 0.5, 0.6, np.nan]}, index=[*ids, "no box"])
    found = pointing(predictions, pictures, "test")
    assert list(found) == ["grad-cam"]
    every, small, _medium, large = found["grad-cam"]
    assert (every.n, every.pointing.value, every.centre_pointing.value) == (6, 4 / 6, 2 / 6)
    assert (small.n, small.pointing.value) == (2, 0)
    assert (large.pointing.value, large.centre_pointing.value) == (1, 1)
    assert pointing_table(found["grad-cam"])["Heatmap's hottest point in a box"][1].startswith("0 %")
    option = charts.pointing_dots(found["grad-cam"], "Grad-CAM")
    assert option.data[0].x[0] == pytest.approx(66.7)
    assert drawable(option)
    assert pointing(predictions, pictures, "nothing")["grad-cam"][0].n == 0


def test_the_real_dataset_is_as_described(fracatlas_dir):
    dataset = FracAtlas(fracatlas_dir)
    found = survey(dataset)
    assert len(found.boxes) == 922
    assert found.boxes[["x", "y"]].to_numpy().min() > 0
    assert found.boxes[["x", "y"]].to_numpy().max() < 1
    assert sizes(found.images)["size"][0] == "373 x 454"
    assert classes_by_part(catalogue(dataset))["fractured"].sum() > 717  # some show several parts
    assert drawable(charts.place_map(box_places(found.boxes)))
    assert sum(charts.box_size_bars(found.images["box_size"]).data[0].y) == 717
    assert drawable(charts.size_bars(sizes(found.images)))
