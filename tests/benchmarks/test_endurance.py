"""Memory over many diagnoses, in short; `python -m benchmarks.endurance` does a thousand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_sixty_diagnoses_leave_nothing_behind(small_models, tmp_path):
    """Each radiograph's pixels and heatmaps take over 10 MB here, so keeping even a few would show."""
    for seed in range(4):
        pixels = np.random.default_rng(seed).integers(0, 256, (1000, 900), np.uint8)
        cv2.imwrite(str(tmp_path / f"{seed}.png"), cv2.blur(pixels, (9, 9)), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    command = [sys.executable, "-m", "benchmarks.endurance", str(tmp_path), "--bundle", "small", "--through", "core"]
    done = subprocess.run(
        [*command, "--diagnoses", "60", "--warm-up", "15"],
        cwd=ROOT,
        env=os.environ | {"FRACTURE_MODELS_DIR": str(small_models)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    growth = float(re.search(r"core: growth (-?[\d.]+) MB over 60 diagnoses", done.stdout)[1])
    assert growth < 25, done.stdout


LEAK = """
import numpy as np
import pytest
from benchmarks.endurance import resident, watch
kept = []
print(watch("leak", 40, lambda: kept.append(np.ones(2**17)), resident, warm_up=5))
"""


def test_a_leak_would_be_seen():
    # In a fresh interpreter: this one may have room left over from earlier tests.
    done = subprocess.run([sys.executable, "-c", LEAK], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 30 * 2**20 < float(done.stdout.split()[-1]) < 60 * 2**20
