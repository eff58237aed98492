"""The choices that a user makes once on the page and that outlive the app: today the review folder."""

from __future__ import annotations

import json
from pathlib import Path

from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.paths import (
    REVIEW_FOLDER,
    expand_user_path,
    kept_settings,
    review_folder_by_environment,
    settings_file,
)


class SettingsError(FractureCoreError):
    """A choice that cannot be kept, and why."""


def choose_review_folder(text: str) -> Path:
    """Keep a folder as the review folder, for every later start of the app too; the folder itself is not touched.

    Args:
        text: An absolute path, or one that begins with ~.

    Returns:
        The folder.

    Raises:
        SettingsError: The path is no folder that could be used, the administrator has fixed the choice, or the choice
            cannot be written.
    """
    folder = expand_user_path(text.strip())
    if not text.strip() or not folder.is_absolute():
        raise SettingsError("Give the whole path of a folder on this computer, such as /data/review or ~/review.")
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is a file; choose a folder.")
    _keep(str(folder))
    return folder


def forget_review_folder() -> None:
    """Switch reviewing off again; what was written stays where it is.

    Raises:
        SettingsError: The administrator has fixed the choice, or it cannot be written.
    """
    _keep(None)


def _keep(folder: str | None) -> None:
    if review_folder_by_environment():
        raise SettingsError("The review folder is set by FRACTURE_REVIEW_DIR and cannot be changed here.")
    others = {name: value for name, value in kept_settings().items() if name != REVIEW_FOLDER}
    if folder is not None:
        others[REVIEW_FOLDER] = folder
    try:
        write_text(settings_file(), json.dumps(others, indent=1) + "\n")
    except OSError as error:
        raise SettingsError(f"The choice cannot be kept in {settings_file()} ({error.strerror}).") from error
