"""The Monitoring page without a browser."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fracture_core.reporting.audit_log import AuditLine, record
from fracture_core.reporting.finding_text import DISCLAIMER
from tests.evaluation.monitoring.test_audit_history import made_log

PAGE = str(Path(__file__).parents[2] / "pages" / "monitoring.py")


def write(log: pd.DataFrame, path: Path) -> None:
    lines = [
        AuditLine("a", f"{row.film}", row.model, row.answer, row.probability if pd.notna(row.probability) else None,
                  when=row.when.isoformat())
        for row in log.itertuples()
    ]  # fmt: skip
    record(lines, path)


@pytest.fixture
def open_page(monkeypatch, tmp_path):
    st.cache_data.clear()
    monkeypatch.setenv("FRACTURE_AUDIT_LOG", str(tmp_path / "log.jsonl"))

    def opened() -> AppTest:
        app = AppTest.from_file(PAGE, default_timeout=120).run()
        assert not app.exception
        return app

    return opened


def test_without_a_log_it_says_how_to_keep_one(open_page):
    app = open_page()
    assert "FRACTURE_AUDIT_LOG" in app.info[0].value and not app.warning
    assert any(DISCLAIMER in one.value for one in app.caption)


def test_a_change_is_a_warning_with_its_date(open_page, tmp_path):
    log, _ = made_log(0, days=240, change_on=200, kind="scores")
    write(log, tmp_path / "log.jsonl")
    app = open_page()
    assert [one.value.split(":")[0][-9:] for one in app.warning] == ["July 2024"]
    assert f"{len(log)} films from 1 January 2024" in app.markdown[0].value
    table = app.dataframe[0].value
    assert table["Films"].sum() == len(log) and table["Month"].iloc[0] == "Aug 2024"
    assert len(app.get("plotly_chart")) == 3


def test_without_a_change_it_says_so(open_page, tmp_path):
    write(made_log(1, days=90)[0], tmp_path / "log.jsonl")
    app = open_page()
    assert not app.warning and "No change beyond chance" in app.success[0].value
