"""Watch what a site's films and answers do over time, from the audit log.

Every ten films the last hundred are compared with a reference: the calibration films, or the first films of the log.
Scores are compared by two tests, one for any difference in distribution (Kolmogorov and Smirnov) and one for a shift
(Mann and Whitney); each of the features that the log keeps by one for a shift and one for its spread; the share of
films that were not read by Fisher's exact test. Looking often makes false alarms likely, so each test uses a level that
keeps the expected number of false alarms below FALSE_ALARMS per 10,000 films, however many are looked at (Bonferroni;
neighbouring windows overlap, so the true rate is lower). The marks of whole months are corrected for all their tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fracture_core.errors import FractureCoreError
from fracture_core.evaluation.monitoring.drift import (
    TESTS_A_FEATURE,
    FeatureTest,
    ScoreTest,
    feature_stability,
    population_stability_index,
    shifts,
)
from fracture_core.evaluation.monitoring.reference import FEATURES, FIRST_FILMS, Reference, features_of, log_reference
from fracture_core.formatting import format_percent
from fracture_core.inference.assessment import NOT_READ
from fracture_core.metrics.operating_points import INDETERMINATE, LIKELY, UNLIKELY

#: Films in the window, and films from one look to the next.
WINDOW, STEP = 100, 10
#: Expected false alarms per 10,000 films, at most.
FALSE_ALARMS = 0.01
#: The chance, at most, that any month of a log in which nothing moved is marked.
MARKED_BY_CHANCE = 0.01
_SCORE_TESTS, _SHARE_TESTS = 2, 1
#: A window with a p-value above this looks like the reference.
_ORDINARY = 0.05
#: Films added to each count of not-read films, so that a reference without any is no certainty.
_SMOOTHING = 1

ANSWERS = (UNLIKELY, INDETERMINATE, LIKELY, NOT_READ)


class MonitoringError(FractureCoreError):
    """A log that cannot be read."""


@dataclass(frozen=True)
class Change:
    """A change in the films or their scores.

    Attributes:
        film: The place in the log, from 0, of the last film of the window that showed it.
        when: The time of that film.
        what: "scores", "features" or "not read".
        p_value: Of the test that showed it; below `level`.
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
        answer (one of ANSWERS, or the finding as logged), probability (0..1, nan for a film that was not read), and
        FEATURES, nan for a film that was not read or was logged before there were any. Lines that a crash truncated,
        and others that are none of ours, are passed over.

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
            named = entry["when"], entry["input_sha256"], entry["model"]
            if not all(isinstance(name, str) for name in named):
                continue
            rows.append((*named, answer, probability, *_features(entry.get("features"))))
        except (ValueError, TypeError, KeyError):
            continue
    table = pd.DataFrame(rows, columns=["when", "film", "model", "answer", "probability", *FEATURES])
    table["when"] = pd.to_datetime(table["when"], utc=True, errors="coerce", format="ISO8601")
    table = table.dropna(subset=["when"]).sort_values("when", kind="stable")
    return table.drop_duplicates(["film", "model"], ignore_index=True)


def _features(logged: Any) -> tuple[float, ...]:
    """Return what a line says of a film's features; not numbers where it says nothing, or nothing sensible."""
    if isinstance(logged, list) and len(logged) == len(FEATURES):
        return tuple(float(value) for value in logged)
    return (np.nan,) * len(FEATURES)


def level(tests: int) -> float:
    """Return the p-value below which one of several tests in a look is an alarm.

    Args:
        tests: How many tests each look consists of.

    Returns:
        The level.
    """
    return FALSE_ALARMS / (10_000 / STEP) / tests


def monthly(log: pd.DataFrame, reference: Reference | None = None) -> pd.DataFrame:
    """Summarise a log month by month.

    Args:
        log: As `read_log` returns it.
        reference: What to compare with; by default the log's first films.

    Returns:
        One row a month, by its first day: films, films_a_day, a share 0..1 for each of ANSWERS, median_probability; psi
        and feature_psi, the population stability index of the probabilities and the largest one of a feature;
        scores_p and features_p, the p-values of the two-sample tests, corrected for the number of tests over all
        months; moved, what they show to have moved: "", "scores", "features" or "scores and features".
    """
    known = reference or log_reference(log)
    groups = list(log.groupby(log["when"].dt.tz_localize(None).dt.to_period("M")))
    score_test, feature_test = ScoreTest(known.scores), FeatureTest(known.features)
    tests = len(groups) * (_SCORE_TESTS + (TESTS_A_FEATURE * len(FEATURES) if len(known.features) else 0))
    rows = []
    for month, films in groups:
        row = {"month": month.start_time, "films": len(films), "films_a_day": len(films) / month.days_in_month}
        row |= {answer: float((films["answer"] == answer).mean()) for answer in ANSWERS}
        scores, features = films["probability"].dropna().to_numpy(float), features_of(films)
        row["median_probability"] = float(np.median(scores)) if scores.size else np.nan
        row["psi"] = population_stability_index(known.scores, scores)
        comparable = min(len(known.features), len(features)) > 0
        row["feature_psi"] = float(feature_stability(known.features, features).max()) if comparable else np.nan
        row["scores_p"] = min(1.0, tests * score_test.p_value(scores))
        row["features_p"] = min(1.0, tests * float(feature_test.p_values(features).min())) if comparable else np.nan
        moved = [name for name in ("scores", "features") if row[f"{name}_p"] < MARKED_BY_CHANCE]
        rows.append(row | {"moved": " and ".join(moved)})
    columns = ["month", "films", "films_a_day", *ANSWERS, "median_probability"]
    columns += ["psi", "feature_psi", "scores_p", "features_p", "moved"]
    return pd.DataFrame(rows, columns=columns).set_index("month")


