"""The study counts what it planted, and its page holds what was counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fracture_core.evaluation.image_features import ImageFeatures
from fracture_core.evaluation.suspect_labels import judged_labels
from studies.suspect_labels import Tally, count, flipped, judges, page, plant, rows


def network(n: int = 200) -> tuple[ImageFeatures, dict[str, int]]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, n)
    clear = (truth[:, None] * 6 + rng.normal(0, 1, (n, 4))).astype(np.float32)
    ids = tuple(f"i{place:03d}" for place in range(n))
    labels = {one: int(label) for one, label in zip(ids, truth, strict=True)}
    return ImageFeatures(ids, embedding=clear, appearance=clear, logit=clear[:, 0] - 3), labels


def test_as_many_labels_are_flipped_as_asked():
    labels = {f"i{place}": place % 2 for place in range(400)}
    given, planted = flipped(labels, 0.03, 1)
    assert len(planted) == 12
    assert {one for one in labels if labels[one] != given[one]} == planted
    assert flipped(labels, 0.03, 2)[1] != planted


def test_what_was_found_is_counted():
    judged = pd.DataFrame(
        {"image_id": list("abcde"), "margin": [-0.9, -0.5, -0.7, 0.2, 0.9], "suspect": [True, True, True, False, False]}
    )
    assert count(judged, {"a", "b", "d"}) == Tally(planted=3, listed=3, both=2, first=2)


@pytest.mark.slow
def test_planted_labels_are_found_and_reported():
    features, labels = network()
    trained = set(list(labels)[:120])
    ways = judges([features], trained, features)
    found = plant(ways, labels, {}, trained, 0.05, 2, lambda words: None)
    assert len(found) == 2 * len(ways)
    for draws in found.values():
        assert all(one.first >= 0.8 * one.planted and one.both <= one.planted for one in draws)
    table = rows(found, False)
    assert len(table) == 2 + len(ways)
    planted = np.mean([one.planted for one in found[ways[0].name, False]])
    assert f"| {planted:.0f} |" in table[2]
    text = page([], found, judged_labels([features], labels, {}, trained), (3, 2), 0.05)
    assert "5% of FracAtlas's labels were flipped at random, 2 times" in text
    assert all(line in text for line in table) and "{" not in text
