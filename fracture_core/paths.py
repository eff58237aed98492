"""Find the folders that the project reads and writes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import platformdirs

PACKAGE = Path(__file__).resolve().parent
#: Whether this is an installed copy: only a wheel holds the app within the package.
INSTALLED = (PACKAGE / "app").is_dir()
#: The folder of streamlit_app.py, pages/, .streamlit/ and the bundles that ship: the clone's, or the wheel's.
APP = PACKAGE / "app" if INSTALLED else PACKAGE.parent
#: The recipes that ship with the package.
RECIPES = PACKAGE / "recipes"
#: Name of the review folder among the settings.
REVIEW_FOLDER = "review_folder"


def data_folder() -> Path:
    """Return the folder that new files are written to.

    Returns:
        The clone; in an installed copy the user's data folder.
    """
    return Path(platformdirs.user_data_dir("fracture-reader", appauthor=False)) if INSTALLED else APP


def models_folder() -> Path:
    """Return the folder that new bundles are written to.

    Returns:
        FRACTURE_MODELS_DIR, else models/ in the data folder.
    """
    return _named("FRACTURE_MODELS_DIR") or data_folder() / "models"


def bundle_folders(root: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
    """Return the folders to search for bundles, in order.

    In an installed copy whose models folder was not set, the bundles that ship with the package come after the user's.

    Args:
        root: The only folder to search; by default `models_folder()`.

    Returns:
        One or two folders.
    """
    own = models_folder()
    root = own if root is None else Path(root)
    if INSTALLED and root == own and _named("FRACTURE_MODELS_DIR") is None:
        return root, APP / "models"
    return (root,)


def writable_bundle_folder(folder: Path) -> Path:
    """Return the folder for files that are saved with a bundle: the bundle's own, or the user's if the bundle shipped.

    Args:
        folder: The bundle's folder.

    Returns:
        A folder that may not exist yet.
    """
    return models_folder() / folder.name if INSTALLED and folder.parent == APP / "models" else folder


def runs_folder() -> Path:
    """Return the folder of the training runs.

    Returns:
        FRACTURE_RUNS_DIR, else runs/ in the data folder.
    """
    return _named("FRACTURE_RUNS_DIR") or data_folder() / "runs"


def dataset_folder() -> Path:
    """Return the folder of FracAtlas, whether or not it exists.

    Returns:
        FRACATLAS_DIR, else data/FracAtlas in the data folder.
    """
    return _named("FRACATLAS_DIR") or data_folder() / "data" / "FracAtlas"


def working_folder() -> Path:
    """Return a folder for new processes to start in, and create it; in a clone they find the package there.

    Returns:
        The data folder.
    """
    folder = data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cache_folder() -> Path:
    """Return the folder of files that can be computed again.

    Returns:
        FRACTURE_CACHE_DIR, else the user's cache folder.
    """
    return _named("FRACTURE_CACHE_DIR") or Path(platformdirs.user_cache_dir("fracture-reader"))


def settings_file() -> Path:
    """Return the file of what users chose on the page.

    Returns:
        FRACTURE_SETTINGS, else settings.json in the user's data folder; it may not exist.
    """
    return _named("FRACTURE_SETTINGS") or Path(platformdirs.user_data_dir("fracture-reader", False)) / "settings.json"


def kept_settings() -> dict[str, Any]:
    """Return what users chose on the page.

    Returns:
        Values by name; empty if nothing was chosen, or if the file cannot be read.
    """
    try:
        settings = json.loads(settings_file().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def review_folder() -> Path | None:
    """Return the folder of the site's verdicts: FRACTURE_REVIEW_DIR, else the one that was chosen on the page.

    Returns:
        The folder, which may not exist yet; None if reviewing is off.
    """
    if review_folder_by_environment():
        return None if os.environ["FRACTURE_REVIEW_DIR"].lower() == "off" else _named("FRACTURE_REVIEW_DIR")
    chosen = kept_settings().get(REVIEW_FOLDER)
    return expand_user_path(chosen) if chosen and isinstance(chosen, str) else None


def review_folder_by_environment() -> bool:
    """Return whether FRACTURE_REVIEW_DIR decides on the review folder.

    Returns:
        True if it names the folder, or says "off".
    """
    return bool(os.environ.get("FRACTURE_REVIEW_DIR"))


def features_folder() -> Path:
    """Return the folder of the cached features.

    Returns:
        A folder in the cache folder, with one subfolder per set of features.
    """
    return cache_folder() / "features"


def expand_user_path(text: str | os.PathLike[str]) -> Path:
    """Expand a user-supplied path.

    Args:
        text: A path that may start with ~ or ~user.

    Returns:
        The path; an unknown `~user` is returned unchanged.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def size_on_disk(folder: Path) -> int:
    """Return the disk space of the files directly in a folder; a sparse file counts what was written.

    Args:
        folder: It may be missing.

    Returns:
        Bytes.
    """
    files = [file.stat() for file in folder.glob("*")] if folder.is_dir() else []
    return sum(min(file.st_size, getattr(file, "st_blocks", file.st_size) * 512) for file in files)


def _named(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return expand_user_path(value) if value else None
