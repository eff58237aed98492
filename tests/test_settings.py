"""The review folder that is chosen on the page outlives the app, and what an administrator set wins over it."""

from __future__ import annotations

import json

import pytest

from fracture_core.paths import review_folder, settings_file
from fracture_core.settings import SettingsError, choose_review_folder, forget_review_folder


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_SETTINGS", str(tmp_path / "user" / "settings.json"))
    monkeypatch.delenv("FRACTURE_REVIEW_DIR", raising=False)


def test_it_is_off_until_chosen_and_off_again_when_forgotten(tmp_path):
    assert review_folder() is None and not settings_file().exists()
    folder = tmp_path / "review"
    assert choose_review_folder(f" {folder} ") == folder == review_folder()
    assert not folder.exists()  # it is made with the first verdict set that is opened there
    assert [path.name for path in settings_file().parent.iterdir()] == ["settings.json"]
    forget_review_folder()
    assert review_folder() is None


def test_other_settings_stay(tmp_path):
    settings_file().parent.mkdir()
    settings_file().write_text(json.dumps({"other": 1}))
    choose_review_folder(str(tmp_path))
    forget_review_folder()
    assert json.loads(settings_file().read_text()) == {"other": 1}


def test_the_environment_wins_and_can_forbid(tmp_path, monkeypatch):
    choose_review_folder(str(tmp_path / "chosen"))
    monkeypatch.setenv("FRACTURE_REVIEW_DIR", str(tmp_path / "set"))
    assert review_folder() == tmp_path / "set"
    for change in (forget_review_folder, lambda: choose_review_folder(str(tmp_path / "third"))):
        with pytest.raises(SettingsError, match="FRACTURE_REVIEW_DIR"):
            change()
    monkeypatch.setenv("FRACTURE_REVIEW_DIR", "off")
    assert review_folder() is None
    monkeypatch.delenv("FRACTURE_REVIEW_DIR")
    assert review_folder() == tmp_path / "chosen"


@pytest.mark.parametrize("text", ["", "  ", "review", "./review"])
def test_only_a_whole_path_is_taken(text):
    with pytest.raises(SettingsError, match="whole path"):
        choose_review_folder(text)
    assert review_folder() is None


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="is a file"):
        choose_review_folder(str(tmp_path / "file"))


@pytest.mark.parametrize("text", ["{", "[]", '{"review_folder": 3}', '{"review_folder": null}'])
def test_a_damaged_file_switches_it_off(text):
    settings_file().parent.mkdir()
    settings_file().write_text(text)
    assert review_folder() is None
