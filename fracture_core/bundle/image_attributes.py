"""Attributes that the features reveal: hardware, several views in one image, and the body part.

One logistic regression a trait on the pooled features, fitted on train. A trait is only said where it was validated:
its threshold is the one that is right nine times in ten on val; a trait that never gets there is never said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

TRAITS = ("hardware", "multiscan", "hand", "leg", "hip", "shoulder")
_PRECISION = 0.9


@dataclass(frozen=True, eq=False)
class AttributeClassifier:
    """`weights` (t, C), `biases` (t,) and `thresholds` (t,) on the logit; inf where a trait is never said."""

    names: tuple[str, ...]
    weights: np.ndarray
    biases: np.ndarray
    thresholds: np.ndarray

    def of(self, embedding: np.ndarray) -> frozenset[str]:
        """Return the traits that one image shows.

        Args:
            embedding: float (C,).

        Returns:
            Names of the traits.
        """
        if not self.names:
            return frozenset()
        logits = self.weights @ np.asarray(embedding, np.float64) + self.biases
        return frozenset(n for n, logit, t in zip(self.names, logits, self.thresholds, strict=True) if logit >= t)

    def fit(self, channels: int) -> bool:
        """Return whether these are traits of embeddings (channels,).

        Args:
            channels: Size of an embedding.

        Returns:
            Whether they fit.
        """
        return not self.names or self.weights.shape[1] == channels

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return plain float32 arrays, one per trait: weights, bias, threshold.

        Returns:
            The arrays by name.
        """
        rows = zip(self.names, self.weights, self.biases, self.thresholds, strict=True)
        return {f"trait/{name}": np.concatenate([w, [b, t]]).astype(np.float32) for name, w, b, t in rows}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> AttributeClassifier:
        """Read what `to_arrays` returned.

        Args:
            arrays: The arrays by name.

        Returns:
            The classifier.
        """
        fitted = {key.removeprefix("trait/"): a for key, a in arrays.items() if key.startswith("trait/")}
        table = np.array(list(fitted.values()), np.float64).reshape(len(fitted), -1 if fitted else 2)
        return cls(tuple(fitted), table[:, :-2], table[:, -2], table[:, -1])


def fit_traits(
    train: np.ndarray, train_truth: Mapping[str, ArrayLike], val: np.ndarray, val_truth: Mapping[str, ArrayLike]
) -> AttributeClassifier:
    """Fit the traits; those with fewer than ten examples are left out.

    Args:
        train: Embeddings of train, float (n, C).
        train_truth: Columns 0/1 (n,) of train by trait.
        val: Embeddings of val, float (m, C).
        val_truth: Columns 0/1 (m,) of val by trait.

    Returns:
        The classifier.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import, and only fitting needs it

    scale = np.asarray(train).std(0) + 1e-6
    names, weights, biases, thresholds = [], [], [], []
    for name, column in train_truth.items():
        truth, wanted = np.asarray(column), np.asarray(val_truth[name])
        if min(truth.sum(), (1 - truth).sum()) < 10:
            continue
        model = LogisticRegression(C=0.003, max_iter=300, class_weight="balanced").fit(train / scale, truth)
        logits = model.decision_function(val / scale)
        names.append(name)
        weights.append(model.coef_[0] / scale)
        biases.append(model.intercept_[0])
        thresholds.append(_threshold(logits, wanted))
    return AttributeClassifier(tuple(names), np.array(weights), np.array(biases), np.array(thresholds))


def _threshold(logits: np.ndarray, truth: np.ndarray) -> float:
    order = np.argsort(-logits)
    precision = np.cumsum(truth[order]) / np.arange(1, len(truth) + 1)
    good = np.flatnonzero((precision >= _PRECISION) & (np.cumsum(truth[order]) >= 5))
    return float(logits[order[good[-1]]]) if len(good) else np.inf
