"""Features are those of the network, are computed once, and go on where a cancelled computation ended."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fracture_core.evaluation import image_features as module
from fracture_core.evaluation.image_features import features_key, image_features, images_stored
from fracture_core.inference.predictor import load_predictor


@pytest.fixture(scope="module")
def files(small_models):
    return {path.stem: path for path in sorted((small_models.parent / "data" / "images").glob("*/*.jpg"))}


@pytest.fixture(scope="module")
def scorer(small_models):
    return load_predictor("small", small_models).scorer


@pytest.fixture
def small_parts(tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(module, "PART", 7)


def test_they_are_what_the_network_gives(scorer, files, small_parts):
    found = image_features(scorer, "v1", files)
    assert found.ids == tuple(files)
    expected = scorer.first_view().score_files(list(files.values()), ("embedding", "appearance", "logit"))
    assert found.logit == pytest.approx(expected["logit"], abs=1e-4)
    for name in ("embedding", "appearance"):
        assert getattr(found, name) == pytest.approx(expected[name], rel=2e-3, abs=1e-4)


def test_a_cancelled_computation_goes_on_where_it_ended(scorer, files, small_parts):
    done = []
    assert (
        image_features(scorer, "v1", files, progress=lambda n, of: done.append(n), stop=lambda: len(done) == 3) is None
    )
    assert done == [7, 14, 21] and images_stored("v1", files) == 21
    computed = []
    counting = _Counting(scorer, computed)
    whole = image_features(counting, "v1", files)
    assert sum(computed) == len(files) - 21
    assert images_stored("v1", files) == len(files)
    again = image_features(_Counting(scorer, computed := []), "v1", files)
    assert not computed and again.ids == whole.ids
    # What was kept at half precision and what was just computed are the same to that precision.
    assert again.embedding == pytest.approx(whole.embedding, rel=2e-3, abs=1e-4)


class _Counting:
    """A scorer that tells how many images it was given."""

    def __init__(self, scorer, told: list[int]):
        self._scorer, self._told = scorer, told
        self.fit = scorer.fit

    def first_view(self):
        return _Counting(self._scorer.first_view(), self._told)

    def score(self, squares):
        self._told.append(len(squares))
        return self._scorer.score(squares)


def test_a_damaged_part_is_computed_anew(scorer, files, small_parts, tmp_path):
    whole = image_features(scorer, "v1", files)
    part = sorted((tmp_path / "image-features").glob("*/*.npz"))[1]
    part.write_bytes(part.read_bytes()[:100])
    again = image_features(scorer, "v1", files)
    assert again.ids == whole.ids and np.allclose(again.logit, whole.logit, atol=1e-4)


def test_an_unreadable_file_is_left_out(scorer, files, small_parts, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    few = {"broken": tmp_path / "broken.jpg"} | dict(list(files.items())[:9])
    assert image_features(scorer, "v1", few).ids == tuple(few)[1:]


def test_another_model_and_changed_files_are_another_matter(files, tmp_path):
    copied = tmp_path / "a.jpg"
    copied.write_bytes(next(iter(files.values())).read_bytes())
    key = features_key("v1", {"a": copied})
    assert features_key("v2", {"a": copied}) != key
    os.utime(copied, ns=(1, 1))
    assert features_key("v1", {"a": copied}) != key
