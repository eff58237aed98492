"""From a file to a finding, and what it warns of."""

from __future__ import annotations

import concurrent.futures
import dataclasses

import cv2
import numpy as np
import pytest

from fracture_core.bundle.display_levels import DisplayLevels
from fracture_core.explain.heatmap_methods import METHODS
from fracture_core.imaging.letterbox import letterbox
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.assessment import BLANK, UNFAMILIAR, not_read
from fracture_core.inference.engine import Engine
from fracture_core.inference.predictor import Failure, Finding, Predictor, load_predictor
from fracture_core.inference.scorer import Scorer
from fracture_core.metrics.confusion import sigmoid
from fracture_core.metrics.operating_points import answer


@pytest.fixture(scope="module")
def reader(small_models):
    return load_predictor("small", small_models)


@pytest.fixture(scope="module")
def files(small_models):
    return sorted((small_models.parent / "data" / "images").rglob("*.jpg"))


def test_the_finding_is_what_the_bundle_predicted(reader, files, small_models):
    table = reader.bundle.predictions().set_index("image_id")
    for path in [p for p in files if p.stem in table.index][:8]:
        finding = reader.predict(read_radiograph(path))
        assert finding.logit == pytest.approx(table.loc[path.stem, "logit"], abs=1e-3)
        assert finding.probability == pytest.approx(sigmoid(finding.logit / reader.bundle.temperature))
        points = reader.bundle.points
        thresholds = points["rule_out"].threshold, points["rule_in"].threshold
        assert finding.triage == (
            answer(finding.probability, *thresholds) if finding.assessed else not_read(UNFAMILIAR)
        )


@pytest.mark.slow
def test_it_equals_the_keras_network(reader, files):
    from fracture_core.network.model import build_model
    from fracture_core.network.weights import set_weights

    model = build_model(reader.bundle.recipe)
    set_weights(model, reader.bundle.weights())
    for path in files[:4]:
        radiograph = read_radiograph(path)
        square, _ = letterbox(radiograph.pixels, 64)
        expected = model(square[None, :, :, None].astype(np.float32), training=False)["logit"]
        assert reader.predict(radiograph).logit == pytest.approx(float(expected[0, 0]), abs=1e-3)


def test_a_likely_fracture_is_marked_where_the_thresholds_cross(reader, files):
    findings = (reader.predict(read_radiograph(path)) for path in files)
    found = next(finding for finding in findings if finding.assessed and 0.001 < finding.probability < 0.999)
    low, high = found.probability - 0.0005, found.probability + 0.0005
    levels = DisplayLevels(full_colour={}, boxes=(-100.0, -100.0))

    def marks(out: float, within: float) -> int:
        points = {
            "rule_out": dataclasses.replace(found.rule_out, threshold=out),
            "rule_in": dataclasses.replace(found.rule_in, threshold=within),
        }
        return len(dataclasses.replace(found, levels=levels, **points).marks())

    assert marks(low, high) == marks(high, low) == marks(low, low) > 0 == marks(high, high)


def test_every_heatmap_has_the_radiographs_shape(reader, files):
    finding = reader.predict(read_radiograph(files[0]))
    for method in METHODS:
        shown = finding.heatmap(method)
        assert shown.shape == finding.radiograph.pixels.shape
        assert shown.dtype == np.float32
        assert np.isfinite(shown).all()


def test_many_threads_get_what_one_gets(reader, files):
    radiographs = [read_radiograph(p) for p in files[:12]]
    alone = [reader.predict(r).logit for r in radiographs]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda r: reader.predict(r).logit, radiographs * 4))
    assert together == pytest.approx(alone * 4, abs=1e-5)


