"""Count predictions against reference labels at one threshold, and derive the rates.

NumPy only: the Diagnose path imports this module and must start quickly. Throughout, `labels` is an integer array
(n,), 1 for fractured and 0 for not; `scores` are floats (n,), logits or probabilities, higher meaning more suspicious;
a radiograph counts as positive when its score is at or above the threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.errors import FractureCoreError

#: The four cells of a confusion matrix, row by row as scikit-learn lays them out.
CELLS = ("TN", "FP", "FN", "TP")


class MetricsError(FractureCoreError):
    """Predictions that cannot be scored: wrong shape, not finite, or lacking a class that is needed."""


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Validate labels and scores.

    Args:
        labels: 0 or 1, shape (n,).
        scores: Finite floats, shape (n,).

    Returns:
        Labels as bool (n,) and scores as float64 (n,).

    Raises:
        MetricsError: The shapes differ, a label is neither 0 nor 1, or a score is not finite.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise MetricsError(f"There are labels of shape {labels.shape} but scores of shape {scores.shape}.")
    if not np.isin(labels, (0, 1)).all():
        raise MetricsError("Every label must be 0 (not fractured) or 1 (fractured).")
    if not np.isfinite(scores).all():
        raise MetricsError("Some predictions are not finite numbers.")
    return labels.astype(bool), scores


def ratio(numerator: float, denominator: float) -> float:
    """Divide, returning nan if the denominator is zero.

    Args:
        numerator: Any number.
        denominator: Any number.

    Returns:
        The quotient, or nan.
    """
    return numerator / denominator if denominator else math.nan


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix in counts. Every rate lies in 0..1 (mcc in -1..1) and is nan if undefined."""

    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def positives(self) -> int:
        """Number of fractured radiographs."""
        return self.tp + self.fn

    @property
    def negatives(self) -> int:
        """Number of radiographs without a fracture."""
        return self.tn + self.fp

    @property
    def n(self) -> int:
        """Number of radiographs."""
        return self.positives + self.negatives

    @property
    def sensitivity(self) -> float:
        """Share of fractured radiographs that are flagged."""
        return ratio(self.tp, self.positives)

    @property
    def specificity(self) -> float:
        """Share of radiographs without a fracture that are not flagged."""
        return ratio(self.tn, self.negatives)

    @property
    def ppv(self) -> float:
        """Share of flagged radiographs that are fractured (precision)."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def npv(self) -> float:
        """Share of unflagged radiographs that have no fracture."""
        return ratio(self.tn, self.tn + self.fn)

    @property
    def accuracy(self) -> float:
        """Share of radiographs classified correctly."""
        return ratio(self.tp + self.tn, self.n)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of sensitivity and specificity."""
        return (self.sensitivity + self.specificity) / 2

    @property
    def f1(self) -> float:
        """Harmonic mean of PPV and sensitivity, 2 TP / (2 TP + FP + FN)."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def mcc(self) -> float:
        """Matthews correlation coefficient (Matthews 1975); nan if a row or a column is empty."""
        flagged = self.tp + self.fp
        product = flagged * (self.n - flagged) * self.positives * self.negatives
        return ratio(self.tp * self.tn - self.fp * self.fn, math.sqrt(product))

    @property
    def prevalence(self) -> float:
        """Share of radiographs that are fractured."""
        return ratio(self.positives, self.n)


def confusion(labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> Confusion:
    """Count predictions against labels.

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: Floats, shape (n,).
        threshold: A prediction is positive if its probability is at or above it.

    Returns:
        The confusion matrix.

    Raises:
        MetricsError: The labels or probabilities are invalid.
    """
    truth, scores = checked(labels, probabilities)
    flagged = scores >= threshold
    tp = int((truth & flagged).sum())
    fp = int(flagged.sum()) - tp
    fn = int(truth.sum()) - tp
    return Confusion(tn=truth.size - tp - fp - fn, fp=fp, fn=fn, tp=tp)


def cells(labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> NDArray[np.str_]:
    """Return the cell of the confusion matrix that each radiograph falls into.

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: Floats, shape (n,).
        threshold: A prediction is positive if its probability is at or above it.

    Returns:
        One of CELLS per radiograph, shape (n,).

    Raises:
        MetricsError: The labels or probabilities are invalid.
    """
    truth, scores = checked(labels, probabilities)
    return np.array(CELLS)[2 * truth.astype(int) + (scores >= threshold)]


def sigmoid(x: ArrayLike) -> NDArray[np.float64] | float:
    """Compute 1 / (1 + exp(-x)) without overflow.

    Args:
        x: Logits, a number or an array of any shape.

    Returns:
        Probabilities 0..1 in float64, in the shape of `x`.
    """
    x = np.asarray(x, dtype=np.float64)
    small = np.exp(-np.abs(x))
    result = np.where(x >= 0, 1.0, small) / (1.0 + small)
    return result if result.ndim else float(result)


def ppv_npv_at_prevalence(sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """Compute PPV and NPV at another prevalence by Bayes' rule.

    This assumes that sensitivity and specificity carry over, which they do only as far as patients and images there
    resemble those measured.

    Args:
        sensitivity: 0..1.
        specificity: 0..1.
        prevalence: Share of radiographs that are fractured, 0..1.

    Returns:
        (PPV, NPV); each nan if undefined.

    Raises:
        MetricsError: The prevalence is outside 0..1.
    """
    if not 0 <= prevalence <= 1:
        raise MetricsError("The prevalence must lie between 0 and 1.")
    healthy = 1 - prevalence
    true_alarms, false_alarms = sensitivity * prevalence, (1 - specificity) * healthy
    true_clears, misses = specificity * healthy, (1 - sensitivity) * prevalence
    return ratio(true_alarms, true_alarms + false_alarms), ratio(true_clears, true_clears + misses)


@dataclass(frozen=True)
class ClassRow:
    """One row of a classification table; rates in 0..1."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


