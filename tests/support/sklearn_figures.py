"""The threshold page's figures by scikit-learn, as its tables print them."""

from __future__ import annotations

import numpy as np
from sklearn import metrics as sk


def of_sklearn(labels, probabilities, threshold: float) -> dict[str, float]:
    """Every figure of the page's table, by scikit-learn; those it calls 0 for want of a case are undefined here."""
    calls = (probabilities >= threshold).astype(int)
    tn, fp, fn, tp = sk.confusion_matrix(labels, calls, labels=[0, 1]).ravel()
    nan = float("nan")
    return {
        "Sensitivity": sk.recall_score(labels, calls),
        "Specificity": sk.recall_score(labels, calls, pos_label=0),
        "PPV": sk.precision_score(labels, calls, zero_division=nan),
        "NPV": sk.precision_score(labels, calls, pos_label=0, zero_division=nan),
        "Accuracy": sk.accuracy_score(labels, calls),
        "Balanced accuracy": sk.balanced_accuracy_score(labels, calls),
        "F1": sk.f1_score(labels, calls),
        "MCC": sk.matthews_corrcoef(labels, calls) if tp + fp and tn + fn else nan,
    }


def as_shown(figures: dict[str, float]) -> dict[str, str]:
    return {name: "undefined" if np.isnan(value) else f"{value:.3f}" for name, value in figures.items()}
