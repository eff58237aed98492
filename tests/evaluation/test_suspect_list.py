"""The list of suspect labels names who learned what, and holds what a reader needs."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from fracture_core.data.fracatlas import FracAtlas
from fracture_core.evaluation.suspect_list import boxed, find_suspects, trained_images, with_context
from fracture_core.inference.predictor import load_predictor


@pytest.fixture(scope="module")
def dataset(small_models):
    return FracAtlas(small_models.parent / "data")


def test_what_not_every_model_kept_for_a_check_was_trained_on():
    first, second = (pd.DataFrame({"image_id": ids}) for ids in (["a", "b", "c"], ["b", "c", "d"]))
    assert trained_images("abcde", [first, second]) == {"a", "d", "e"}
    assert trained_images("ab", []) == {"a", "b"}


@pytest.mark.slow
def test_flipped_labels_of_held_out_images_are_found(small_models, dataset, tmp_path, monkeypatch):
    """The small network is untrained: what it says is noise, so only the list's form is asked for here."""
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path))
    paths = {image_id: dataset.path(image_id) for image_id in dataset.table.index}
    labels = dataset.table["label"].astype(int).to_dict()
    scorer = load_predictor("small", small_models).scorer
    told: list[tuple[int, int]] = []
    found = find_suspects(
        {"v1": scorer, "v2": scorer}, paths, labels, {}, set(paths), progress=lambda done, of: told.append((done, of))
    )
    assert set(found["image_id"]) <= set(paths) and (found["margin"] < 0).all()
    assert told[-1] == (2 * len(paths), 2 * len(paths)) and told == sorted(told)
    assert find_suspects({"v3": scorer}, paths, labels, {}, set(), stop=lambda: True) is None


def test_the_export_has_boxes_and_duplicates(dataset):
    fractured = dataset.table.index[dataset.table["label"] == 1][0]
    other = dataset.table.index[dataset.table["label"] == 0][0]
    groups = dict.fromkeys((fractured, other), (fractured, other))
    found = with_context(pd.DataFrame({"image_id": [fractured]}), dataset, groups)
    assert json.loads(found["boxes"][0]) == dataset.boxes(fractured).tolist()
    assert found["duplicates"][0] == f"{other}=0" and found["file"][0] == f"{fractured}.jpg"


def test_boxes_are_drawn_where_they_are():
    grey = cv2.imencode(".jpg", np.full((100, 50), 90, np.uint8))[1].tobytes()
    drawn = cv2.imdecode(np.frombuffer(boxed(grey, np.array([[20, 40, 40, 80]]), (100, 200)), np.uint8), 0)
    rows, columns = np.nonzero(drawn > 120)
    assert (rows.min(), rows.max()) == pytest.approx((20, 60), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((10, 30), abs=1)
    assert boxed(grey, np.empty((0, 4)), (100, 200)) == grey and boxed(b"", np.ones((1, 4)), (9, 9)) == b""
