"""Films from other sources: what is counted, on a made-up folder whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fracture_core.evaluation.external_validation import (
    ExternalValidationError,
    by_fill,
    by_group,
    external_folder,
    fill,
    markdown_table,
    summary,
    validate_externally,
)
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import load_predictor
from fracture_core.metrics.localisation import hottest_point


@pytest.fixture(scope="module")
def folder(small_models, tmp_path_factory) -> Path:
    """Six limb films, three of them fractured and one of those with a box, and a picture that is no image at all."""
    root = tmp_path_factory.mktemp("elsewhere")
    (root / "limbs").mkdir()
    rows = []
    for number, path in enumerate(sorted((small_models.parent / "data" / "images").rglob("*.jpg"))[:6]):
        name = f"limbs/here_{number}.jpg"
        (root / name).write_bytes(path.read_bytes())
        boxes = json.dumps([[0, 0, 500, 500]]) if number == 0 else ""
        rows.append((name, "1" if number < 3 else "0?", boxes, "hand", "made up", "none"))
    (root / "limbs" / "broken_0.jpg").write_bytes(b"no image")
    rows.append(("limbs/broken_0.jpg", "", "", "", "made up", "none"))
    columns = ["file", "fractured", "boxes_xywh", "body_part", "source", "licence"]
    pd.DataFrame(rows, columns=columns).to_csv(root / "list.csv", index=False)
    return root


def test_what_is_counted_is_what_the_predictor_says(folder, small_models) -> None:
    predictor = load_predictor("small", small_models)
    measured = validate_externally(predictor, folder)
    assert len(measured) == 7 and measured["read"].sum() == 6
    single = predictor.bundle.points["single"].threshold
    flagged, points = 0, []
    for number in range(6):
        finding = predictor.predict(read_radiograph(folder / f"limbs/here_{number}.jpg", accept_cut_short=True))
        row = measured.iloc[number]
        assert bool(row["assessed"]) == finding.assessed
        assert bool(row["flagged"]) == (finding.assessed and finding.probability >= single)
        flagged += int(number < 3 and row["flagged"])
        points.append(hottest_point(finding.heatmap()) if finding.assessed else None)
    found = summary(measured)
    assert (found["limbs"], found["others"], found["fractured"], found["flagged"]) == (7, 0, 3, flagged)
    assert found["boxed"] == 1
    # A box as large as the film holds every hottest point, if there is an answer and any evidence.
    assert found["hits"] == int(points[0] is not None)
    assert (found["sound"], found["fractured_far"] + found["fractured_close"] <= 3) == (3, True)
    table = by_group(measured)
    assert list(table["group"]) == ["limbs/here", "limbs/broken"] and list(table["n"]) == [6, 1]
    assert "limbs/here" in markdown_table(table) and by_fill(measured)["n"].sum() == 6


def test_fill_is_the_share_that_is_brighter_than_air() -> None:
    pixels = np.zeros((100, 100), np.uint8)
    pixels[:, 25:50] = 180
    assert fill(pixels) == pytest.approx(0.25, abs=0.01)


def test_a_missing_folder_is_said(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("FRACTURE_ELSEWHERE_DIR", raising=False)
    with pytest.raises(ExternalValidationError, match="Set FRACTURE_ELSEWHERE_DIR"):
        external_folder()
    monkeypatch.setenv("FRACTURE_ELSEWHERE_DIR", str(tmp_path))
    with pytest.raises(ExternalValidationError, match=r"no list\.csv"):
        external_folder()
