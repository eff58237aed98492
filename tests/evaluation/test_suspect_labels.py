"""Flipped labels are found, as cleanlab finds them."""

from __future__ import annotations

import numpy as np
import pytest

from fracture_core.evaluation.feature_map import FeatureMap
from fracture_core.evaluation.suspect_labels import confident_errors, out_of_fold, suspect_labels


def clusters(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of two classes, the given labels, and which of them were flipped."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    features = rng.normal(0, 1, (n, 5)) + 2.5 * truth[:, None] * np.array([1, 1, 0, 0, 0])
    flipped = rng.random(n) < 0.06
    return features, np.where(flipped, 1 - truth, truth), flipped


def as_map(features: np.ndarray) -> FeatureMap:
    ids = tuple(f"i{place}" for place in range(len(features)))
    return FeatureMap(ids=ids, components=features, places={}, centre=np.zeros(5), axes=np.eye(5))


@pytest.mark.parametrize("seed", range(3))
def test_most_flipped_labels_are_found_and_few_others(seed):
    features, labels, flipped = clusters(seed)
    found = suspect_labels(as_map(features), {f"i{k}": int(y) for k, y in enumerate(labels)}, {})
    chosen = np.isin([f"i{k}" for k in range(len(labels))], found["image_id"])
    assert (chosen & flipped).sum() >= 0.5 * flipped.sum()
    assert (chosen & ~flipped).sum() <= 0.25 * flipped.sum()
    assert found["margin"].is_monotonic_increasing and (found["margin"] < 0).all()


def test_duplicates_never_judge_each_other():
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(0, 1, (60, 4)), 2, axis=0)  # nothing but the copy tells the label
    labels = np.repeat(rng.integers(0, 2, 60), 2)
    groups = [f"g{k // 2}" for k in range(120)]
    apart = out_of_fold(features, labels, groups)
    assert abs(np.corrcoef(apart, labels)[0, 1]) < 0.4
    assert apart[::2] == pytest.approx(apart[1::2])


@pytest.mark.parametrize("seed", range(5))
def test_the_confident_joint_is_cleanlabs(seed):
    filters = pytest.importorskip("cleanlab.filter", reason="needs cleanlab, as an oracle")
    features, labels, _ = clusters(seed)
    probabilities = out_of_fold(features, labels, [str(k) for k in range(len(labels))])
    both = np.stack([1 - probabilities, probabilities], 1)
    expected = filters.find_label_issues(labels, both, filter_by="confident_learning", n_jobs=1)
    assert confident_errors(labels, both).tolist() == expected.tolist()
