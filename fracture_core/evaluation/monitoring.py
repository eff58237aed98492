"""Watch what a site's films and answers do over time, from the audit log.

Every ten films the last eighty are compared with a reference: the calibration films' scores, or the first films of the
log. Scores are compared by two tests, one for any difference in distribution (Kolmogorov and Smirnov) and one for a
shift (Mann and Whitney); the share of films that were not read by Fisher's exact test. Looking often makes false
alarms likely, so each test uses a level that keeps the expected number of false alarms below FALSE_ALARMS per 10,000
films, however many are looked at (Bonferroni; neighbouring windows overlap, so the true rate is lower).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fracture_core.errors import FractureCoreError
from fracture_core.inference.assessment import NOT_READ
from fracture_core.metrics.operating_points import INDETERMINATE, LIKELY, UNLIKELY

#: Films in the window, films from one look to the next, and films of the log that make a reference if none is given.
WINDOW, STEP, REFERENCE = 80, 10, 500
#: Expected false alarms per 10,000 films, at most.
FALSE_ALARMS = 0.05
_TESTS = 3
#: A window with a p-value above this looks like the reference.
_ORDINARY = 0.05
LEVEL = FALSE_ALARMS / (10_000 / STEP) / _TESTS
#: Films added to each count of not-read films, so that a reference without any is no certainty.
_SMOOTHING = 1

ANSWERS = (UNLIKELY, INDETERMINATE, LIKELY, NOT_READ)


class MonitoringError(FractureCoreError):
    """A log that cannot be read."""


@dataclass(frozen=True)
class Change:
    """Something moved.

    Attributes:
        film: The place in the log, from 0, of the last film of the window that showed it.
        when: The time of that film.
        what: "scores" or "not read".
        p_value: Of the test that showed it; below LEVEL.
        text: What moved, in a sentence.
    """

    film: int
    when: pd.Timestamp
    what: str
    p_value: float
    text: str


def read_log(path: Path) -> pd.DataFrame:
    """Read an audit log.

    Args:
        path: The file that FRACTURE_AUDIT_LOG names.

    Returns:
        One row for each film and model, the first time it was shown, oldest first: when (UTC), film (SHA-256), model,
        answer (one of ANSWERS, or the finding as logged), probability (0..1, nan for a film that was not read). Lines
        that a crash truncated are passed over.

    Raises:
        MonitoringError: The file cannot be read.
    """
    try:
        lines = Path(path).read_text("utf-8", errors="replace").splitlines()
    except OSError as error:
        raise MonitoringError(f"The audit log cannot be read ({error.strerror}).") from error
    rows = []
    for line in lines:
        try:
            entry = json.loads(line)
            answer = str(entry["finding"])
            answer = NOT_READ if answer.startswith(NOT_READ) else answer
            probability = np.nan if entry["probability"] is None else float(entry["probability"])
            rows.append((entry["when"], entry["input_sha256"], entry["model"], answer, probability))
        except (ValueError, TypeError, KeyError):
            continue
    table = pd.DataFrame(rows, columns=["when", "film", "model", "answer", "probability"])
    table["when"] = pd.to_datetime(table["when"], utc=True, errors="coerce", format="ISO8601")
    table = table.dropna(subset=["when"]).sort_values("when", kind="stable")
    return table.drop_duplicates(["film", "model"], ignore_index=True)


def monthly(log: pd.DataFrame, reference: ArrayLike | None = None) -> pd.DataFrame:
    """Summarise a log month by month.

    Args:
        log: As `read_log` returns it.
        reference: Probabilities to compare with; by default those of the log's first films.

    Returns:
        One row a month, by its first day: films, films_a_day, a share 0..1 for each of ANSWERS, median_probability,
        and psi, the population stability index of the probabilities.
    """
    reference = _reference(log) if reference is None else np.asarray(reference, float)
    rows = []
    for month, films in log.groupby(log["when"].dt.tz_localize(None).dt.to_period("M")):
        row = {"month": month.start_time, "films": len(films), "films_a_day": len(films) / month.days_in_month}
        row |= {answer: float((films["answer"] == answer).mean()) for answer in ANSWERS}
        scores = films["probability"].dropna().to_numpy()
        row["median_probability"] = float(np.median(scores)) if scores.size else np.nan
        rows.append(row | {"psi": population_stability_index(reference, scores)})
    columns = ["month", "films", "films_a_day", *ANSWERS, "median_probability", "psi"]
    return pd.DataFrame(rows, columns=columns).set_index("month")


def population_stability_index(reference: ArrayLike, scores: ArrayLike, bins: int = 10) -> float:
    """Compute the population stability index of scores against a reference.

    Bins hold equal shares of the reference; half a film is added to each, so that an empty one does not give infinity.
    By convention, below 0.1 is stable and above 0.25 has shifted; with few films chance alone reaches that.

    Args:
        reference: Scores, shape (n,).
        scores: Scores, shape (m,).
        bins: Number of bins.

    Returns:
        The index; nan if either is empty.
    """
    reference, scores = np.asarray(reference, float), np.asarray(scores, float)
    if not reference.size or not scores.size:
        return float("nan")
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = []
    for values in (reference, scores):
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) + 0.5
        shares.append(counts / counts.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def changes(log: pd.DataFrame, reference: ArrayLike | None = None) -> list[Change]:
    """Find where something moved.

    Args:
        log: As `read_log` returns it.
        reference: Probabilities of the calibration films; by default those of the log's first REFERENCE films, which
            are then not looked at themselves.

    Returns:
        The beginnings of changes, oldest first: one lasts until a window looks like the
            reference again.
    """
    probabilities, not_read = log["probability"].to_numpy(), (log["answer"] == NOT_READ).to_numpy()
    known = _reference(log) if reference is None else np.asarray(reference, float)
    baseline = not_read[:REFERENCE]
    if known.size < WINDOW or len(log) < WINDOW:
        return []
    changes: list[Change] = []
    moved = {"scores": False, "not read": False}
    first = (REFERENCE if reference is None else 0) + WINDOW
    for end in range(first, len(log) + 1, STEP):
        window = slice(end - WINDOW, end)
        scores = probabilities[window][~np.isnan(probabilities[window])]
        looks: dict[str, tuple[float, Callable[[], str]]] = {
            "scores": (_scores_differ(known, scores), lambda s=scores: _scores_text(known, s)),  # type: ignore[misc]
            "not read": (
                _shares_differ(baseline, not_read[window]),
                lambda w=window: _not_read_text(baseline, not_read[w]),  # type: ignore[misc]
            ),
        }
        for what, (p_value, text) in looks.items():
            differs = p_value < LEVEL
            if differs and not moved[what]:
                changes.append(Change(end - 1, log["when"].iloc[end - 1], what, p_value, text()))
            # A change is over only when the window looks like the reference again, not when its p-value flickers.
            moved[what] = differs or (moved[what] and p_value < _ORDINARY)
    return changes


def _reference(log: pd.DataFrame) -> NDArray[np.float64]:
    return np.asarray(log["probability"].iloc[:REFERENCE].dropna(), float)


def _scores_differ(reference: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """Return the smaller p-value of the two tests of scores; 1 if too few films were scored."""
    from scipy.stats import ks_2samp, mannwhitneyu

    if scores.size < WINDOW // 4:
        return 1.0
    shift = mannwhitneyu(reference, scores, method="asymptotic").pvalue
    return float(min(shift, ks_2samp(reference, scores, method="asymp").pvalue))


def _shares_differ(baseline: NDArray[np.bool_], window: NDArray[np.bool_]) -> float:
    from scipy.stats import fisher_exact

    table = [[int(part.sum()) + _SMOOTHING, int((~part).sum())] for part in (baseline, window)]
    return float(fisher_exact(table).pvalue)


def _scores_text(reference: NDArray[np.float64], scores: NDArray[np.float64]) -> str:
    before, now = np.median(reference), np.median(scores)
    way = "higher" if now > before else "lower" if now < before else "spread differently"
    return (
        f"The last {WINDOW} films score {way} than the reference: median {now:.1%} in place of {before:.1%}. "
        "Films, patients or equipment may have changed; check the calibration."
    )


def _not_read_text(baseline: NDArray[np.bool_], window: NDArray[np.bool_]) -> str:
    return (
        f"{window.mean():.0%} of the last {WINDOW} films were not read, in place of {baseline.mean():.0%}. "
        "Look at some of them: other body parts, views or a changed export are the usual reasons."
    )
