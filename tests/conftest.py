"""What all tests share: real data, which a machine may lack, a small bundle, the browser, marks and the order."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

import fracture_core  # noqa: F401 (before numpy, as in the app: it sets the number of OpenBLAS's threads)

# How long one example takes says more of how busy the machine is than of the code. Every run tries the same examples,
# so that a change fails for what it changed; HYPOTHESIS_PROFILE=exploring tries new ones.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("exploring", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
# What the person at this machine chose on the app's pages must not reach the tests.
os.environ["FRACTURE_SETTINGS"] = str(Path(tempfile.gettempdir()) / "no-fracture-settings.json")
os.environ.pop("FRACTURE_REVIEW_DIR", None)
# The other tests keep the processors busy, so that a run below them would hardly move.
os.environ["FRACTURE_TRAINING_NICE"] = "0"


def _folder(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        pytest.skip(f"needs {what}: set {variable} to its folder")
    return Path(value)


#: The files that take longest, the longest first: started last, one of them would keep the others waiting.
LONGEST = (
    "browser/test_training.py",
    "jobs/test_launcher.py",
    "browser/test_own_hospital.py",
    "training/test_train.py",
    "browser/test_diagnose.py",
    "hostile/test_corpus.py",
    "pretraining/test_pretrain.py",
    "browser/test_every_page.py",
    "training/test_distribution.py",
    "jobs/test_site_run.py",
    "training/test_backbones.py",
    "browser/test_privacy.py",
    "browser/test_dataset_sections.py",
    "evaluation/monitoring/test_audit_history.py",
    "browser/test_threshold.py",
    "browser/test_training_page.py",
    "browser/test_dataset.py",
    "browser/test_review.py",
    "benchmarks/test_crowd.py",
    "test_wheel.py",
    "data/test_audit.py",
    "training/test_initial_weights.py",
    "imaging/isolation/test_decoder.py",
    "browser/test_login.py",
    "cli/test_predict.py",
)
REAL_DATA = {"fracatlas_dir", "dicom_dir"}
#: Folders in which every test is slow: each runs the whole app, or imports PyTorch.
SLOW_FOLDERS = tuple(Path(__file__).parent / name for name in ("browser", "pages", "pretraining"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what `make test-fast` leaves out as a whole."""
    return True if "not slow" in config.option.markexpr and collection_path in SLOW_FOLDERS else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser or real data, and put the files that take longest first.

    Each process takes one file after the other (`--dist loadfile`). After the longest come all others with a test that
    is slow, and last the quick ones, so that every process is busy to the end.
    """
    place = {name: number for number, name in enumerate(LONGEST)}
    folder = Path(__file__).parent
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "browser" in fixtures:
            item.add_marker("browser")
            # A browser on a busy machine may miss an element once. A fault of the page fails both times.
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["TimeoutError"]))
        if fixtures & REAL_DATA:
            item.add_marker("dataset")
        if any(slow_folder in item.path.parents for slow_folder in SLOW_FOLDERS):
            item.add_marker("slow")
    slow = {
        item.path for item in items if any(item.get_closest_marker(name) for name in ("slow", "browser", "dataset"))
    }

    def rank(item: pytest.Item) -> int:
        last = len(place) + (item.path not in slow)
        return place.get(item.path.relative_to(folder).as_posix(), last)

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Leave what collecting imported out of every later garbage collection: it stays in use until the end."""
    gc.freeze()


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
    """A models folder with one bundle, `small`; beside it its dataset, `data`, and its run folder, `run`.

    Making it takes a whole network and TensorFlow, so one process makes it for all; each gets a copy of its own.
    """
    from tests.support.small import small_bundle

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    made = shared / "small-bundle"
    with FileLock(shared / "small-bundle.lock"):
        if not (made / "complete").exists():
            shutil.rmtree(made, ignore_errors=True)
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv("FRACTURE_ELSEWHERE_DIR", raising=False)
                small_bundle(made)
            (made / "complete").touch()
    root = tmp_path_factory.mktemp("small")
    shutil.copytree(made, root, dirs_exist_ok=True)
    return root / "models"


@pytest.fixture(autouse=True)
def nothing_measured_elsewhere(request, monkeypatch) -> None:
    """Package without measuring on the 822 films that FRACTURE_ELSEWHERE_DIR may name."""
    if "browser" not in request.fixturenames:
        monkeypatch.delenv("FRACTURE_ELSEWHERE_DIR", raising=False)


@pytest.fixture
def own_models(small_models, tmp_path) -> Path:
    """A models folder of the test's own, which may be written to: `small`, and its copy `other`."""
    for name in ("small", "other"):
        shutil.copytree(small_models / "small", tmp_path / "models" / name)
    return tmp_path / "models"


@pytest.fixture
def models(small_models, tmp_path) -> Path:
    """A models folder of the test's own, which may be written to: `small` alone."""
    shutil.copytree(small_models, tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def interrupted_run(tmp_path, monkeypatch) -> Path:
    """The folder of a run that stopped after three epochs, the only one among the runs."""
    from tests.support.runs import write_interrupted_run

    monkeypatch.setenv("FRACTURE_RUNS_DIR", str(tmp_path / "runs"))
    return write_interrupted_run(tmp_path / "runs")
