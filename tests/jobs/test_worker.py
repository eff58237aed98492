"""A training process lets the app and everybody else go first."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fracture_core.jobs.worker import AUTOGROUP

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
