"""Flipped labels are found, as cleanlab finds them, and nothing judges a label that it learned from."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from fracture_core.evaluation.image_features import ImageFeatures
from fracture_core.evaluation.suspect_labels import (
    FOLDS,
    SuspectLabelsError,
    components,
    confident_errors,
    judged_labels,
    most_suspect,
    out_of_fold,
)


def clusters(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of two classes, the given labels, and which of them were flipped."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    features = rng.normal(0, 1, (n, 5)) + 2.5 * truth[:, None] * np.array([1, 1, 0, 0, 0])
    flipped = rng.random(n) < 0.06
    return features, np.where(flipped, 1 - truth, truth), flipped


def network(features: np.ndarray, logit: np.ndarray | None = None) -> ImageFeatures:
    features = features.astype(np.float32)
    ids = tuple(f"i{place:03d}" for place in range(len(features)))
    answers = np.zeros(len(ids)) if logit is None else logit
    return ImageFeatures(ids, embedding=features, appearance=features, logit=answers.astype(np.float32))


def by_id(labels: np.ndarray) -> dict[str, int]:
    return {f"i{place:03d}": int(label) for place, label in enumerate(labels)}


@pytest.mark.parametrize("seed", range(3))
def test_most_flipped_labels_are_found_and_few_others(seed):
    features, labels, flipped = clusters(seed)
    found = most_suspect(judged_labels([network(features)], by_id(labels), {}, by_id(labels)))
    chosen = np.isin(list(by_id(labels)), found["image_id"])
    assert (chosen & flipped).sum() >= 0.5 * flipped.sum()
    assert (chosen & ~flipped).sum() <= 0.25 * flipped.sum()
    assert found["margin"].is_monotonic_increasing and (found["margin"] < 0).all()
    assert found["trained_on"].all()


def test_it_is_scikit_learns_cross_validation():
    features, labels, _ = clusters(7)
    groups = np.arange(len(labels)) // 2
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    model = LogisticRegression(C=0.3, max_iter=1000)
    expected = cross_val_predict(model, features, labels, groups=groups, cv=folds, method="predict_proba")[:, 1]
    assert out_of_fold(features, labels, groups, strength=0.3, repeats=1) == pytest.approx(expected)


def test_duplicates_never_judge_each_other():
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(0, 1, (60, 4)), 2, axis=0)  # nothing but the copy tells the label
    labels = np.repeat(rng.integers(0, 2, 60), 2)
    apart = out_of_fold(features, labels, [f"g{k // 2}" for k in range(120)])
    assert abs(np.corrcoef(apart, labels)[0, 1]) < 0.4
    assert apart[::2] == pytest.approx(apart[1::2])


def test_answers_that_learned_the_labels_judge_none_of_them():
    """A network's answer that repeats the given label everywhere must not hide an error where it was trained."""
    features, labels, flipped = clusters(1)
    parrot = network(features, logit=np.where(labels == 1, 8.0, -8.0))
    trained = by_id(labels)
    found = judged_labels([parrot], trained, {}, trained)
    assert found["suspect"][flipped].mean() >= 0.5
    believed = judged_labels([parrot], trained, {}, {})
    assert not believed["suspect"].any()


def test_images_that_were_never_trained_on_are_judged_by_the_answers():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 200)
    answers = 6.0 * truth - 3 + rng.normal(0, 1, 200)
    labels = truth.copy()
    labels[:8] = 1 - labels[:8]
    noise = network(rng.normal(0, 1, (200, 3)), logit=answers)
    found = judged_labels([noise, noise], by_id(labels), {}, set())
    assert found["suspect"][:8].sum() >= 7 and found["suspect"][8:].sum() <= 4
    assert roc_auc_score(truth, found["probability"]) > 0.95


def test_only_what_every_network_could_read_is_judged():
    features, labels, _ = clusters(2)
    whole = network(features)
    part = ImageFeatures(whole.ids[20:], whole.embedding[20:], whole.appearance[20:], whole.logit[20:])
    assert judged_labels([whole, part], by_id(labels), {}, set())["image_id"].tolist() == list(whole.ids[20:])


def test_too_few_images_are_said_to_be():
    with pytest.raises(SuspectLabelsError, match="At least 5 images"):
        judged_labels([network(np.eye(6))], by_id(np.array([0, 0, 0, 0, 0, 1])), {}, {})


def test_components_are_uncorrelated_and_of_variance_one():
    rng = np.random.default_rng(0)
    found = components((rng.normal(0, 1, (80, 6)) @ rng.normal(0, 3, (6, 6)) + 5).astype(np.float32))
    assert np.cov(found.T) == pytest.approx(np.eye(6), abs=1e-6)


def test_progress_is_told():
    features, labels, _ = clusters(0)
    told: list[tuple[int, int]] = []
    judged_labels([network(features)], by_id(labels), {}, {}, progress=lambda done, of: told.append((done, of)))
    assert told[0][0] == 1 and told[-1] == (15, 15)


@pytest.mark.parametrize("seed", range(5))
def test_the_confident_joint_is_cleanlabs(seed):
    filters = pytest.importorskip("cleanlab.filter", reason="needs cleanlab, as an oracle")
    features, labels, _ = clusters(seed)
    probabilities = out_of_fold(features, labels, [str(k) for k in range(len(labels))])
    both = np.stack([1 - probabilities, probabilities], 1)
    expected = filters.find_label_issues(labels, both, filter_by="confident_learning", n_jobs=1)
    assert confident_errors(labels, both).tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_of_a_rare_class_that_is_hard_to_tell_no_agreed_label_is_suspect(seed):
    """Its threshold is below one half: probabilities above it alone contradict nothing."""
    filters = pytest.importorskip("cleanlab.filter", reason="needs cleanlab, as an oracle")
    rng = np.random.default_rng(seed)
    labels = (rng.random(400) < 0.15).astype(int)
    fractured = np.clip(rng.normal(0.2 + 0.2 * labels, 0.15), 0.01, 0.99)
    assert fractured[labels == 1].mean() < 0.5
    both = np.stack([1 - fractured, fractured], 1)
    suspect = confident_errors(labels, both)
    assert suspect.any() and (both[suspect, labels[suspect]] < 0.5).all()
    assert (
        suspect.tolist() == filters.find_label_issues(labels, both, filter_by="confident_learning", n_jobs=1).tolist()
    )
