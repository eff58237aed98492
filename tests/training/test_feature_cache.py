from __future__ import annotations

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from fracture_core.data.image_cache import load_image_cache
from fracture_core.network.model import build_model, train_last_blocks
from fracture_core.recipe import Augmentation
from fracture_core.training import feature_cache as features_module
from fracture_core.training.feature_cache import FeatureSource, compute_features
from fracture_core.training.frozen_backbone import FeaturesError, FrozenBackbone, split_at_boundary
from tests.support.training import SMALL, miniature, tiny_network

pytestmark = pytest.mark.slow  # every test runs a network over images

RECIPE = SMALL.replace(fast_path=True, trainable_blocks=1)
VIEWS = 3


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("features")
    with tiny_network(root):
        yield miniature(root / "FracAtlas", 20)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path))
    return tmp_path / "features"


def source_of(dataset, recipe=RECIPE):
    paths = {i: dataset.path(i) for i in dataset.table.index}
    plain, larger = (load_image_cache(paths, size) for size in (recipe.image_size, 64))
    boxes = [[p.placement(i).boxes_in_square(dataset.boxes(i)) for i in paths] for p in (plain, larger)]
    return FeatureSource(list(paths), np.asarray(plain.squares), boxes[0], larger, boxes[1])


@pytest.fixture(scope="module")
def whole(dataset):
    model = build_model(RECIPE)
    # Trained networks have statistics of their own; fresh ones would hide a frozen batch norm that is skipped.
    rng = np.random.default_rng(5)
    for variable in model.weights:
        if "variance" in variable.path or "gamma" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    train_last_blocks(model, RECIPE)
    return model


@pytest.fixture(scope="module")
def part(whole):
    return split_at_boundary(whole)


class Killed(BaseException):
    """What a kill is to the code: nothing that it would catch."""


def folders(cache):
    return [path for path in cache.iterdir() if path.is_dir()]


@pytest.mark.parametrize(("blocks", "localiser"), [(0, 8), (1, 8), (2, 8), (0, 0), (1, 0)])
def test_frozen_and_trainable_part_make_the_whole(dataset, blocks, localiser):
    recipe = RECIPE.replace(trainable_blocks=blocks, localiser=localiser, box_weight=0.5 if localiser else 0.0)
    model = build_model(recipe)
    train_last_blocks(model, recipe)
    squares = np.random.default_rng(0).integers(0, 256, (3, 32, 32)).astype(np.uint8)
    wanted = model(squares[..., None].astype(np.float32), training=False)
    part = split_at_boundary(model)
    from fracture_core.inference.engine import Engine

    maps = Engine(part.graph, part.weights).run(squares)
    given = part.trainable([tf.constant(maps[name]) for name in part.names], training=False)
    assert {"logit", "global_logit", "embedding"} | ({"cells"} if localiser else set()) <= set(given)
    for name in given:
        np.testing.assert_allclose(given[name], wanted[name], rtol=1e-3, atol=1e-4, err_msg=name)
    own = {id(v) for v in model.trainable_variables}
    assert {id(v) for v in part.trainable.trainable_variables} == own


def test_a_network_without_frozen_blocks_has_no_boundary(dataset):
    with pytest.raises(FeaturesError, match="trainable_blocks"):
        split_at_boundary(build_model(SMALL))


