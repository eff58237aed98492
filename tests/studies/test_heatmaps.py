"""The page that holds heatmaps against boxes: its figures are those of the heatmaps that the app shows."""

from __future__ import annotations

import numpy as np
import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Predictor
from fracture_core.metrics.localisation import centre_in_box, energy_in_boxes, hottest_point_in_box, iou
from studies.heatmaps import SHOWN, measure, page, section


@pytest.mark.slow
def test_the_figures_are_those_of_the_heatmaps_shown(small_models):
    bundle, dataset = load_bundle("small", small_models), FracAtlas(small_models.parent / "data")
    ids = [i for i in bundle.predictions()["image_id"] if len(dataset.boxes(i))]
    clean = next(i for i in bundle.predictions()["image_id"] if not len(dataset.boxes(i)))
    found = measure(bundle, dataset, [*ids, clean])
    reader = Predictor(bundle)
    for method in SHOWN:
        maps = [reader.predict(read_radiograph(dataset.path(i))).heatmap(method) for i in ids]
        pairs = [(shown, dataset.boxes(i)) for shown, i in zip(maps, ids, strict=True)]
        everyone, *by_size = found[method]
        assert everyone.n == sum(row.n for row in by_size) == len(ids) > 5
        for name, of in (("pointing", hottest_point_in_box), ("energy", energy_in_boxes), ("iou", iou)):
            assert getattr(everyone, name).value == pytest.approx(np.mean([of(*pair) for pair in pairs]))
        middles = [centre_in_box(shown.shape, boxes) for shown, boxes in pairs]
        assert everyone.centre_pointing.value == pytest.approx(np.mean(middles))

    text = page({bundle.version: [section("test", found)]})
    assert text.count("| Localiser |") == text.count("| the image centre |") == 4
    assert f"## {bundle.version}" in text and "--bundle small`" in text
    assert text.count("| all (") == 4 and text.endswith("|\n")
