"""Thumbnails: made once, upright, bounded, and never in the way when the cache is broken."""

from __future__ import annotations

import os
import sqlite3
import threading

import cv2
import numpy as np
import pytest

from fracture_core.data import thumbnails as module
from fracture_core.data.review.review_set import ReviewSet
from fracture_core.data.thumbnails import ThumbnailStore, make_all, thumbnails
from fracture_core.imaging.letterbox import shrink
from tests.support.miniature import Entry, build, picture


@pytest.fixture
def store(tmp_path) -> ThumbnailStore:
    return ThumbnailStore(tmp_path / "cache" / "pictures.sqlite")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    entries = [Entry(f"IMG{n}", picture=picture(n, 300, 240)) for n in range(4)]
    entries.append(Entry("TURNED", picture=picture(9, 300, 240), exif=6))
    root = build(tmp_path_factory.mktemp("data"), entries)
    return {entry.image_id: root / "images" / "Non_fractured" / f"{entry.image_id}.jpg" for entry in entries}


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_thumbnails_are_small_upright_and_alike(paths, store):
    made = thumbnails(paths, 96, store)
    assert set(made) == set(paths)
    plain, turned = decoded(made["IMG0"]), decoded(made["TURNED"])
    assert plain.shape == (96, 77)
    assert turned.shape == (77, 96)
    expected = cv2.resize(picture(0, 300, 240), (77, 96), interpolation=cv2.INTER_AREA)
    assert np.abs(plain.astype(int) - expected).mean() < 4


def test_they_are_made_once(paths, store, monkeypatch):
    first = thumbnails(paths, 96, store)
    monkeypatch.setattr(module, "_thumbnail", lambda *a: pytest.fail("made again"))
    assert thumbnails(paths, 96, store) == first
    assert thumbnails(paths, 96, ThumbnailStore(store.file)) == first


def test_a_changed_file_gets_a_new_one(paths, store, tmp_path):
    file = tmp_path / "IMG0.jpg"
    file.write_bytes(paths["IMG0"].read_bytes())
    before = thumbnails({"IMG0": file}, 96, store)
    file.write_bytes(paths["IMG1"].read_bytes())
    os.utime(file, (1, 1))
    assert thumbnails({"IMG0": file}, 96, store) != before


def test_what_cannot_be_read_is_left_out(paths, store, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    made = thumbnails({"bad": bad, "gone": tmp_path / "gone.jpg", "IMG0": paths["IMG0"]}, 96, store)
    assert set(made) == {"IMG0"}


def test_the_oldest_give_way(store):
    store.most_bytes = 1000
    for number in range(50):
        store.put({f"key {number}": bytes(100)})
    kept = store.get([f"key {number}" for number in range(50)])
    assert 800 <= sum(map(len, kept.values())) <= 1000
    assert "key 49" in kept
    assert "key 0" not in kept


@pytest.mark.parametrize("damage", [b"this is no database, but long enough to be looked at" * 40, b""])
def test_a_damaged_store_is_replaced(paths, store, damage):
    good = thumbnails(paths, 96, store)
    for file in store.file.parent.glob("*-wal"):
        file.unlink()
    store.file.write_bytes(damage)
    assert thumbnails(paths, 96, store) == good
    assert thumbnails(paths, 96, store) == good
    with sqlite3.connect(store.file) as database:
        assert database.execute("SELECT COUNT(*) FROM pictures").fetchone() == (len(paths),)


def test_without_a_place_to_write_they_are_made_each_time(paths, tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = ThumbnailStore(tmp_path / "file" / "pictures.sqlite")
    assert set(thumbnails(paths, 96, store)) == set(paths)


def test_many_threads_at_once(paths, store):
    results = []
    threads = [threading.Thread(target=lambda: results.append(thumbnails(paths, 64, store))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result == results[0] for result in results)
    assert len(results) == 6


def test_all_of_them_with_progress(paths, store):
    steps = []
    assert make_all(paths, 64, store, step=lambda done, total: steps.append((done, total))) == len(paths)
    assert steps[-1] == (len(paths), len(paths))


def test_small_pictures_are_not_blown_up():
    pixels = picture(1, 50, 40)
    assert shrink(pixels, 96) is pixels


def test_every_real_radiograph_has_one(fracatlas_dir, store):
    files = sorted((fracatlas_dir / "images").rglob("*.jpg"))[::150]
    made = thumbnails({file.stem: file for file in files}, store=store)
    assert len(made) == len(files)
    assert all(max(decoded(data).shape) == module.SIDE for data in made.values())


def test_films_of_a_review_set_are_not_kept(paths, store, tmp_path):
    review = ReviewSet(tmp_path / "review")
    film = review.path(review.add(picture(3, 60, 40), "fracture", reader="a").image)
    made = thumbnails({**paths, "film": film}, 96, store)
    assert decoded(made["film"]).shape == (60, 40) and set(made) == {*paths, "film"}
    with sqlite3.connect(store.file) as database:
        keys = [key for (key,) in database.execute("SELECT key FROM pictures")]
    assert len(keys) == len(paths) and not any(film.name in key for key in keys)
    film.unlink()
    assert set(thumbnails({"film": film}, 96, store)) == set()
