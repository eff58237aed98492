"""What trains and what is frozen: whole blocks, a share of the last one, or the heads alone."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from fracture_core.inference.engine import Engine
from fracture_core.network.backbones import BACKBONES
from fracture_core.network.model import SHARPNESS, build_model, train_last_blocks
from fracture_core.recipe import BackboneName, Recipe
from fracture_core.training.frozen_backbone import split_at_boundary


@pytest.fixture(scope="module", params=get_args(BackboneName))
def network(request) -> tuple[Recipe, keras.Model]:
    recipe = Recipe(name="x", backbone=request.param, image_size=96, localiser=8, box_weight=0.5)
    return recipe, build_model(recipe)


def _training(network: tuple[Recipe, keras.Model], blocks: float | None) -> set[str]:
    recipe, model = network
    model.trainable = True
    train_last_blocks(model, recipe.replace(trainable_blocks=blocks))
    return {layer.name for layer in model.layers if layer.trainable and layer.weights}


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_logit_is_what_the_cells_say_and_nothing_else() -> None:
    recipe = Recipe(name="x", image_size=64, localiser=8, head="cells")
    model = build_model(recipe)
    scale, bias = model.get_layer("local_logit").get_weights()
    model.get_layer("local_logit").set_weights([scale * 1.3, bias - 2])
    squares = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 1)).astype(np.float32)
    outputs = model(squares, training=False)
    cells = outputs["cells"].numpy().astype(np.float64).reshape(3, -1)
    pooled = np.log(np.mean(np.exp(SHARPNESS * cells), axis=1)) / SHARPNESS
    np.testing.assert_allclose(outputs["logit"][:, 0], 1.3 * pooled + bias - 2, rtol=1e-5, atol=1e-5)
    model.get_layer("global_logit").set_weights([np.full((1024, 1), 7.0), np.full(1, 9.0)])
    np.testing.assert_array_equal(model(squares, training=False)["logit"], outputs["logit"])


@pytest.mark.slow
def test_the_cells_are_a_weighted_sum_of_the_evidence_maps_channels() -> None:
    model = build_model(Recipe(name="x", image_size=64, localiser=8, head="cells"))
    maps = keras.Model(model.input, [model.get_layer("cells_mix").output, model.output["cells"]])
    evidence, cells = maps(np.random.default_rng(1).integers(0, 256, (1, 64, 64, 1)).astype(np.float32))
    kernel, bias = model.get_layer("cells").get_weights()
    assert evidence.shape[1:3] == cells.shape[1:3] == (8, 8)
    np.testing.assert_allclose(cells, evidence.numpy() @ kernel[0, 0] + bias, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
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
