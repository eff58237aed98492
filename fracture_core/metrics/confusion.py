"""How well a set of predictions separates fractured radiographs from the others, at one threshold and at all.

Numpy alone, because the diagnose path imports this room and must stay quick to start. Throughout: `labels`
is an integer array (n,), 1 fractured and 0 not; `scores` are floats (n,), logits or probabilities, higher
for more suspect; a radiograph is called fractured when its score is at or above the threshold.
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
    """Predictions that cannot be scored: misshapen, not finite, or lacking a class that is needed."""


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Give labels as bool (n,) and scores as float64 (n,); raise MetricsError where they are unfit."""
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise MetricsError(f"There are labels of shape {labels.shape} but scores of shape {scores.shape}.")
    if not np.isin(labels, (0, 1)).all():
        raise MetricsError("Every label must be 0 (not fractured) or 1 (fractured).")
    if not np.isfinite(scores).all():
        raise MetricsError("Some of the predictions are not finite numbers.")
    return labels.astype(bool), scores


def ratio(numerator: float, denominator: float) -> float:
    """Divide; nan where the denominator is zero."""
    return numerator / denominator if denominator else math.nan


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix in counts; every rate is in 0..1 (mcc in -1..1) and nan where it is undefined."""

    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def positives(self) -> int:
        """Fractured radiographs."""
        return self.tp + self.fn

    @property
    def negatives(self) -> int:
        """Radiographs without a fracture."""
        return self.tn + self.fp

    @property
    def n(self) -> int:
        """All radiographs."""
        return self.positives + self.negatives

    @property
    def sensitivity(self) -> float:
        """Share of the fractured that are called fractured."""
        return ratio(self.tp, self.positives)

    @property
    def specificity(self) -> float:
        """Share of the not fractured that are called not fractured."""
        return ratio(self.tn, self.negatives)

    @property
    def ppv(self) -> float:
        """Share of the positive calls that are right (precision)."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def npv(self) -> float:
        """Share of the negative calls that are right."""
        return ratio(self.tn, self.tn + self.fn)

    @property
    def accuracy(self) -> float:
        """Share of all calls that are right."""
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
        """Matthews correlation coefficient (Matthews 1975); nan where a row or a column is empty."""
        called = self.tp + self.fp
        product = called * (self.n - called) * self.positives * self.negatives
        return ratio(self.tp * self.tn - self.fp * self.fn, math.sqrt(product))

    @property
    def prevalence(self) -> float:
        """Share of the radiographs that are fractured."""
        return ratio(self.positives, self.n)

    def as_array(self) -> NDArray[np.int64]:
        """Give int64 (2, 2), rows truth and columns call, not fractured first, as scikit-learn does."""
        return np.array([[self.tn, self.fp], [self.fn, self.tp]])


