"""Decoded images are kept for the files that they came from, and for no others."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from fracture_core.data.image_cache import find_image_cache, load_image_cache


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))


def film(path: Path, grey: int) -> dict[str, Path]:
    """Files of one size and one time, whatever grey they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((40, 40), grey, np.uint8))
    os.utime(path, (1, 1))
    return {"fractured/1": path}


def test_equal_files_of_two_folders_keep_their_own_pixels(tmp_path):
    first, second = (film(tmp_path / site / "fractured" / "1.bmp", grey) for site, grey in (("a", 50), ("b", 200)))
    assert load_image_cache(first, 32).square("fractured/1").max() == 50
    assert find_image_cache(second, 32) is None
    assert load_image_cache(second, 32).square("fractured/1").max() == 200


def test_a_relative_path_is_the_same_file(tmp_path, monkeypatch):
    load_image_cache(film(tmp_path / "a" / "1.bmp", 50), 32)
    monkeypatch.chdir(tmp_path)
    assert find_image_cache({"fractured/1": Path("a/1.bmp")}, 32) is not None
