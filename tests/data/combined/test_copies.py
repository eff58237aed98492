"""Images of FracAtlas in a folder of a user's own are found, under any name and however they were saved."""

from __future__ import annotations

import cv2
import pytest

from fracture_core.data.combined import copies as module
from fracture_core.data.combined.copies import fracatlas_copies
from fracture_core.data.dataset import open_dataset
from tests.support.site import site_folder
from tests.support.training import miniature


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FRACTURE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_copies_are_found_whatever_they_are_called_and_nothing_else_is(tmp_path, monkeypatch, cache):
    fracatlas = miniature(tmp_path / "atlas")
    ids = list(fracatlas.table.index)
    folder = site_folder(tmp_path / "own", copies={"mine.jpg": fracatlas.path(ids[3])})
    changed = cv2.imread(str(fracatlas.path(ids[7])), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(folder / "films" / "IMG0000001.png"), cv2.resize(changed, None, fx=2, fy=2)[::-1])
    with (folder / "films.csv").open("a") as file:
        file.write("films/IMG0000001.png,0,another\n")
    own = open_dataset(folder)
    monkeypatch.setenv("FRACATLAS_DIR", str(tmp_path / "nowhere"))
    assert fracatlas_copies(own) is None
    monkeypatch.setenv("FRACATLAS_DIR", str(tmp_path / "atlas"))
    found = fracatlas_copies(own)
    assert found == {"films/mine.jpg": [ids[3]], "films/IMG0000001.png": [ids[7]]}
    # A second look reads no image.
    monkeypatch.setattr(module, "find_duplicates", None)
    assert fracatlas_copies(own) == found
