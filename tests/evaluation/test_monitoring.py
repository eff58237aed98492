"""A planted change is seen within a hundred films, and two years without one raise no alarm."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from fracture_core.evaluation.monitoring import (
    ANSWERS,
    FALSE_ALARMS,
    MonitoringError,
    changes,
    monthly,
    population_stability_index,
    read_log,
)
from fracture_core.inference.assessment import NOT_READ
from fracture_core.metrics.confusion import sigmoid
from fracture_core.metrics.operating_points import INDETERMINATE, LIKELY, UNLIKELY
from fracture_core.reporting.audit_log import AuditLine, record

START = pd.Timestamp("2024-01-01", tz="UTC")


def made_log(seed: int, *, days: int = 730, change_on: int | None = None, kind: str = "") -> tuple[pd.DataFrame, int]:
    """Two years of about ten films a day, and the place of the first film after the change."""
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
            rows.append((START + pd.Timedelta(days=day), f"{len(rows)}", "m", answer, np.nan if not_read else p))
    return pd.DataFrame(rows, columns=["when", "film", "model", "answer", "probability"]), first


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["scores", "not read", "prevalence"])
@pytest.mark.parametrize("seed", range(3))
def test_a_change_in_month_14_is_flagged_within_100_films(kind, seed):
    log, first = made_log(seed, change_on=396, kind=kind)
    found = changes(log)
    assert found and first <= found[0].film <= first + 100
    assert found[0].what == ("not read" if kind == "not read" else "scores")
    assert found[0].when >= START + pd.Timedelta(days=396) and found[0].text.endswith(".")


@pytest.mark.slow
def test_two_years_without_a_change_raise_no_alarm():
    alarms = [len(changes(made_log(100 + seed)[0])) for seed in range(20)]
    films = 20 * 7300
    assert sum(alarms) == 0, f"{sum(alarms)} in {films} films; {FALSE_ALARMS} per 10,000 were promised"


def test_months_add_up():
    log, _ = made_log(0, change_on=396, kind="scores")
    table = monthly(log)
    assert len(table) == 24 and table["films"].sum() == len(log)
    assert np.allclose(table[list(ANSWERS)].sum(axis=1), 1)
    january = log[log["when"] < "2024-02-01"]
    assert table.iloc[0]["films"] == len(january) and table.iloc[0]["films_a_day"] == len(january) / 31
    assert table.iloc[0][NOT_READ] == (january["answer"] == NOT_READ).mean()
    assert table["psi"].iloc[2:12].max() < 0.1 < table["psi"].iloc[14:].min()


def test_the_index_is_its_definition():
    rng = np.random.default_rng(0)
    reference, scores = rng.random(1000), rng.random(400) ** 2
    edges = np.quantile(reference, np.linspace(0, 1, 11))
    edges[0], edges[-1] = -np.inf, np.inf
    counts = [np.histogram(values, edges)[0] + 0.5 for values in (reference, scores)]
    a, b = (count / count.sum() for count in counts)
    assert population_stability_index(reference, scores) == pytest.approx(((b - a) * np.log(b / a)).sum())
    assert population_stability_index(reference, reference) == 0
    assert np.isnan(population_stability_index(reference, []))


def test_the_log_that_the_app_writes_is_read(tmp_path):
    path = tmp_path / "log.jsonl"
    record([AuditLine("a", "00ff", "m 1", LIKELY, 0.9, when="2026-01-02T10:00:00+00:00")], path)
    record([AuditLine("b", "00ff", "m 1", LIKELY, 0.9, when="2026-01-03T10:00:00+00:00")], path)  # the same film
    record([AuditLine("a", "11ff", "m 1", f"{NOT_READ}: the image is blank", None)], path)
    with path.open("a") as file:
        file.write('{"when": "2026-01-0\n[]\n' + json.dumps({"when": "soon", "finding": "x"}) + "\n")
    table = read_log(path)
    assert table["answer"].tolist() == [LIKELY, NOT_READ] and np.isnan(table["probability"].iloc[1])
    assert changes(table) == []
    with pytest.raises(MonitoringError, match="cannot be read"):
        read_log(tmp_path / "none")
