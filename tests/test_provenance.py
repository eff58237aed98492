"""What a run and a bundle record of the code and the machine."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.metadata import version

import pytest

from fracture_core import provenance as recorded
from fracture_core.paths import APP


def test_it_is_what_git_and_the_packages_say_and_plain_data():
    record = recorded.provenance()
    assert record["versions"]["numpy"] == version("numpy")
    if shutil.which("git") and (APP / ".git").exists():
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=APP, capture_output=True, text=True, check=True)
        assert record["git_revision"] == head.stdout.strip()
    assert json.loads(json.dumps(record)) == record


def test_without_git_the_revision_is_unknown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    record = recorded.provenance()
    assert record["git_revision"] is None
    assert record["git_changed"] is False
