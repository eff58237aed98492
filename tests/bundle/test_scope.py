"""What is a limb radiograph: the arithmetic against scikit-learn, the arrays there and back, what is said to differ."""

from __future__ import annotations

import numpy as np
import pytest

from fracture_core.bundle.scope import (
    STATISTICS,
    ScopeError,
    ScopeModel,
    feature_count,
    grey_statistics,
    scope_features,
)


def model(features: int = STATISTICS + 4) -> ScopeModel:
    rng = np.random.default_rng(0)
    return ScopeModel(
        mean=rng.normal(size=features),
        scale=rng.uniform(0.5, 2, features),
        weights=rng.normal(size=features),
        bias=0.3,
        threshold=-0.2,
        ranges=np.stack([np.full(STATISTICS, 0.2), np.full(STATISTICS, 0.8)]),
    )


def test_the_margin_is_scikit_learns_decision_less_the_threshold() -> None:
    from sklearn.linear_model import LogisticRegression

    scope, x = model(), np.random.default_rng(1).normal(size=(40, STATISTICS + 4)) * 20
    reference = LogisticRegression()
    reference.classes_, reference.coef_, reference.intercept_ = np.array([0, 1]), scope.weights[None], np.array([0.3])
    expected = reference.decision_function(np.clip((x - scope.mean) / scope.scale, -6, 6)) + 0.2
    np.testing.assert_allclose(scope.margin(x), expected, rtol=1e-9)


def test_arrays_come_back_and_damage_is_refused() -> None:
    scope = model()
    arrays = scope.to_arrays()
    again = ScopeModel.from_arrays(arrays)
    x = np.random.default_rng(2).normal(size=(5, STATISTICS + 4))
    np.testing.assert_allclose(again.margin(x), scope.margin(x), rtol=1e-4)
    assert ScopeModel.from_arrays({"familiarity/mean": np.zeros(3)}) is None
    features = arrays["scope/features"]
    for damaged in (
        {"scope/features": features[:2]},
        {"scope/features": np.where(np.arange(3)[:, None] == 1, 0, features).astype(np.float32)},
        {"scope/levels": np.zeros(3, np.float32)},
        {"scope/ranges": np.full((2, STATISTICS), np.inf, np.float32)},
    ):
        with pytest.raises(ScopeError, match="damaged"):
            ScopeModel.from_arrays(arrays | damaged)
    with pytest.raises(ScopeError, match="another network"):
        scope.margin(x[:, :-1])


def test_features_have_the_length_that_the_shapes_say() -> None:
    rng = np.random.default_rng(3)
    outputs = {
        "middle_map": rng.random((2, 8, 8, 5)),
        "last_map": rng.random((2, 4, 4, 7)),
        "logit": rng.random((2, 1)),
    }
    images = rng.integers(0, 256, (2, 64, 64), dtype=np.uint8)
    found = scope_features(outputs, images)
    assert found.shape == (2, feature_count({name: values.shape[1:] for name, values in outputs.items()}))
    np.testing.assert_allclose(found[:, :5], outputs["middle_map"].mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found[1, -STATISTICS:], grey_statistics(images[1]), rtol=1e-5)


def test_the_empty_border_of_a_letterbox_changes_no_statistic() -> None:
    rng = np.random.default_rng(4)
    inside = np.kron(rng.integers(10, 256, (8, 6), dtype=np.uint8), np.ones((16, 16), np.uint8))
    framed = np.zeros((160, 160), np.uint8)
    framed[16:144, 32:128] = inside
    np.testing.assert_array_equal(grey_statistics(framed), grey_statistics(inside))
    assert np.isfinite(grey_statistics(np.zeros((64, 64), np.uint8))).all()


def test_what_differs_is_named() -> None:
    scope, features = model(), np.full(STATISTICS + 4, 0.5)
    assert scope.differences(features) == ()
    features[-STATISTICS + 2], features[-STATISTICS + 13] = 0.1, 0.9
    assert scope.differences(features) == ("dark", "close")
