"""Where the tests find real data; each fixture skips, with the reason, on a machine that has none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# How long one example takes says more of how busy the machine is than of the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def _folder(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        pytest.skip(f"needs {what}: set {variable} to its folder")
    return Path(value)


@pytest.fixture(scope="session")
def fracatlas_dir() -> Path:
    """The real FracAtlas (FRACATLAS_DIR, else data/FracAtlas)."""
    default = Path(__file__).parents[1] / "data" / "FracAtlas"
    if not os.environ.get("FRACATLAS_DIR") and default.is_dir():
        return default
    return _folder("FRACATLAS_DIR", "the FracAtlas dataset")


@pytest.fixture(scope="session")
def dicom_dir() -> Path:
    """Real CR radiographs as DICOM: the NEMA WG04 compression set's RG1, RG2 and RG3 files."""
    return _folder("FRACTURE_DICOM_DIR", "the NEMA WG04 compression test set's CR files")


@pytest.fixture(scope="session")
def browser():
    """Chromium, headless; skipped where there is none, required where CI is set."""
    from tests.browser.app import chromium, find_chromium

    if not find_chromium():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs Chromium: install Debian's package chromium")
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def small_models(tmp_path_factory) -> Path:
    """A models folder with one bundle, `small`; beside it its dataset, `data`, and its run folder, `run`."""
    from tests.support.small import small_bundle

    root = tmp_path_factory.mktemp("small")
    small_bundle(root)
    return root / "models"


@pytest.fixture
def own_models(small_models, tmp_path) -> Path:
    """A models folder of the test's own, which may be written to: `small`, and its copy `other`."""
    for name in ("small", "other"):
        shutil.copytree(small_models / "small", tmp_path / "models" / name)
    return tmp_path / "models"
