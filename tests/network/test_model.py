"""What trains and what is frozen: whole blocks, a share of the last one, or the heads alone."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from fracture_core.inference.engine import Engine
from fracture_core.network.model import BACKBONES, build_model, train_last_blocks
from fracture_core.recipe import BackboneName, Recipe
from fracture_core.training.feature_cache import split_at_boundary


@pytest.fixture(scope="module", params=get_args(BackboneName))
def network(request) -> tuple[Recipe, keras.Model]:
    recipe = Recipe(name="x", backbone=request.param, image_size=96, localiser=8, box_weight=0.5)
    return recipe, build_model(recipe)


def _training(network: tuple[Recipe, keras.Model], blocks: float | None) -> set[str]:
    recipe, model = network
    model.trainable = True
    train_last_blocks(model, recipe.replace(trainable_blocks=blocks))
    return {layer.name for layer in model.layers if layer.trainable and layer.weights}


def test_more_blocks_train_more(network) -> None:
    units, stages = len(BACKBONES[network[0].backbone].units), len(BACKBONES[network[0].backbone].stages)
    asked = [0, *(n / units for n in range(1, units)), *range(1, stages + 1)]
    sets = [_training(network, blocks) for blocks in asked]
    assert all(fewer < more for fewer, more in pairwise(sets))
    assert sets[-1] == _training(network, None)
    heads = {"global_logit", "local_logit", "cells", "cells_coarse", "cells_fine", "cells_mix", "cells_split"}
    assert sets[0] == heads


@pytest.mark.parametrize("blocks", [0, 0.01, 0.5, 1])
def test_nothing_frozen_reads_what_trains(network, blocks) -> None:
    _training(network, blocks)
    for layer in network[1].layers:
        before = layer.input if isinstance(layer.input, list) else [layer.input]
        if not isinstance(layer, keras.layers.InputLayer) and not layer.trainable:
            assert not any(tensor._keras_history.operation.trainable for tensor in before), layer.name


def test_a_quarter_of_densenets_last_block_is_its_last_four_layers() -> None:
    recipe = Recipe(name="x", image_size=64, localiser=8, box_weight=0.5, trainable_blocks=0.25)
    model = build_model(recipe)
    train_last_blocks(model, recipe)
    trunk = {n.split("_", 2)[1] for n in (layer.name for layer in model.layers if layer.trainable) if n[:5] == "conv5"}
    assert trunk == {"block13", "block14", "block15", "block16"}
    squares = np.random.default_rng(0).integers(0, 256, (2, 64, 64)).astype(np.uint8)
    wanted = model(squares[..., None].astype(np.float32), training=False)
    part = split_at_boundary(model)
    maps = Engine(part.graph, part.weights).run(squares)
    given = part.trainable([tf.constant(maps[name]) for name in part.names], training=False)
    for name in given:
        np.testing.assert_allclose(given[name], wanted[name], rtol=1e-3, atol=1e-4, err_msg=name)
