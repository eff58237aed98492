"""The map keeps neighbours together, is computed once, and another film falls where its like are."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from fracture_core.evaluation.feature_map import feature_map
from fracture_core.inference.predictor import load_predictor


@pytest.fixture(scope="module")
def files(small_models):
    return {path.stem: path for path in sorted((small_models.parent / "data" / "images").glob("*/*.jpg"))}


@pytest.fixture(scope="module")
def scorer(small_models):
    return load_predictor("small", small_models).scorer


def test_it_is_scikit_learns_pca_and_kept(scorer, files, tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path))
    told = []
    found = feature_map(scorer, "v1", files, progress=lambda done, total: told.append((done, total)))
    assert found.ids == tuple(files) and told[-1] == (len(files), len(files))
    features = scorer.score_files(list(files.values()), ("embedding",))["embedding"].astype(float)
    expected = PCA(2, random_state=0).fit_transform(features)
    for axis in (0, 1):
        assert abs(np.corrcoef(found.places["PCA"][:, axis], expected[:, axis])[0, 1]) > 0.999
    told.clear()
    again = feature_map(scorer, "v1", files, progress=lambda done, total: told.append((done, total)))
    assert not told and np.array_equal(again.places["t-SNE"], found.places["t-SNE"])
    feature_map(scorer, "v2", files, progress=lambda done, total: told.append((done, total)))
    assert told  # another model's map is its own


def test_a_film_falls_where_its_like_are(scorer, files, tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path))
    found = feature_map(scorer, "v1", files)
    features = scorer.score_files(list(files.values())[:5], ("embedding",))["embedding"]
    spread = np.ptp(found.places["PCA"], axis=0).max()
    for place, one in enumerate(features):
        assert found.place(one, "PCA") == pytest.approx(found.places["PCA"][place], abs=1e-3 * spread)
        own = (one.astype(float) - found.centre) @ found.axes.T
        _, (nearest,) = NearestNeighbors(n_neighbors=8, algorithm="brute").fit(found.components).kneighbors([own])
        assert place == nearest[0]  # the film itself, and seven like it
        assert found.place(one, "t-SNE") == pytest.approx(np.median(found.places["t-SNE"][nearest], axis=0))


def test_an_unreadable_file_is_left_out_and_a_stop_stops(scorer, files, tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path))
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    few = dict(list(files.items())[:12]) | {"broken": tmp_path / "broken.jpg"}
    assert feature_map(scorer, "v1", few).ids == tuple(few)[:-1]
    assert feature_map(scorer, "v3", files, stop=lambda: True) is None
