from __future__ import annotations

import hashlib
import http.server
import json
import threading
from contextlib import contextmanager

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import densenet
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
from keras.src.utils import file_utils

from fracture_core.bundle import loading as bundles
from fracture_core.network.model import build_model
from fracture_core.network.weights import load_weights, save_weights, weights_of
from fracture_core.recipe import Recipe
from fracture_core.training import initial_weights as start_module
from fracture_core.training.initial_weights import StartingWeightsError, start_from
from tests.support.training import tiny_densenet, tiny_network

pytestmark = pytest.mark.slow  # every test builds a network

RECIPE = Recipe(name="x", image_size=32, start="none", localiser=8)


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory):
    with tiny_network(tmp_path_factory.mktemp("start")):
        yield


@pytest.fixture
def backbone(tmp_path):
    """A backbone alone, as keras.applications saves it, with values of its own."""
    keras.utils.clear_session()
    model = tiny_densenet()
    rng = np.random.default_rng(1)
    for variable in model.weights:
        variable.assign(rng.uniform(0.1, 1, variable.shape))
    path = tmp_path / "backbone_notop.weights.h5"
    model.save_weights(path)
    return path, weights_of(model)


def is_head(key):
    return key.startswith(("cells", "global_logit", "local_logit"))


def assert_untouched(model, before):
    for key, array in weights_of(model).items():
        np.testing.assert_array_equal(array, before[key])


def test_none_leaves_the_random_weights(tmp_path):
    model = build_model(RECIPE)
    before = weights_of(model)
    start = start_from(model, RECIPE)
    assert (start.source, start.sha256, start.loaded) == ("none", None, 0)
    assert_untouched(model, before)


def test_a_keras_file_fills_the_backbone_and_leaves_the_heads(backbone):
    path, wanted = backbone
    model = build_model(RECIPE)
    before = weights_of(model)
    start = start_from(model, RECIPE.replace(start=str(path)))
    for key, array in weights_of(model).items():
        np.testing.assert_array_equal(array, before[key] if is_head(key) else wanted[key])
    assert start.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert start.loaded == len(wanted) and all(map(is_head, start.left))
    json.dumps(start.to_json())


def test_our_own_file_fills_heads_too(tmp_path):
    model = build_model(RECIPE)
    for variable in model.weights:
        variable.assign(np.random.default_rng(2).uniform(0.1, 1, variable.shape))
    path = tmp_path / "whole.safetensors"
    save_weights(path, weights_of(model))
    fresh = build_model(RECIPE)
    start = start_from(fresh, RECIPE.replace(start=str(path)))
    assert not start.left
    stored = load_weights(path)
    for key, array in weights_of(fresh).items():
        np.testing.assert_array_equal(array, stored[key])


def test_heads_of_another_size_stay_random(tmp_path):
    path = tmp_path / "whole.safetensors"
    save_weights(path, weights_of(build_model(RECIPE)))
    other = RECIPE.replace(localiser=16, start=str(path))
    start = start_from(build_model(other), other)
    assert "cells_coarse/kernel" in start.left and "global_logit/kernel" not in start.left


