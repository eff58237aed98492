"""A training process lets the app and everybody else go first, and says what stopped it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from fracture_core.jobs.preparation import prepare
from fracture_core.jobs.status import status
from fracture_core.jobs.worker import AUTOGROUP, run_job
from fracture_core.training.progress import TrainingStoppedError
from tests.support.training import SMALL, miniature, tiny_network

SAYS = """
import os
from fracture_core.jobs.worker import AUTOGROUP, lower_priority
lower_priority()
print(os.nice(0), os.environ["OMP_NUM_THREADS"], AUTOGROUP.read_text() if AUTOGROUP.exists() else "")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no nice values")
@pytest.mark.parametrize(("chosen", "level"), [("", 10), ("low", 10), ("12", 12), ("99", 19)])
def test_a_process_of_its_own_session_is_the_last_in_line(chosen: str, level: int):
    done = subprocess.run(
        [sys.executable, "-c", SAYS],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
        env={**os.environ, "FRACTURE_TRAINING_NICE": chosen},
    )
    nice, threads, *group = done.stdout.split()
    assert int(nice) >= level and int(threads) >= 1
    if AUTOGROUP.exists():  # "/autogroup-12 nice 10"
        assert group[1:] == ["nice", str(level)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
@pytest.mark.parametrize(
    ("signals", "raised", "words"),
    [
        ([signal.SIGINT], TrainingStoppedError, "at the keyboard"),
        ([signal.SIGINT, signal.SIGINT], KeyboardInterrupt, "at the keyboard"),
        ([signal.SIGTERM], TrainingStoppedError, "The system or another program told it to stop"),
    ],
)
def test_a_run_says_what_stopped_it(tmp_path, monkeypatch, signals, raised, words):
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(tmp_path / "models"))
    miniature(tmp_path / "data")

    def stop(event):
        if event.stage == "decoding":
            while signals:
                os.kill(os.getpid(), signals.pop())

    with tiny_network(tmp_path):
        run = prepare(SMALL, tmp_path / "data", "tiny")
        with pytest.raises(raised):
            run_job(run, listener=stop)
        found = status(run)
    assert found.state == "stopped" and found.resumable and words in found.error
