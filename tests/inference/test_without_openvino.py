"""An installation from which OpenVINO is missing: findings come from TensorFlow, the same, and say so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.engine import TensorFlowEngine
from fracture_core.inference.predictor import load_predictor

_PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_finding_without_the_wheel_is_the_same_and_says_what_read(small_models, tmp_path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not entry.name.lower().startswith("openvino"):
            (packages / entry.name).symlink_to(entry)
    file = min((small_models.parent / "data" / "images").rglob("*.jpg"))
    code = """
import json, sys
from pathlib import Path
try:
    import openvino
    raise SystemExit("OpenVINO is here after all")
except ImportError:
    pass
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import load_predictor
finding = load_predictor("small", Path(sys.argv[1])).predict(read_radiograph(Path(sys.argv[2])))
heatmap = finding.heatmap("grad-cam")
print(json.dumps([finding.logit, finding.warnings, float(heatmap.max())]))
"""
    # Without `site` the interpreter's own packages, the wheel among them, are not on the path.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(small_models), str(file)],
        env={**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{_PROJECT}", "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=_PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    logit, warnings, hottest = json.loads(done.stdout.splitlines()[-1])
    expected = load_predictor("small", small_models).predict(read_radiograph(file))
    assert logit == pytest.approx(expected.logit, abs=1e-3)
    assert hottest == pytest.approx(float(expected.heatmap("grad-cam").max()), rel=1e-2, abs=1e-5)
    assert TensorFlowEngine.remark in warnings and TensorFlowEngine.remark not in expected.warnings
    assert "TensorFlow takes its place" in done.stderr
