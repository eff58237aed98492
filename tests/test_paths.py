"""Where files are looked for and written, in a clone and in an installed copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fracture_core import paths
from fracture_core.bundle.loading import current_bundle, list_bundles, load_bundle
from fracture_core.bundle.saved_points import save_single
from fracture_core.jobs.promotion import promote


@pytest.fixture
def installed(small_models, tmp_path, monkeypatch) -> Path:
    """An installed copy that ships the bundle `small`; returns the user's data folder, which does not exist yet."""
    for variable in ("FRACTURE_MODELS_DIR", "FRACTURE_RUNS_DIR", "FRACATLAS_DIR"):
        monkeypatch.delenv(variable, raising=False)
    shutil.copytree(small_models / "small", tmp_path / "app" / "models" / "small")
    monkeypatch.setattr(paths, "INSTALLED", True)
    monkeypatch.setattr(paths, "APP", tmp_path / "app")
    monkeypatch.setattr(paths.platformdirs, "user_data_dir", lambda *_, **__: str(tmp_path / "data"))
    return tmp_path / "data"


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_clone_keeps_everything_in_itself(monkeypatch):
    for variable in ("FRACTURE_MODELS_DIR", "FRACTURE_RUNS_DIR", "FRACATLAS_DIR"):
        monkeypatch.delenv(variable, raising=False)
    clone = Path(__file__).parents[1]
    assert paths.bundle_folders() == (clone / "models",)
    assert (paths.runs_folder(), paths.dataset_folder()) == (clone / "runs", clone / "data" / "FracAtlas")
    assert paths.writable_bundle_folder(clone / "models" / "one") == clone / "models" / "one"


def test_an_installed_copy_writes_to_the_users_folder_alone(installed):
    assert paths.models_folder() == installed / "models" and paths.runs_folder() == installed / "runs"
    assert paths.dataset_folder() == installed / "data" / "FracAtlas"
    before = files(installed.parent / "app")
    bundle = load_bundle("small")
    assert list_bundles() == ["small"] and bundle.folder == installed.parent / "app" / "models" / "small"
    assert not installed.exists()
    save_single(bundle, bundle.points["single"], "mine")
    assert [point.name for point in load_bundle("small").chosen_points()] == ["mine"]
    assert files(installed.parent / "app") == before


def test_a_users_bundle_stands_beside_those_that_ship_and_before_its_namesake(installed, small_models):
    shutil.copytree(small_models / "small", installed / "models" / "other")
    assert set(list_bundles()) == {"small", "other"}
    promote("other")
    assert current_bundle() == "other" and (installed / "models" / "current.json").is_file()
    shutil.copytree(small_models / "small", installed / "models" / "small")
    assert load_bundle("small").folder == installed / "models" / "small"


def test_a_named_folder_of_models_is_the_only_one(installed, monkeypatch, tmp_path):
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(tmp_path / "named"))
    assert paths.bundle_folders() == (tmp_path / "named",) and list_bundles() == []