def classification_table(matrix: Confusion) -> list[ClassRow]:
    """Return one row per class, then the macro and the weighted average, as in scikit-learn's report.

    Args:
        matrix: The confusion matrix.

    Returns:
        Four rows: not fractured, fractured, macro average, weighted average.
    """
    mirrored = Confusion(tn=matrix.tp, fp=matrix.fn, fn=matrix.fp, tp=matrix.tn)
    rows = [
        ClassRow(name, m.ppv, m.sensitivity, m.f1, m.positives)
        for name, m in (("not fractured", mirrored), ("fractured", matrix))
    ]
    rates = np.array([[row.precision, row.recall, row.f1] for row in rows])
    support = np.array([row.support for row in rows])
    weights = support / support.sum() if matrix.n else np.full(2, np.nan)
    return [
        *rows,
        *(
            ClassRow(name, float(precision), float(recall), float(f1), matrix.n)
            for name, (precision, recall, f1) in (
                ("macro average", rates.mean(axis=0)),
                ("weighted average", weights @ rates),
            )
        ),
    ]


@dataclass(frozen=True)
class ScoreHistogram:
    """Counts per class between `edges` (bins + 1,) over the probabilities 0..1."""

    edges: NDArray[np.float64]
    not_fractured: NDArray[np.int64]
    fractured: NDArray[np.int64]


def score_histogram(labels: ArrayLike, probabilities: ArrayLike, bins: int = 40) -> ScoreHistogram:
    """Count probabilities by class in bins of equal width.

    Args:
        labels: 0 or 1, shape (n,).
        probabilities: 0..1, shape (n,).
        bins: Number of bins.

    Returns:
        The histogram of both classes.

    Raises:
        MetricsError: The labels or probabilities are invalid.
    """
    truth, scores = checked(labels, probabilities)
    edges = np.linspace(0, 1, bins + 1)
    return ScoreHistogram(edges, np.histogram(scores[~truth], edges)[0], np.histogram(scores[truth], edges)[0])
