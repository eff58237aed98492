"""Errors that end a program: one sentence each, the right status, and no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from fracture_core.cli.exit_status import exit_status
from fracture_core.errors import FractureCoreError

WAITS = """
import signal, time
from fracture_core.cli.exit_status import exit_status
# A shell that starts something in the background has it ignore the signal, and so all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
def program():
    print("runs", flush=True)
    try:
        time.sleep(60)
    finally:
        time.sleep(0.2)
raise SystemExit(exit_status(program))
"""


def fails(error: BaseException):
    def program() -> int:
        raise error

    return program


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FractureCoreError("There is no\nbundle."), "error: There is no\\nbundle.\n"),
        (MemoryError(), "error: There is not enough memory.\n"),
        (PermissionError(13, "Permission denied", "list.csv"), "error: list.csv cannot be used (Permission denied).\n"),
    ],
)
def test_an_error_is_one_sentence(error: Exception, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(fails(error)) == 1
    assert capsys.readouterr() == ("", said)


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        exit_status(fails(ZeroDivisionError()))


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (2, 2)])
def test_the_status_is_the_programs_own(returned: int | None, status: int) -> None:
    assert exit_status(lambda: returned) == status


def test_ctrl_c_pressed_again_and_again_stops_without_a_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdout is not None
    process.stdout.readline()
    for _ in range(6):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
        if process.poll() is not None:
            break
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "stopped\n")


@pytest.mark.parametrize("module", ["studies.heatmaps", "studies.shortcuts", "benchmarks.pointing"])
def test_a_study_without_the_dataset_says_where_it_is_looked_for(module: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FRACATLAS_DIR", str(tmp_path / "nowhere"))
    done = subprocess.run([sys.executable, "-m", module], capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 1
    assert "FracAtlas is not at" in done.stderr and "Traceback" not in done.stderr