def test_features_are_what_keras_makes_of_the_frozen_blocks(dataset, cache, part, whole):
    source = source_of(dataset)
    features = compute_features(part, source, RECIPE, VIEWS)
    import keras

    frozen = keras.Model(whole.input, [whole.get_layer(name).output for name in part.names])
    for row in (0, 7, 20, 45, 59):
        picture, cells = source.view(row, RECIPE)
        wanted = frozen(picture[None, ..., None].astype(np.float32), training=False)
        for name, values in zip(part.names, wanted, strict=True):
            np.testing.assert_allclose(features.maps[name][row], values[0], rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(features.cells[row], cells, atol=1e-3)


def test_views_are_the_plain_picture_and_changed_ones(dataset):
    source = source_of(dataset)
    n = len(source.ids)
    np.testing.assert_array_equal(source.view(3, RECIPE)[0], source.plain[3])
    shown = [source.view(view * n + 3, RECIPE)[0] for view in range(VIEWS)]
    assert all(np.any(a != b) for i, a in enumerate(shown) for b in shown[:i])
    np.testing.assert_array_equal(source.view(n + 3, RECIPE)[0], shown[1])


def test_draw_shows_every_view_of_the_picture_asked_for(dataset, cache, part):
    features = compute_features(part, source_of(dataset), RECIPE, VIEWS)
    name = "pool4_relu"
    rows = {values.tobytes(): row % len(features) for row, values in enumerate(features.maps[name])}
    rng = np.random.default_rng(0)
    drawn = [features.sample_view(4, rng)[0][name].tobytes() for _ in range(40)]
    assert {rows[d] for d in drawn} == {4} and len(set(drawn)) == VIEWS


def test_a_second_call_computes_nothing(dataset, cache, part, monkeypatch):
    first = compute_features(part, source_of(dataset), RECIPE, VIEWS)
    monkeypatch.setattr(features_module, "Engine", None)
    again = compute_features(part, source_of(dataset), RECIPE, VIEWS)
    for name in part.names:
        np.testing.assert_array_equal(first.maps[name], again.maps[name])


def remove(folder):
    (folder / "0.npy").unlink()


def cut_short(folder):
    file = folder / "cells.npy"
    file.write_bytes(file.read_bytes()[:-100])


def remove_while_it_was_being_made(folder):
    (folder / "features.json").unlink()
    (folder / "done.json").write_text("32")
    (folder / "0.npy").unlink()


@pytest.mark.parametrize("damage", [remove, cut_short, remove_while_it_was_being_made])
def test_what_is_missing_or_cut_short_is_computed_again(dataset, cache, part, damage):
    wanted = compute_features(part, source_of(dataset), RECIPE, VIEWS)
    maps, cells = {name: np.array(values) for name, values in wanted.maps.items()}, np.array(wanted.cells)
    damage(wanted.folder)
    healed = compute_features(part, source_of(dataset), RECIPE, VIEWS)
    assert healed.folder == wanted.folder
    np.testing.assert_array_equal(healed.cells, cells)
    for name, values in maps.items():
        np.testing.assert_array_equal(healed.maps[name], values)


@pytest.mark.parametrize("killed_at", [0, 32])
def test_killed_half_way_it_goes_on_and_ends_the_same(dataset, cache, part, killed_at):
    wanted = compute_features(part, source_of(dataset), RECIPE, VIEWS)
    wanted = {name: np.array(values) for name, values in wanted.maps.items()}
    shutil.rmtree(cache)

    def kill(done, total, size):
        if done == killed_at:
            raise Killed

    with pytest.raises(Killed):
        compute_features(part, source_of(dataset), RECIPE, VIEWS, progress=kill)
    counts = []
    features = compute_features(
        part, source_of(dataset), RECIPE, VIEWS, progress=lambda done, total, size: counts.append((done, total, size))
    )
    assert counts[0][0] == killed_at and counts[-1][:2] == (60, 60)
    for name, values in wanted.items():
        np.testing.assert_array_equal(features.maps[name], values)


def test_the_size_shown_is_the_size_on_disk(dataset, cache, part):
    told = set()
    compute_features(part, source_of(dataset), RECIPE, VIEWS, progress=lambda done, total, size: told.add(size))
    (folder,) = folders(cache)
    stored = sum(file.stat().st_size for file in folder.glob("*.npy"))
    assert len(told) == 1 and 0 <= stored - told.pop() < 1000  # the headers of the files


def changed(dataset, part, what):
    source, recipe, views = source_of(dataset), RECIPE, VIEWS
    if what == "frozen weights":
        key = next(k for k in part.weights if k.endswith("/kernel"))
        weights = part.weights | {key: part.weights[key] + np.float32(1e-6)}
        part = FrozenBackbone(part.names, part.graph, weights, part.trainable)
    elif what == "pixels":
        plain = source.plain.copy()
        plain[0, 0, 0] ^= 1
        source = dataclasses.replace(source, plain=plain)
    elif what == "boxes":
        source = dataclasses.replace(source, plain_boxes=[*source.plain_boxes[:-1], [[1, 2, 3, 4]]])
    elif what == "augmentation":
        recipe = recipe.replace(augmentation=Augmentation(rotation=11))
    elif what == "seed":
        recipe = recipe.replace(seed=1)
    elif what == "views":
        views = 2
    return part, source, recipe, views


@pytest.mark.parametrize("what", ["frozen weights", "pixels", "boxes", "augmentation", "seed", "views"])
def test_what_features_depend_on_makes_new_ones(dataset, cache, part, what):
    compute_features(part, source_of(dataset), RECIPE, VIEWS)
    compute_features(*changed(dataset, part, what))
    assert len(folders(cache)) == 2


def test_what_features_do_not_depend_on_makes_none(dataset, cache, part):
    compute_features(part, source_of(dataset), RECIPE, VIEWS)
    recipe = RECIPE.replace(name="other", epochs=9, learning_rate=1e-5, batch_size=3, dropout=0.0)
    compute_features(part, source_of(dataset, recipe), recipe, VIEWS)
    assert len(folders(cache)) == 1


def test_the_cache_is_bounded_and_the_oldest_leave_first(dataset, cache, part, monkeypatch):
    sizes = set()
    for seed in (1, 2):
        compute_features(
            part, source_of(dataset), RECIPE.replace(seed=seed), VIEWS, progress=lambda d, t, size: sizes.add(size)
        )
    (size,) = sizes
    first, second = sorted(folders(cache), key=lambda path: path.stat().st_mtime)
    os.utime(first)  # used again, so the second is now the one that was used longest ago
    monkeypatch.setenv("FRACTURE_FEATURES_GB", str(2.5 * size / 1e9))
    compute_features(part, source_of(dataset), RECIPE.replace(seed=3), VIEWS)
    assert first.exists() and not second.exists() and len(folders(cache)) == 2


def test_features_in_use_stay_however_little_room_there_is(dataset, cache, part, monkeypatch):
    sizes = set()
    train = compute_features(part, source_of(dataset), RECIPE, VIEWS, progress=lambda d, t, size: sizes.add(size))
    (size,) = sizes
    monkeypatch.setenv("FRACTURE_FEATURES_GB", str(1.5 * size / 1e9))
    with pytest.raises(FeaturesError, match="more than the"):
        compute_features(part, source_of(dataset), RECIPE.replace(seed=2), VIEWS, beside=train)
    assert folders(cache) == [train.folder]
    compute_features(part, source_of(dataset), RECIPE.replace(seed=2), VIEWS)
    assert train.folder not in folders(cache)


def test_features_that_would_never_fit_are_refused_with_their_size(dataset, cache, part, monkeypatch):
    monkeypatch.setenv("FRACTURE_FEATURES_GB", "0.00001")
    with pytest.raises(FeaturesError, match=r"take .* GB, more than the limit of 1e-05 GB: .*fast_path"):
        compute_features(part, source_of(dataset), RECIPE, VIEWS)
    assert not folders(cache)


@pytest.mark.parametrize("limit", ["20 GB", "nan", "-1"])
def test_a_limit_that_is_no_number_is_named(dataset, cache, part, monkeypatch, limit):
    monkeypatch.setenv("FRACTURE_FEATURES_GB", limit)
    with pytest.raises(FeaturesError, match=f"FRACTURE_FEATURES_GB is '{limit}'; it must be a number of gigabytes"):
        compute_features(part, source_of(dataset), RECIPE, VIEWS)
    assert not folders(cache)


def test_a_full_disk_is_a_sentence_before_anything_is_written(dataset, cache, part, monkeypatch):
    usage = shutil.disk_usage(".")._replace(free=1000)
    monkeypatch.setattr(features_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(FeaturesError, match="the disk has"):
        compute_features(part, source_of(dataset), RECIPE, VIEWS)
    assert not folders(cache)


def test_values_too_large_for_half_precision_are_clipped_not_infinite(dataset, cache, part):
    key = next(k for k in reversed(part.weights) if k.endswith("/kernel"))
    part = FrozenBackbone(part.names, part.graph, part.weights | {key: part.weights[key] * 1e9}, part.trainable)
    features = compute_features(part, source_of(dataset), RECIPE, 1)
    assert all(np.isfinite(values).all() for values in features.maps.values())


def test_the_note_of_progress_never_runs_ahead_of_the_data(dataset, cache, part, monkeypatch):
    """Killed between any two file writes, what done.json counts is on disk."""
    real = features_module.write_text
    source = source_of(dataset)

    def write_text(path, text):
        real(path, text)
        if path.name == "done.json":
            raise Killed

    monkeypatch.setattr(features_module, "write_text", write_text)
    with pytest.raises(Killed):
        compute_features(part, source, RECIPE, VIEWS)
    (folder,) = folders(cache)
    done = json.loads((folder / "done.json").read_text())
    stored = np.load(folder / f"{part.names.index('pool4_relu')}.npy")
    assert done == 32 and stored[:done].any(axis=(1, 2, 3)).all() and not stored[done:].any()
