"""The networks that no shipped model uses, but that the Training page offers, train all the same."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fracture_core.network.weights import load_weights
from fracture_core.training.run_folder import RunFolder
from fracture_core.training.train import train
from tests.support.training import SMALL, miniature

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("backbone", ["resnet50v2", "efficientnetv2-b0"])
def test_it_trains_an_epoch_to_finite_weights(backbone, tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))
    recipe = SMALL.replace(name=backbone, backbone=backbone, epochs=1, batch_size=16, weight_averaging=0.0)
    run = train(recipe, miniature(tmp_path / "data"), run=tmp_path / "run")
    (row,) = RunFolder(run).history()
    assert all(math.isfinite(row[key]) for key in ("loss", "val_loss", "val_auc"))
    assert RunFolder(run).finished
    trained = load_weights(run / "weights.safetensors")
    assert all(np.isfinite(array).all() for array in trained.values())