def changes(log: pd.DataFrame, reference: Reference | None = None) -> list[Change]:
    """Find where something moved.

    Args:
        log: As `read_log` returns it.
        reference: The calibration films; by default the log's first ones, which are then not looked at themselves.

    Returns:
        The beginnings of changes, oldest first: one lasts until a window looks like the
            reference again.
    """
    known = reference or log_reference(log)
    if known.scores.size < WINDOW or len(log) < WINDOW:
        return []
    with_features = len(known.features) >= WINDOW
    threshold = level(_SCORE_TESTS + _SHARE_TESTS + (TESTS_A_FEATURE * len(FEATURES) if with_features else 0))
    look = _Looks(log, known)
    detected: list[Change] = []
    moved = {"scores": False, "features": False, "not read": False}
    for end in range(known.first_film + WINDOW, len(log) + 1, STEP):
        described = with_features and end - WINDOW >= known.first_features
        for what, (p_value, text) in look.at(slice(end - WINDOW, end), described).items():
            differs = p_value < threshold
            if differs and not moved[what]:
                detected.append(Change(end - 1, log["when"].iloc[end - 1], what, p_value, text()))
            # A change is over only when the window looks like the reference again, not when its p-value flickers.
            moved[what] = differs or (moved[what] and p_value < _ORDINARY)
    return detected


def films_needed(log: pd.DataFrame, reference: Reference) -> int:
    """Return how many more films a log needs before `changes` can find anything.

    Args:
        log: As `read_log` returns it.
        reference: What to compare with.

    Returns:
        The number; 0 if there are enough.
    """
    return max(0, reference.first_film + WINDOW - len(log))


class _Looks:
    """A log and its reference, prepared for many looks."""

    def __init__(self, log: pd.DataFrame, known: Reference) -> None:
        self._known = known
        self._scores = log["probability"].to_numpy(float)
        self._features = log.reindex(columns=list(FEATURES)).to_numpy(float)
        self._not_read = (log["answer"] == NOT_READ).to_numpy()
        self._score_test, self._feature_test = ScoreTest(known.scores), FeatureTest(known.features)

    def at(self, window: slice, with_features: bool) -> Mapping[str, tuple[float, Callable[[], str]]]:
        """Return the p-value of each thing that may have moved, and what to say if it has."""
        known, not_read, baseline = self._known, self._not_read[window], self._not_read[:FIRST_FILMS]
        scores = self._scores[window]
        scores = scores[~np.isnan(scores)]
        looks: dict[str, tuple[float, Callable[[], str]]] = {
            "scores": (self._score_test.p_value(scores), lambda: _scores_text(known.scores, scores)),
            "not read": (
                _shares_differ(int(baseline.sum()), len(baseline), int(not_read.sum()), len(not_read)),
                lambda: _not_read_text(baseline, not_read),
            ),
        }
        if with_features:
            features = self._features[window]
            features = features[~np.isnan(features).any(axis=1)]
            p_values = self._feature_test.p_values(features)
            looks["features"] = float(p_values.min()), lambda: _features_text(known.features, features, p_values)
        return looks


@lru_cache(maxsize=4096)
def _shares_differ(before: int, of: int, now: int, of_now: int) -> float:
    """Return the p-value of Fisher's exact test of two shares."""
    from scipy.stats import fisher_exact

    table = [[part + _SMOOTHING, whole - part] for part, whole in ((before, of), (now, of_now))]
    return float(fisher_exact(table).pvalue)


def _scores_text(reference: NDArray[np.float64], scores: NDArray[np.float64]) -> str:
    before, now = np.median(reference), np.median(scores)
    way = "higher" if now > before else "lower" if now < before else "spread differently"
    return (
        f"The last {WINDOW} films score {way} than the reference: median {format_percent(now, 1)} instead of "
        f"{format_percent(before, 1)}. "
        "Films, patients or equipment may have changed; check the calibration."
    )


def _not_read_text(baseline: NDArray[np.bool_], window: NDArray[np.bool_]) -> str:
    return (
        f"{format_percent(window.mean())} of the last {WINDOW} films were not read, in place of "
        f"{format_percent(baseline.mean())}. "
        "Look at some of them: other body parts, views or a changed export are the usual reasons."
    )


def _features_text(reference: NDArray[np.float64], features: NDArray[np.float64], p_values: NDArray[np.float64]) -> str:
    most = int(p_values.argmin())
    moved = shifts(reference, features)[most]
    how = f"{FEATURES[most]} by {moved:+.1f} standard deviations" if abs(moved) >= 0.1 else f"{FEATURES[most]}, spread"
    return (
        f"The last {WINDOW} films look different to the model than the reference (most of all {how}). A new machine, "
        "other processing or export, and other body parts or views are the usual reasons."
    )
