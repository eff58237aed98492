"""The audit log: off unless asked for, one whole line a finding, nothing of the patient, no finding without it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fracture_core.inference.assessment import UNFAMILIAR, not_read
from fracture_core.metrics.operating_points import FINDINGS
from fracture_core.reporting.audit_log import NOBODY, AuditLine, AuditLogError, audit_log, record
from tests.support import dicom_files as dicom
from tests.support.miniature import picture

ROOT = Path(__file__).parents[2]
LINE = AuditLine("ward7@hospital.example", "ab" * 32, "small 012345678901", "indeterminate", 0.25)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_it_is_off_unless_a_file_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("FRACTURE_AUDIT_LOG", raising=False)
    monkeypatch.chdir(tmp_path)
    assert audit_log() is None
    record([LINE])
    assert list(tmp_path.iterdir()) == []


def test_a_line_says_who_when_which_file_which_model_and_what(tmp_path):
    log = tmp_path / "audit.jsonl"
    record([LINE], log)
    record([AuditLine("", "cd" * 32, "small 012345678901", "not read: outside the model's scope", None)], log)
    first, second = lines(log)
    assert set(first) == {"when", "who", "input_sha256", "model", "finding", "probability"}
    assert (first["who"], second["who"]) == (LINE.who, NOBODY)
    assert second["probability"] is None
    assert abs((datetime.fromisoformat(first["when"]) - datetime.now().astimezone()).total_seconds()) < 60
    assert log.stat().st_mode & 0o077 == 0


def test_a_name_cannot_forge_a_line(tmp_path):
    log = tmp_path / "audit.jsonl"
    record([AuditLine('x"}\n{"who": "someone else\u2028', "ab" * 32, "m", "indeterminate", 0.5)], log)
    assert len(lines(log)) == 1


def test_processes_that_write_at_once_lose_and_mix_nothing(tmp_path):
    log = tmp_path / "audit.jsonl"
    code = (
        "import sys; from pathlib import Path; from fracture_core.reporting.audit_log import *\n"
        "for n in range(40): record([AuditLine(sys.argv[1], str(n), 'm' * 3000, 'uncertain', 0.5)] * 2, "
        f"Path({str(log)!r}))"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, f"p{n}"], cwd=ROOT) for n in range(3)]
    assert [child.wait(120) for child in children] == [0, 0, 0]
    written = [(line["who"], int(line["input_sha256"])) for line in lines(log)]
    for who in ("p0", "p1", "p2"):
        assert [n for name, n in written if name == who] == [n for n in range(40) for _ in range(2)]


def test_half_a_line_left_by_a_crash_spoils_no_other(tmp_path):
    log = tmp_path / "audit.jsonl"
    log.write_text('{"when": "2026')
    record([LINE], log)
    assert json.loads(log.read_text().splitlines()[1])["who"] == LINE.who


def test_what_does_not_fit_on_the_disk_leaves_no_half_line(tmp_path):
    """A limit on file sizes stops the write in its middle, as a full disk does."""
    log = tmp_path / "audit.jsonl"
    record([LINE], log)
    before = log.read_bytes()
    code = f"""
import resource
from pathlib import Path
from fracture_core.reporting.audit_log import *
resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 20}, {len(before) + 20}))
try:
    record([AuditLine("w", "0" * 64, "m", "indeterminate", 0.5)], Path({str(log)!r}))
except AuditLogError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "so no finding is shown" in done.stdout
    assert log.read_bytes() == before


@pytest.mark.parametrize("where", ["missing/audit.jsonl", "folder"])
def test_a_log_that_cannot_be_written_is_a_sentence(tmp_path, where):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "audit.jsonl" if where.startswith("missing") else tmp_path / "folder"
    with pytest.raises(AuditLogError, match="cannot be written"):
        record([LINE], path)


# --- on the page ---------------------------------------------------------------------------------------------------


@pytest.fixture
def app(small_models, monkeypatch, tmp_path) -> AppTest:
    st.cache_resource.clear()
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(small_models))
    monkeypatch.setenv("FRACATLAS_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("FRACTURE_AUDIT_LOG", str(tmp_path / "log" / "audit.jsonl"))
    return AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120)


def radiograph() -> tuple[str, bytes, str]:
    data = dicom.file_bytes(dicom.dataset(picture(3), PatientName="Doe^Jane", PatientID="MRN-0042"))
    return "DOE^JANE.dcm", data, "application/dicom"


@pytest.mark.slow
def test_the_page_records_each_finding_once_and_no_name(app, tmp_path):
    (tmp_path / "log").mkdir()
    app.run()
    app.file_uploader[0].set_value([radiograph()]).run()
    app.run()
    assert not app.exception
    log = tmp_path / "log" / "audit.jsonl"
    (line,) = lines(log)
    assert line["who"] == NOBODY
    assert line["finding"] in (*FINDINGS, not_read(UNFAMILIAR))
    assert not {b"DOE", b"Doe", b"Jane", b"MRN"} & set(log.read_bytes().replace(b'"', b" ").split())
    assert "doe" not in log.read_text().lower()


@pytest.mark.slow
def test_no_finding_is_shown_that_cannot_be_recorded(app, tmp_path):
    (tmp_path / "log").write_text("a file where the folder should be")
    app.run()
    app.file_uploader[0].set_value([radiograph()]).run()
    assert not app.exception
    assert any("audit log cannot be written" in error.value for error in app.error)
    assert not [one for one in app.get("html") if 'class="answer"' in one.proto.body]
    (tmp_path / "log").unlink()
    (tmp_path / "log").mkdir()
    app.run()
    assert [one for one in app.get("html") if 'class="answer"' in one.proto.body]
    assert len(lines(tmp_path / "log" / "audit.jsonl")) == 1


@pytest.mark.slow
def test_identifiers_wait_to_be_asked_for(app, tmp_path):
    (tmp_path / "log").mkdir()
    app.run()
    app.file_uploader[0].set_value([("r.dcm", *radiograph()[1:])]).run()

    def shown() -> str:
        return " ".join(str(getattr(one, "value", "")) for one in app.main) + " ".join(c.value for c in app.code)

    assert "Doe" not in shown()
    (switch,) = [one for one in app.toggle if one.label.startswith("Show patient details")]
    assert not switch.value
    switch.set_value(True).run()
    assert "Patient's Name: Doe, Jane" in shown()
    assert "Patient ID: MRN-0042" in shown()
    ticks = {one.label: one.value for one in app.checkbox}
    assert ticks["Include patient details"] is False
    assert ticks["Include file name"] is False