def test_a_bad_file_never_stops_the_rest(reader, files, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    results = list(reader.predict_many([files[0], bad, ("upload.jpg", files[1].read_bytes())]))
    assert [type(r) for r in results] == [Finding, Failure, Finding]
    assert results[1].name == "bad.jpg"
    assert results[1].error.endswith(".")
    assert results[2].radiograph.name == "upload.jpg"


def test_flipped_views_are_averaged(small_models, files):
    bundle = load_predictor("small", small_models).bundle
    square, _ = letterbox(read_radiograph(files[0]).pixels, 64)
    engine = Engine(bundle.graph, bundle.weights())
    both = Scorer(engine, bundle.recipe.replace(test_time_views=("plain", "flip")))
    one = Scorer(engine, bundle.recipe)
    plain, mirrored = (one.score(np.ascontiguousarray(s)[None]) for s in (square, square[:, ::-1]))
    averaged = both.score(square[None])
    assert averaged["logit"] == pytest.approx((plain["logit"] + mirrored["logit"]) / 2, abs=1e-5)
    assert averaged["cells"] == pytest.approx((plain["cells"] + mirrored["cells"][:, :, ::-1]) / 2, abs=1e-4)


@pytest.mark.slow
def test_several_sizes_are_averaged(small_models, files):
    bundle = load_predictor("small", small_models).bundle
    recipe = bundle.recipe.replace(test_time_views=("plain", "flip"), test_time_sizes=(32,))
    predictor = Predictor(dataclasses.replace(bundle, recipe=recipe))
    radiograph = read_radiograph(files[0])
    square, _ = letterbox(radiograph.pixels, 64)
    logits, cells = [], []
    for size in (64, 32):
        engine = Engine(bundle.graph.at_size(size), bundle.weights())
        reduced = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)
        for mirrored in (False, True):
            outputs = engine.run(np.ascontiguousarray(reduced[:, ::-1] if mirrored else reduced)[None])
            found = outputs["cells"][0, :, :, 0]
            logits.append(float(outputs["logit"][0, 0]))
            cells.append(cv2.resize(np.ascontiguousarray(found[:, ::-1] if mirrored else found), (8, 8)))
    finding = predictor.predict(radiograph)
    assert finding.logit == pytest.approx(np.mean(logits), abs=1e-4)
    assert finding.outputs["cells"] == pytest.approx(np.mean(cells, axis=0), abs=1e-3)
    assert {view["cells"].shape for view in finding.views} == {(8, 8), (4, 4)}
    for method in finding.methods:
        assert finding.heatmap(method).shape == radiograph.pixels.shape
    alone = predictor.scorer.first_view().score(square[None])["logit"]
    assert float(alone[0]) == pytest.approx(logits[0], abs=1e-4)


def test_a_scorer_needs_an_engine_for_each_size(reader):
    bundle = reader.bundle
    with pytest.raises(ValueError, match="each size"):
        Scorer(Engine(bundle.graph, bundle.weights()), bundle.recipe.replace(test_time_sizes=(32,)))


def test_small_and_narrow_pictures_are_warned_of(reader):
    rng = np.random.default_rng(0)

    def warnings(height, width):
        data = cv2.imencode(".png", rng.integers(0, 255, (height, width), np.uint8))[1].tobytes()
        return " ".join(reader.predict(read_radiograph(data, name="x.png")).warnings)

    assert "small" in warnings(150, 150)
    assert "narrow" in warnings(1200, 300)


def test_a_blank_image_is_not_assessed_and_nothing_else_is_said_of_it(reader):
    for grey in (0, 90, 255):
        pixels = np.full((454, 373), grey, np.uint8)
        pixels[10:14, 10:14] = 255 - grey  # a lone mark does not make it a radiograph
        finding = reader.predict(read_radiograph(cv2.imencode(".png", pixels)[1].tobytes(), name="x.png"))
        assert not finding.assessed
        assert finding.triage == not_read(BLANK)
        assert finding.not_assessed_reason == BLANK
        assert finding.warnings == ()


def test_an_image_unlike_the_training_data_is_not_assessed(reader, files):
    finding = reader.predict(read_radiograph(files[0]))
    near, far = (dataclasses.replace(finding, unfamiliarity=score) for score in (0.99, 1.01))
    assert near.assessed
    assert near.triage == answer(near.probability, near.rule_out.threshold, near.rule_in.threshold)
    for strange in (far, dataclasses.replace(finding, unfamiliarity=float("nan"))):
        assert not strange.assessed
        assert (strange.triage, strange.not_assessed_reason) == (not_read(UNFAMILIAR), UNFAMILIAR)
