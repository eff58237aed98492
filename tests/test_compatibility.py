"""What an earlier version wrote still loads: its bundles, its run folders, finished or stopped, and its exports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from keras.src.applications import densenet

from fracture_core.bundle.loading import load_bundle
from fracture_core.inference.engine import Engine
from fracture_core.inference.model_export import served_name
from fracture_core.inference.predictor import load_predictor
from fracture_core.recipe import Recipe
from fracture_core.training.packaging import package
from fracture_core.training.run_folder import RunFolder
from fracture_core.training.train import train
from tests.support.training import miniature, tiny_network

BEFORE = Path(__file__).parent / "fixtures" / "before_reorganisation"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """The images that the runs were trained on."""
    return miniature(tmp_path_factory.mktemp("data"), 45)


@pytest.fixture
def thin_network(tmp_path, monkeypatch):
    """The network of the fixtures in DenseNet121's place."""
    whole = densenet.conv_block
    monkeypatch.setattr(densenet, "conv_block", lambda x, growth, name: whole(x, 4, name))
    with tiny_network(tmp_path):
        yield


def test_a_bundle_gives_the_logits_that_it_was_published_with(dataset):
    table = load_bundle("before", BEFORE / "models").predictions()
    predictor = load_predictor("before", BEFORE / "models")
    found = [result.logit for result in predictor.predict_many([dataset.path(i) for i in table["image_id"]])]
    # Its weights are kept at half precision, and another processor rounds in another way.
    np.testing.assert_allclose(found, table["logit"], atol=0.02)


@pytest.mark.slow
def test_a_stopped_run_is_resumed_and_packaged(dataset, tmp_path, thin_network):
    run = tmp_path / "runs" / "stopped"
    shutil.copytree(BEFORE / "runs" / "stopped", run)
    [first] = RunFolder(run).history()
    train(RunFolder(run).recipe(), dataset, run=run)
    record, before = RunFolder(run).record(), RunFolder(BEFORE / "runs" / "finished")
    assert record["finished"] and RunFolder(run).history()[0] == first
    # The same steps from the same start, so it ends where the run that was never stopped did.
    for now, then in zip(RunFolder(run).history(), before.history(), strict=True):
        assert now["val_loss"] == pytest.approx(then["val_loss"], rel=0.02)
    bundle = package(run, "resumed", dataset, root=tmp_path / "models")
    assert load_bundle("resumed", tmp_path / "models").sha256 == bundle.sha256


@pytest.mark.slow
def test_a_finished_run_is_packaged_as_it_was(dataset, tmp_path):
    bundle = package(BEFORE / "runs" / "finished", "before", dataset, root=tmp_path / "models")
    then = load_bundle("before", BEFORE / "models")
    assert bundle.graph.to_json() == then.graph.to_json()
    weights, weights_then = bundle.weights(), then.weights()
    for name in weights_then.keys() - {"global_logit/bias"}:
        np.testing.assert_array_equal(weights[name], weights_then[name])
    columns = ["image_id", "split", "label"]
    assert bundle.predictions()[columns].equals(then.predictions()[columns])


def test_an_export_is_still_the_bundles_network():
    import openvino

    bundle = load_bundle("before", BEFORE / "models")
    served = BEFORE / "served" / "models" / served_name(bundle)
    settings = json.loads((served / "model-settings.json").read_text("utf-8"))
    # The server imports this file by the name that the settings say, whatever ours is called today.
    assert (served / f"{settings['implementation'].partition('.')[0]}.py").is_file()
    network = openvino.Core().compile_model(str(served / "1" / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    squares = np.random.default_rng(0).integers(0, 256, (3, 32, 32), np.uint8)
    ours = Engine(bundle.graph, bundle.weights()).run(squares)
    answers = network(squares[..., None].astype(np.float32))
    assert {port.any_name for port in network.outputs} == set(ours)
    for port, values in answers.items():
        np.testing.assert_allclose(values, ours[port.any_name], atol=1e-3)


def test_recipes_of_every_fixture_are_read_alike():
    found = {Recipe.from_json(json.loads(path.read_text("utf-8"))) for path in BEFORE.rglob("recipe.json")}
    assert len(found) == 1