@pytest.mark.parametrize("suffix", [".weights.h5", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x89HDF\r\n\x1a\n" + b"\0" * 200])
def test_a_damaged_file_is_a_sentence_and_harms_nothing(tmp_path, suffix, content):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    model = build_model(RECIPE)
    before = weights_of(model)
    with pytest.raises(StartingWeightsError, match=r"\.$"):
        start_from(model, RECIPE.replace(start=str(path)))
    assert_untouched(model, before)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_weights(path, {"conv1_conv/kernel": np.ones((7, 7, 3, 64), np.float32)})
    model = build_model(RECIPE)
    before = weights_of(model)
    with pytest.raises(StartingWeightsError, match="not those of a densenet121"):
        start_from(model, RECIPE.replace(start=str(path)))
    assert_untouched(model, before)


@pytest.mark.parametrize("start", ["no/such/file.weights.h5", "imagenette", "", "."])
def test_what_is_not_there_is_told_with_what_could_be(start):
    with pytest.raises(StartingWeightsError, match="bundle:NAME"):
        start_from(build_model(RECIPE), RECIPE.replace(start=start))


def test_a_bundle_gives_backbone_heads_and_its_split(monkeypatch):
    whole = {key: array + 1 for key, array in weights_of(build_model(RECIPE)).items()}

    class Stored:
        sha256 = "ab" * 32
        test_digest = "ef" * 32
        manifest = {"provenance": {"split": "cd" * 32}}  # noqa: RUF012

        def weights(self):
            return whole

    monkeypatch.setattr(start_module, "load_bundle", lambda name: Stored() if name == "mine" else None)
    model = build_model(RECIPE)
    start = start_from(model, RECIPE.replace(start="bundle:mine"))
    assert (start.sha256, start.split, start.test, start.left) == ("ab" * 32, "cd" * 32, "ef" * 32, ())
    assert_untouched(model, whole)


def test_a_bundle_that_is_not_there_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(start_module, "load_bundle", lambda name: bundles.load_bundle(name, tmp_path))
    with pytest.raises(StartingWeightsError, match="There is no bundle 'mine'"):
        start_from(build_model(RECIPE), RECIPE.replace(start="bundle:mine"))


@contextmanager
def server(answer):
    """A local HTTP server; `answer(handler)` replies to each GET. Gives its address and the paths asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            answer(self)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


@contextmanager
def imagenet_at(origin, tmp_path, md5=None):
    """keras.applications' own download of DenseNet121, from `origin` instead of the internet, into a cache of its own.

    The network has its published layers, the weights have the published file's name; only the address (and, for a
    file of ours, its MD5) is another.
    """
    real = file_utils.get_file

    def get_file(name, address, **options):
        options |= {"cache_dir": str(tmp_path / "keras")} | ({"file_hash": md5} if md5 else {})
        return real(name, origin + "/" + address.rsplit("/", 1)[1], **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(densenet.file_utils, "get_file", get_file)
        patch.setattr(keras.applications, "DenseNet121", densenet.DenseNet121)
        yield


def send(handler, body, length=None):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def test_imagenet_is_downloaded_as_keras_does_it(tmp_path):
    keras.utils.clear_session()
    published = densenet.DenseNet121(include_top=False, weights=None)
    wanted = weights_of(published)
    file = tmp_path / "published.h5"
    with h5py.File(file, "w") as h5:  # the old format, in which keras.applications' files are
        save_weights_to_hdf5_group(h5, published)
    body = file.read_bytes()
    md5 = hashlib.md5(body).hexdigest()
    with server(lambda handler: send(handler, body)) as (address, asked), imagenet_at(address, tmp_path, md5):
        recipe = RECIPE.replace(start="imagenet")
        model = build_model(recipe)
        start = start_from(model, recipe)
    assert asked == ["/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"]
    assert start.loaded == len(wanted) and start.sha256
    mine = weights_of(model)
    for key, array in wanted.items():
        np.testing.assert_array_equal(mine[key], array)


def refuse(handler):
    handler.send_error(404)


def cut(handler):
    send(handler, b"x" * 1000, length=100_000)


def lie(handler):
    send(handler, b"<html>Please log in to the hotel's network</html>")


@pytest.mark.parametrize("answer", [refuse, cut, lie])
def test_a_download_that_fails_says_so_and_what_to_do(tmp_path, answer):
    recipe = RECIPE.replace(start="imagenet")
    model = build_model(recipe)
    before = weights_of(model)
    told = pytest.raises(StartingWeightsError, match=r"cannot be downloaded.*bundle:.*\(none\)\.$")
    with server(answer) as (address, _), imagenet_at(address, tmp_path), told as caught:
        start_from(model, recipe)
    assert "\n" not in str(caught.value)
    assert_untouched(model, before)
    assert not list((tmp_path / "keras").rglob("*.h5")), "half a file would be taken for whole the next time"


def test_no_network_says_so_and_what_to_do(tmp_path):
    recipe = RECIPE.replace(start="imagenet")
    model = build_model(recipe)
    with server(refuse) as (address, _):
        pass  # closed again: nobody listens there
    with imagenet_at(address, tmp_path), pytest.raises(StartingWeightsError, match="Connect to the internet"):
        start_from(model, recipe)


def test_a_server_that_never_answers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(start_module, "_DOWNLOAD_TIMEOUT_S", 0.5)
    recipe = RECIPE.replace(start="imagenet")
    model = build_model(recipe)
    over = threading.Event()
    with server(lambda handler: over.wait(20)) as (address, _), imagenet_at(address, tmp_path):
        with pytest.raises(StartingWeightsError, match="cannot be downloaded"):
            start_from(model, recipe)
        over.set()
