"""Find the folders that the project reads and writes."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).resolve().parent
#: The folder of the clone: beside the package lie pages/, models/ and streamlit_app.py.
PROJECT = PACKAGE.parent
#: The recipes that ship with the package.
RECIPES = PACKAGE / "recipes"


def models_folder() -> Path:
    """Return the folder of the bundles: FRACTURE_MODELS_DIR, else models/ beside the package."""
    return _named("FRACTURE_MODELS_DIR") or PROJECT / "models"


def runs_folder() -> Path:
    """Return the folder of the training runs: FRACTURE_RUNS_DIR, else runs/ beside the package."""
    return _named("FRACTURE_RUNS_DIR") or PROJECT / "runs"


def dataset_folder() -> Path:
    """Return the folder of FracAtlas, present or not: FRACATLAS_DIR, else data/FracAtlas beside the package."""
    return _named("FRACATLAS_DIR") or PROJECT / "data" / "FracAtlas"


def cache_folder() -> Path:
    """Return the folder of files that can be computed again: FRACTURE_CACHE_DIR, else the user's cache folder."""
    return _named("FRACTURE_CACHE_DIR") or Path(platformdirs.user_cache_dir("fracture-reader"))


def features_folder() -> Path:
    """Return the folder of cached features, one folder a set."""
    return cache_folder() / "features"


def expand_user_path(text: str | os.PathLike[str]) -> Path:
    """Expand a user-supplied path. An unknown `~user` is returned unchanged."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def size_on_disk(folder: Path) -> int:
    """Return the bytes that a folder's own files take on disk; a sparse file counts what was written."""
    files = [file.stat() for file in folder.glob("*")] if folder.is_dir() else []
    return sum(min(file.st_size, getattr(file, "st_blocks", file.st_size) * 512) for file in files)


def _named(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return expand_user_path(value) if value else None