def confusion(labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> Confusion:
    """Count the calls against the truth; a call is positive when probability >= threshold."""
    truth, scores = checked(labels, probabilities)
    called = scores >= threshold
    tp = int((truth & called).sum())
    fp = int(called.sum()) - tp
    fn = int(truth.sum()) - tp
    return Confusion(tn=truth.size - tp - fp - fn, fp=fp, fn=fn, tp=tp)


def cells(labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> NDArray[np.str_]:
    """Name the cell of the confusion matrix, one of CELLS, in which each radiograph falls; shape (n,)."""
    truth, scores = checked(labels, probabilities)
    return np.array(CELLS)[2 * truth.astype(int) + (scores >= threshold)]


def sigmoid(x: ArrayLike) -> NDArray[np.float64] | float:
    """Give 1 / (1 + exp(-x)) in float64, of the shape of `x`, without overflow anywhere."""
    x = np.asarray(x, dtype=np.float64)
    small = np.exp(-np.abs(x))
    result = np.where(x >= 0, 1.0, small) / (1.0 + small)
    return result if result.ndim else float(result)


@dataclass(frozen=True)
class ThresholdSweep:
    """Every way in which a threshold can cut the predictions in two.

    `scores` (m,) are the distinct scores, falling; `tp` and `fp` (m,) count the fractured and the other
    radiographs at or above each of them, so the last entries are all the fractured and all the others.
    """

    scores: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    positives: int
    negatives: int


def sweep(labels: ArrayLike, scores: ArrayLike) -> ThresholdSweep:
    """Sort once and count at every distinct score; equal scores are never parted."""
    truth, scores = checked(labels, scores)
    order = np.argsort(-scores, kind="stable")
    falling, truth = scores[order], truth[order]
    ends = np.flatnonzero(np.append(np.diff(falling) != 0, True)) if falling.size else np.array([], dtype=int)
    tp = np.cumsum(truth)[ends] if falling.size else np.array([], dtype=int)
    positives = int(truth.sum())
    return ThresholdSweep(falling[ends], tp, ends + 1 - tp, positives, truth.size - positives)


@dataclass(frozen=True)
class Curve:
    """A curve to draw: `x`, `y` and the threshold that gives each point, all float64 (m,)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    thresholds: NDArray[np.float64]


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """Give x 1 - specificity, y sensitivity, thresholds falling from infinity, where nobody is called."""
    cut = sweep(labels, scores)
    with np.errstate(invalid="ignore"):
        x = np.append(0, cut.fp) / np.float64(cut.negatives)
        y = np.append(0, cut.tp) / np.float64(cut.positives)
    return Curve(x, y, np.append(np.inf, cut.scores))


def precision_recall_curve(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """Give x sensitivity (recall), y PPV (precision), thresholds falling.

    The first point stands at the highest score: where nobody is called, precision is undefined.
    """
    cut = sweep(labels, scores)
    with np.errstate(invalid="ignore"):
        return Curve(cut.tp / np.float64(cut.positives), cut.tp / (cut.tp + cut.fp), cut.scores)


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Give the area under the ROC curve, ties counting half; nan unless both classes are there."""
    cut = sweep(labels, scores)
    if not (cut.positives and cut.negatives):
        return math.nan
    widths, heights = np.diff(cut.fp, prepend=0), np.append(0, cut.tp)
    return float((widths * (heights[1:] + heights[:-1])).sum() / (2 * cut.positives * cut.negatives))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Give the sum of precision times step in recall, not interpolated; nan where nothing is fractured."""
    cut = sweep(labels, scores)
    if not cut.positives:
        return math.nan
    return float((np.diff(cut.tp, prepend=0) * cut.tp / (cut.tp + cut.fp)).sum() / cut.positives)


def ppv_npv_at_prevalence(sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """Give (PPV, NPV) where a share `prevalence` in 0..1 of the radiographs is fractured, by Bayes' rule.

    It supposes that sensitivity and specificity carry over to that place, which they do only as far as its
    patients and pictures are like those measured.
    """
    if not 0 <= prevalence <= 1:
        raise MetricsError("The prevalence must lie between 0 and 1.")
    healthy = 1 - prevalence
    true_alarms, false_alarms = sensitivity * prevalence, (1 - specificity) * healthy
    true_clears, misses = specificity * healthy, (1 - sensitivity) * prevalence
    return ratio(true_alarms, true_alarms + false_alarms), ratio(true_clears, true_clears + misses)


@dataclass(frozen=True)
class ClassRow:
    """One line of a classification table; the rates in 0..1."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


def classification_table(matrix: Confusion) -> list[ClassRow]:
    """Give one row a class, then the macro and the support-weighted mean, as scikit-learn's report does."""
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
        ClassRow("macro average", *rates.mean(axis=0).tolist(), matrix.n),
        ClassRow("weighted average", *(weights @ rates).tolist(), matrix.n),
    ]


@dataclass(frozen=True)
class ScoreHistogram:
    """Counts of each class between `edges` (bins + 1,) over the probabilities 0..1."""

    edges: NDArray[np.float64]
    not_fractured: NDArray[np.int64]
    fractured: NDArray[np.int64]


def score_histogram(labels: ArrayLike, probabilities: ArrayLike, bins: int = 40) -> ScoreHistogram:
    """Count probabilities (0..1) by class in equal-width bins."""
    truth, scores = checked(labels, probabilities)
    edges = np.linspace(0, 1, bins + 1)
    return ScoreHistogram(edges, np.histogram(scores[~truth], edges)[0], np.histogram(scores[truth], edges)[0])
