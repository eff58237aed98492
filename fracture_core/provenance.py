"""Describe what a result was computed with: code, packages and machine."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from fracture_core.concurrency import processors
from fracture_core.paths import APP, INSTALLED

_PACKAGES = ("tensorflow", "keras", "numpy", "openvino", "opencv-python-headless", "scikit-learn")


def provenance() -> dict[str, Any]:
    """Return the code, packages and machine that are in use.

    Returns:
        Plain data: git revision (None outside a checkout), package versions, Python version, platform, processors.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_revision": _git("rev-parse", "HEAD"),
        "git_changed": bool(_git("status", "--porcelain", "--untracked-files=no", "--", "fracture_core")),
        "versions": {package: version(package) for package in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": processors(),
    }


def _git(*arguments: str) -> str | None:
    if INSTALLED:
        return None  # a repository around the environment would be another project's
    try:
        done = subprocess.run(["git", *arguments], cwd=APP, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
