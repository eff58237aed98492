"""The exposed field: air and borders go, anatomy stays, and it is the same part at every resolution."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fracture_core.bundle.loading import load_bundle
from fracture_core.data.augmentation import cell_targets
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.image_cache import load_image_cache
from fracture_core.data.split import Split
from fracture_core.evaluation.predictions_csv import predict_split
from fracture_core.imaging.exposed_field import exposed_field, fit
from fracture_core.imaging.letterbox import letterbox
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Predictor
from fracture_core.recipe import Recipe
from fracture_core.training.progress import Reporter
from fracture_core.training.training_data import load_training_data
from tests.support.miniature import Entry, build


def limb(
    shape: tuple[int, int], part: tuple[int, int, int, int], *, air: int = 24, white: int = 0, seed: int = 0
) -> np.ndarray:
    """A limb of bone in soft tissue at `part` x, y, width, height, noisy air, and `white` rows of border below."""
    rng = np.random.default_rng(seed)
    pixels = np.full(shape, air, np.float64)
    x, y, w, h = part
    pixels[y : y + h, x : x + w] = air + 60
    pixels[y : y + h, x + w // 3 : x + w - w // 3] = 200
    if white:
        pixels[-white:] = 230
    return np.clip(pixels + rng.normal(0, 1.5, shape), 0, 255).astype(np.uint8)


@st.composite
def limbs(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """A shape, and a limb in it that is neither a speck nor all of it."""
    height, width = draw(st.integers(180, 420)), draw(st.integers(180, 420))
    w, h = draw(st.integers(width // 5, width - 30)), draw(st.integers(height // 5, height - 30))
    x, y = draw(st.integers(15, width - w - 15)), draw(st.integers(15, height - h - 15))
    return (height, width), (x, y, w, h)


def holds(field: tuple[int, int, int, int], part: tuple[int, int, int, int]) -> bool:
    return (
        field[0] <= part[0]
        and field[1] <= part[1]
        and field[0] + field[2] >= part[0] + part[2]
        and field[1] + field[3] >= part[1] + part[3]
    )


@given(limbs(), st.integers(0, 2**16))
@settings(max_examples=40)
def test_a_limb_is_kept_whole_and_the_air_goes(case, seed: int) -> None:
    shape, part = case
    field = exposed_field(limb(shape, part, seed=seed))
    assert holds(field, part)
    # What is kept beside the limb is the margin, and a third of the side for a thin one.
    beside = 0.11 * max(shape) + 4
    assert field[2] <= max(part[2], 0.35 * shape[1]) + beside
    assert field[3] <= max(part[3], 0.35 * shape[0]) + beside


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=90), elements=st.integers(0, 255)))
@settings(max_examples=60)
def test_whatever_the_picture_the_field_is_a_part_of_it(pixels: np.ndarray) -> None:
    x, y, w, h = exposed_field(pixels)
    assert x >= 0 and y >= 0 and w >= 1 and h >= 1
    assert x + w <= pixels.shape[1] and y + h <= pixels.shape[0]


@pytest.mark.parametrize("grey", [0, 20, 255])
def test_a_level_picture_is_kept_whole(grey: int) -> None:
    assert exposed_field(np.full((300, 200), grey, np.uint8)) == (0, 0, 200, 300)


def test_anatomy_that_fills_the_picture_is_kept_whole() -> None:
    rng = np.random.default_rng(0)
    pixels = cv2.resize(rng.integers(40, 230, (12, 10), dtype=np.uint8), (300, 360), interpolation=cv2.INTER_CUBIC)
    _, _, w, h = exposed_field(pixels)
    assert w * h >= 0.97 * pixels.size


def test_a_white_border_goes_with_the_air() -> None:
    part = (100, 60, 90, 160)
    bare = exposed_field(limb((400, 300), part))
    bordered = exposed_field(limb((400, 300), part, white=30))
    assert bare[1] + bare[3] < 400 - 100 and bordered == bare


def test_the_field_is_the_same_part_at_every_resolution() -> None:
    small = limb((300, 240), (70, 50, 80, 120))
    large = cv2.resize(small, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
    assert np.abs(np.array(exposed_field(large)) / 4 - exposed_field(small)).max() <= 3


def test_fitting_cuts_the_field_out_and_remembers_where_it_was() -> None:
    pixels = limb((400, 300), (100, 60, 90, 160))
    square, place = fit(pixels, 64, crop_to_field=True)
    x, y, w, h = exposed_field(pixels)
    assert (place.x, place.y, place.width, place.height) == (x, y, w, h)
    np.testing.assert_array_equal(square, letterbox(pixels[y : y + h, x : x + w], 64)[0])
    np.testing.assert_array_equal(fit(pixels, 64, crop_to_field=False)[0], letterbox(pixels, 64)[0])
    back = place.map_to_radiograph(np.ones((2, 2), np.float32), pixels.shape)
    assert back.sum() == w * h


def test_decoded_pictures_are_cropped_or_not_and_never_mixed_up(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))
    entries = [Entry(f"IMG000000{k}", picture=limb((240, 200), (60, 30 + k, 70, 110), seed=k)) for k in range(2)]
    dataset = FracAtlas(build(tmp_path / "data", entries))
    paths = {i: dataset.path(i) for i in dataset.table.index}
    for crop in (True, False, True):
        pictures = load_image_cache(paths, 64, crop_to_field=crop)
        for image_id, path in paths.items():
            square, place = fit(read_radiograph(path).pixels, 64, crop_to_field=crop)
            np.testing.assert_array_equal(pictures.square(image_id), square)
            assert pictures.placement(image_id) == place


def test_recipes_of_before_do_not_crop() -> None:
    assert Recipe.from_json({"name": "old"}).crop_to_field is False
    assert Recipe.from_json(Recipe(name="new", crop_to_field=True).to_json()).crop_to_field is True


def test_no_outlined_fracture_is_cut_on_real_radiographs(fracatlas_dir: Path) -> None:
    """A sample here; benchmarks/exposed_field.py goes through all of them."""
    from benchmarks.exposed_field import measure

    dataset = FracAtlas(fracatlas_dir)
    fractured = list(dataset.table.index[dataset.table["label"] == 1])
    kept, lost = measure(dataset, fractured[::12])
    assert len(lost) >= 60 and (lost <= 0.05).all()
    assert kept[:, 0].mean() < 0.9


@pytest.mark.slow
def test_training_scoring_and_reading_see_the_same_square(small_models: Path, tmp_path: Path, monkeypatch) -> None:
    """A network trained on exposed fields must be asked about exposed fields, whoever asks."""
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))
    entries = []
    for k in range(20):
        part = (60 + k, 30, 70, 110)
        box = ((float(part[0]), 40.0, 30.0, 40.0),) if k % 2 else ()
        pixels = limb((240, 200), part, seed=k)
        folder = ("Fractured",) if box else ("Non_fractured",)
        entries.append(Entry(f"IMG{k:07}", folder, k % 2, boxes=box, picture=pixels))
    dataset = FracAtlas(build(tmp_path / "data", entries))
    ids = tuple(dataset.table.index)
    split = Split(ids[:8], ids[8:14], ids[14:], {})
    recipe = Recipe(name="field", image_size=64, localiser=8, crop_to_field=True)
    squares = {i: fit(read_radiograph(dataset.path(i)).pixels, 64, crop_to_field=True) for i in ids}

    data = load_training_data(recipe, dataset, split, None, Reporter(tmp_path, 1, None, None))
    np.testing.assert_array_equal(data.val_inputs["radiograph"], [squares[i][0] for i in split.val])
    drawn, cells = data.examples.sample_view(1, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn["radiograph"], squares[ids[1]][0])
    np.testing.assert_array_equal(cells, cell_targets(squares[ids[1]][1].boxes_in_square(dataset.boxes(ids[1])), 64, 8))

    bundle = dataclasses.replace(load_bundle("small", small_models), recipe=recipe)
    reader = Predictor(bundle)
    expected = reader.scorer.score(np.stack([squares[i][0] for i in ids[8:]]))["logit"]
    files = reader.scorer.score_files([dataset.path(i) for i in ids[8:]])["logit"]
    table, _ = predict_split(reader.scorer, reader.head, dataset, split)
    findings = [reader.predict(read_radiograph(dataset.path(i))) for i in ids[8:]]
    for found in (files, table["logit"], [finding.logit for finding in findings]):
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert findings[0].heatmap().shape == (240, 200) and findings[0].placement == squares[ids[8]][1]
