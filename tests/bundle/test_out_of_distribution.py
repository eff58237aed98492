"""What is familiar: the score against a formula written out, its scale, and what a bundle's network gives for it."""

from __future__ import annotations

import numpy as np
import pytest

from fracture_core.bundle.out_of_distribution import (
    MIDDLE_MAP,
    Familiarity,
    FamiliarityError,
    appearance,
    fit_familiarity,
)
from fracture_core.inference.engine import Engine
from fracture_core.inference.scorer import Scorer
from fracture_core.network.graph import Graph, GraphError
from tests.support.networks import network, pictures, recipe

RNG = np.random.default_rng(5)


def slab(n: int, rng: np.random.Generator = RNG) -> np.ndarray:
    """Points in 20 dimensions that lie near a plane of four."""
    plane = np.random.default_rng(1).normal(size=(4, 20))
    return 3 + rng.normal(size=(n, 4)) @ plane + 0.05 * rng.normal(size=(n, 20))


def test_the_score_is_the_distance_within_the_slab_and_the_energy_outside_it():
    train, val = slab(400), slab(200)
    fitted = fit_familiarity(train, val, refused=0.02)
    x = slab(5) - fitted.mean
    np.testing.assert_allclose(fitted.directions @ fitted.directions.T, np.eye(len(fitted.directions)), atol=1e-9)
    within = x @ fitted.directions.T
    outside = ((x - within @ fitted.directions) ** 2).sum(1)
    expected = (within**2 / fitted.variances).sum(1) / fitted.inside_scale + outside / fitted.outside_scale
    np.testing.assert_allclose(fitted.unfamiliarity(x + fitted.mean), expected / fitted.threshold, rtol=1e-6)
    assert (fitted.unfamiliarity(val) > 1).mean() == pytest.approx(0.02)


def test_what_lies_off_the_slab_or_far_along_it_is_unfamiliar():
    fitted = fit_familiarity(slab(400), slab(200))
    inside = slab(1)
    assert fitted.unfamiliarity(inside)[0] < 1
    assert fitted.unfamiliarity(inside + RNG.normal(size=20))[0] > 1
    assert fitted.unfamiliarity(fitted.mean + 20 * (inside - fitted.mean))[0] > 1


def test_arrays_there_and_back_and_damage_refused():
    fitted = fit_familiarity(slab(100), slab(50))
    arrays = fitted.to_arrays()
    again = Familiarity.from_arrays(arrays)
    x = slab(7)
    np.testing.assert_allclose(again.unfamiliarity(x), fitted.unfamiliarity(x), rtol=1e-3, atol=1e-3)
    with pytest.raises(FamiliarityError):
        Familiarity.from_arrays({name: a for name, a in arrays.items() if "mean" not in name})
    with pytest.raises(FamiliarityError, match="another network"):
        again.unfamiliarity(x[:, :-1])
    with pytest.raises(FamiliarityError, match="eight"):
        fit_familiarity(slab(7), slab(7))


def test_appearance_is_each_channels_mean_and_deviation():
    maps = RNG.normal(size=(3, 4, 5, 6)).astype(np.float32)
    made = appearance(maps)
    assert made.shape == (3, 12) and made.dtype == np.float32
    assert made[1, 2] == pytest.approx(np.mean(maps[1, :, :, 2]), abs=1e-6)
    assert made[2, 6 + 5] == pytest.approx(np.std(maps[2, :, :, 5]), abs=1e-6)


@pytest.mark.slow
def test_a_scorer_judges_by_the_middle_map_where_the_network_gives_one():
    _, graph, weights = network()
    squares = pictures(2)
    plain = Scorer(Engine(graph, weights), recipe()).score(squares)
    np.testing.assert_array_equal(plain["appearance"], plain["embedding"])
    more = graph.with_outputs({MIDDLE_MAP: "pool4_relu"})
    engine = Engine(more, weights)
    scored = Scorer(engine, recipe()).score(squares)
    assert MIDDLE_MAP not in scored
    np.testing.assert_allclose(scored["appearance"], appearance(engine.run(squares)[MIDDLE_MAP]), rtol=1e-5)
    np.testing.assert_allclose(scored["logit"], plain["logit"], atol=1e-5)
    assert Graph.from_json(more.to_json()).outputs[MIDDLE_MAP] == "pool4_relu"
    with pytest.raises(GraphError):
        graph.with_outputs({MIDDLE_MAP: "nowhere"})
