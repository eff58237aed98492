"""Made audit logs of two years, with a change planted in one way or another, or none."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fracture_core.evaluation.monitoring.reference import FEATURES
from fracture_core.inference.assessment import NOT_READ
from fracture_core.metrics.confusion import sigmoid
from fracture_core.metrics.operating_points import INDETERMINATE, LIKELY, UNLIKELY

#: The ways in which a change is planted.
KINDS = ("scores", "not read", "prevalence", "machine", "noise")
#: The first day of month 14, from 0.
MONTH_14 = 396
START = pd.Timestamp("2024-01-01", tz="UTC")


def made_log(seed: int, *, days: int = 730, change_on: int | None = None, kind: str = "") -> tuple[pd.DataFrame, int]:
    """Two years of about ten films per day, and the place of the first film after the change."""
    rng = np.random.default_rng(seed)
    rows, first = [], -1
    for day in range(days):
        changed = change_on is not None and day >= change_on
        if changed and first < 0:
            first = len(rows)
        for _ in range(rng.poisson(10)):
            fractured = rng.random() < (0.65 if changed and kind == "prevalence" else 0.2)
            logit = rng.normal(1.0 if fractured else -3.0, 1.3) + (1.5 if changed and kind == "scores" else 0)
            not_read = rng.random() < (0.25 if changed and kind == "not read" else 0.03)
            p = float(sigmoid(logit))
            answer = NOT_READ if not_read else UNLIKELY if p < 0.05 else LIKELY if p > 0.5 else INDETERMINATE
            features = made_features(rng, kind if changed else "")
            described = (np.nan,) * len(FEATURES) if not_read else tuple(features.round(2))
            when = START + pd.Timedelta(days=day)
            rows.append((when, f"{len(rows)}", "m", answer, np.nan if not_read else p, *described))
    return pd.DataFrame(rows, columns=["when", "film", "model", "answer", "probability", *FEATURES]), first


def made_features(rng: np.random.Generator, kind: str) -> np.ndarray:
    """A distance that is skewed, and components that are correlated, one of them of two kinds of film."""
    values = rng.normal(size=len(FEATURES))
    values[2] = 0.6 * values[1] + 0.8 * values[2]
    values[3] += 2.5 * (rng.random() < 0.3)
    values[0] = 0.4 * np.exp(0.3 * values[0])
    if kind == "machine":
        values[4] += 1.0
    if kind == "noise":
        values[5] *= 2.5
    return values
