"""A planted change is seen within a hundred films, and two years without one raise no alarm."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from fracture_core.evaluation.monitoring.audit_history import (
    ANSWERS,
    FALSE_ALARMS,
    MARKED_BY_CHANCE,
    WINDOW,
    MonitoringError,
    changes,
    monthly,
    read_log,
)
from fracture_core.evaluation.monitoring.reference import FEATURES, Reference, log_reference
from fracture_core.inference.assessment import NOT_READ
from fracture_core.metrics.operating_points import LIKELY
from fracture_core.reporting.audit_log import AuditLine, record
from tests.support.made_logs import KINDS, MONTH_14, START, made_log


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_a_change_in_month_14_is_flagged_within_100_films(kind, seed):
    log, first = made_log(seed, change_on=MONTH_14, kind=kind)
    found = changes(log)
    assert found and first <= found[0].film <= first + 100
    what = {"not read": "not read", "machine": "features", "noise": "features"}.get(kind, "scores")
    assert [one.what for one in found] == [what]
    assert found[0].when >= START + pd.Timedelta(days=MONTH_14) and found[0].text.endswith(".")


@pytest.mark.slow
def test_two_years_without_a_change_raise_no_alarm():
    logs = [made_log(100 + seed)[0] for seed in range(20)]
    alarms = [change.what for log in logs for change in changes(log)]
    films = sum(map(len, logs))
    assert not alarms, f"{alarms} in {films} films; {FALSE_ALARMS} per 10,000 were promised"
    marked = [log for log in logs if (monthly(log)["moved"] != "").any()]
    assert not marked, f"{len(marked)} of 20 logs; {MARKED_BY_CHANCE:.0%} of logs were promised"


def test_months_add_up():
    log, _ = made_log(0, change_on=MONTH_14, kind="scores")
    table = monthly(log)
    assert len(table) == 24 and table["films"].sum() == len(log)
    assert np.allclose(table[list(ANSWERS)].sum(axis=1), 1)
    january = log[log["when"] < "2024-02-01"]
    assert table.iloc[0]["films"] == len(january) and table.iloc[0]["films_a_day"] == len(january) / 31
    assert table.iloc[0][NOT_READ] == (january["answer"] == NOT_READ).mean()
    assert table["psi"].iloc[2:12].max() < 0.1 < table["psi"].iloc[14:].min()
    assert (table["moved"].iloc[:13] == "").all() and (table["moved"].iloc[14:] == "scores").all()


def test_a_month_is_marked_for_what_moved_in_it():
    table = monthly(made_log(0, change_on=MONTH_14, kind="machine")[0])
    assert (table["moved"].iloc[:13] == "").all() and (table["moved"].iloc[13:] == "features").all()
    assert table["feature_psi"].iloc[2:12].max() < 0.25 < table["feature_psi"].iloc[14:].min()
    assert (table["features_p"].iloc[13:] < MARKED_BY_CHANCE).all() and (table["scores_p"] > MARKED_BY_CHANCE).all()


def test_a_log_from_before_there_were_features_is_watched_by_its_scores():
    log, first = made_log(0, change_on=MONTH_14, kind="scores")
    old = log.drop(columns=list(FEATURES))
    (found,) = changes(old)
    assert found.what == "scores" and first <= found.film <= first + 100
    assert monthly(old)["feature_psi"].isna().all() and monthly(old)["features_p"].isna().all()
    # One that has features from some film on: these are watched against the first that have any.
    log, first = made_log(3, change_on=600, kind="machine")
    log.loc[:2000, list(FEATURES)] = np.nan
    assert log_reference(log).first_features > 2500
    (found,) = changes(log)
    assert found.what == "features" and first <= found.film <= first + 100


def test_the_films_of_a_calibration_are_a_reference():
    log, _ = made_log(0, days=120)
    ours = made_log(7, days=60)[0]
    same = Reference("x", ours["probability"].dropna().to_numpy(), ours[list(FEATURES)].dropna().to_numpy())
    assert changes(log, same) == [] and (monthly(log, same)["moved"] == "").all()
    other = Reference("x", same.scores, same.features + np.array([0, 0, 1.2, 0, 0, 0, 0]))
    # The first films of the log are looked at too.
    (found,) = changes(log, other)
    assert (found.what, found.film) == ("features", WINDOW - 1)
    assert "component 2 by -1." in found.text


def test_the_log_that_the_app_writes_is_read(tmp_path):
    path = tmp_path / "log.jsonl"
    record([AuditLine("a", "00ff", "m 1", LIKELY, 0.9, when="2026-01-02T10:00:00+00:00")], path)
    record([AuditLine("b", "00ff", "m 1", LIKELY, 0.9, when="2026-01-03T10:00:00+00:00")], path)  # the same film
    record([AuditLine("a", "11ff", "m 1", f"{NOT_READ}: the image is blank", None)], path)
    with path.open("a") as file:
        file.write('{"when": "2026-01-0\n[]\n' + json.dumps({"when": "soon", "finding": "x"}) + "\n")
    table = read_log(path)
    assert table["answer"].tolist() == [LIKELY, NOT_READ] and np.isnan(table["probability"].iloc[1])
    assert changes(table) == [] and table[list(FEATURES)].isna().all(axis=None)
    record([AuditLine("a", "22ff", "m 1", LIKELY, 0.9, tuple(0.123 * k for k in range(7)))], path)
    with path.open("a") as file:
        file.write(json.dumps({"when": "2026-02-01", "input_sha256": "33", "model": "m 1", "finding": LIKELY,
                               "probability": 0.5, "features": [1, 2]}) + "\n")  # fmt: skip
    table = read_log(path).set_index("film")
    assert table.loc["22ff", list(FEATURES)].tolist() == [0.0, 0.12, 0.25, 0.37, 0.49, 0.61, 0.74]
    assert table.loc["33", list(FEATURES)].isna().all() and len(table) == 4
    line = {"when": "2026-02-02", "input_sha256": "44", "model": "m 1", "finding": LIKELY, "probability": 0.5}
    for wrong in ({"input_sha256": ["x"]}, {"model": {}}, {"when": 5}, {"when": None}, {"probability": []}):
        with path.open("a") as file:
            file.write(json.dumps(line | wrong) + "\n")
    assert len(read_log(path)) == 4
    with pytest.raises(MonitoringError, match="cannot be read"):
        read_log(tmp_path / "none")
