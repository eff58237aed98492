"""The measurement behind an estimate, on the tiny network: what is timed is timed, what is counted is exact."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pandas as pd
import pytest

from fracture_core.data.split import Split
from fracture_core.network.model import build_model, train_last_blocks
from fracture_core.training.estimate import estimate, known_timing
from fracture_core.training.frozen_backbone import split_at_boundary
from fracture_core.training.step_timing import measure
from tests.support.training import SMALL, tiny_network


@pytest.mark.slow
@pytest.mark.parametrize("fast", [False, True], ids=["ordinary", "fast"])
def test_a_measurement_is_kept_and_counts_what_a_run_will_store(tmp_path, fast):
    recipe = SMALL.replace(fast_path=fast)
    with tiny_network(tmp_path):
        began = time.monotonic()
        speed = measure(recipe, began)
        lasted = time.monotonic() - began
        assert 0 < speed.step_seconds < lasted and 0 < speed.start_seconds < lasted
        assert 0 < speed.decode_seconds < lasted
        assert known_timing(recipe) == speed and known_timing(recipe.replace(fast_path=not fast)) is None
        model = build_model(recipe)
        train_last_blocks(model, recipe)
        moving = sum(v.numpy().nbytes for v in model.trainable_variables)
        # Weights, Adam's two moments of what trains, and the average; a little more for states and statistics.
        least = sum(v.numpy().nbytes for v in model.weights) + 3 * moving
        assert least <= speed.checkpoint_bytes < 1.2 * least
        if fast:
            part = split_at_boundary(model)
            maps = sum(int(tensor.shape[1] * tensor.shape[2] * tensor.shape[3]) for tensor in part.trainable.inputs)
            assert speed.view_bytes == 2 * (maps + (recipe.image_size // 8) ** 2) and speed.view_seconds > 0
        else:
            assert speed.view_bytes == speed.view_seconds == 0
        ids = [str(n) for n in range(60)]
        table = pd.DataFrame({"label": [0, 1] * 30}, index=ids)
        split = Split(tuple(ids[:40]), tuple(ids[40:48]), tuple(ids[48:]), {})
        found = estimate(recipe, SimpleNamespace(table=table), split)
        assert found.seconds > speed.start_seconds and found.bytes > speed.checkpoint_bytes
