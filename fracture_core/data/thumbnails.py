"""Small images made once: thumbnails of radiographs, kept in one bounded file of the cache folder."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from fracture_core.concurrency import processors
from fracture_core.data.duplicates import decode_grey
from fracture_core.data.fracatlas import DatasetError
from fracture_core.data.review.review_set import is_review_folder
from fracture_core.files import file_stamp
from fracture_core.imaging.letterbox import shrink
from fracture_core.paths import cache_folder

SIDE = 192
#: All of FracAtlas takes 25 MB; the rest is for images with heatmaps.
MOST_BYTES = 128 * 2**20
_VERSION = 1
_QUALITY = 82
_TABLE = "CREATE TABLE IF NOT EXISTS pictures (place INTEGER PRIMARY KEY, key TEXT UNIQUE, size INTEGER, data BLOB)"

Answer = TypeVar("Answer")


class ThumbnailStore:
    """Images by key, in one SQLite file of at most about `most_bytes`; the oldest give way to new ones.

    SQLite makes each write whole or not at all, for any number of threads and processes. It holds nothing that
    cannot be made again, so a damaged file is replaced, and where nothing can be written nothing is kept.
    """

    def __init__(self, file: Path | None = None, most_bytes: int = MOST_BYTES) -> None:
        self.file = file or cache_folder() / "pictures.sqlite"
        self.most_bytes = most_bytes

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the images that are cached.

        Args:
            keys: Their keys.

        Returns:
            Images by key.
        """
        keys = list(keys)

        def read(database: sqlite3.Connection) -> dict[str, bytes]:
            cached: dict[str, bytes] = {}
            for start in range(0, len(keys), 500):  # SQLite bounds the number of parameters
                some = keys[start : start + 500]
                marks = ",".join("?" * len(some))
                cached |= dict(database.execute(f"SELECT key, data FROM pictures WHERE key IN ({marks})", some))
            return cached

        return self._ask(read) or {}

    def put(self, images: Mapping[str, bytes]) -> None:
        """Cache images, and drop the oldest if there are too many.

        Args:
            images: Images by key.
        """
        rows = [(key, len(data), data) for key, data in images.items()]

        def write(database: sqlite3.Connection) -> None:
            with database:
                database.executemany("INSERT OR REPLACE INTO pictures (key, size, data) VALUES (?, ?, ?)", rows)
                (held,) = database.execute("SELECT COALESCE(SUM(size), 0) FROM pictures").fetchone()
                if held > self.most_bytes:
                    _drop_oldest(database, held - 0.9 * self.most_bytes)

        self._ask(write)

    def _ask(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        """Run a query on the cache. Returns None on failure; the cache is best effort."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.file, timeout=5)) as database:
                # Nothing here is worth waiting for the disk: at worst it is made again.
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=NORMAL")
                database.execute(_TABLE)
                return question(database)
        except (OSError, sqlite3.OperationalError):
            return None  # locked for long, no room, read only
        except sqlite3.DatabaseError:  # not a database any more
            for file in self.file.parent.glob(f"{self.file.name}*"):
                file.unlink(missing_ok=True)
            return None


def _drop_oldest(database: sqlite3.Connection, excess: float) -> None:
    last = None
    for place, size in database.execute("SELECT place, size FROM pictures ORDER BY place"):
        if excess <= 0:
            break
        last, excess = place, excess - size
    database.execute("DELETE FROM pictures WHERE place <= ?", (last,))


def thumbnails(
    paths: Mapping[str, Path], side: int = SIDE, store: ThumbnailStore | None = None, *, threads: int | None = None
) -> dict[str, bytes]:
    """Return thumbnails, upright and grey; new ones are cached by the file's name, size and time.

    Those of a review set are not: the review folder is the only place where its pixels are written.

    Args:
        paths: Files by image id.
        side: Longer side, in pixels.
        store: The cache, or None.
        threads: Number of threads, or None.

    Returns:
        JPEGs by image id; files that cannot be read are left out.
    """
    store = store or ThumbnailStore()
    keys = {image_id: key for image_id, path in paths.items() if (key := _key(path, side))}
    images = store.get(keys.values())
    lacking = [image_id for image_id, key in keys.items() if key not in images]
    if lacking:
        with ThreadPoolExecutor(threads or processors()) as pool:
            encoded = pool.map(lambda image_id: _thumbnail(paths[image_id], side), lacking)
            fresh = {image_id: data for image_id, data in zip(lacking, encoded, strict=True) if data}
        reviewed = {folder for folder in {paths[i].parent for i in fresh} if is_review_folder(folder.parent)}
        store.put({keys[i]: data for i, data in fresh.items() if paths[i].parent not in reviewed})
        images |= {keys[i]: data for i, data in fresh.items()}
    return {image_id: images[key] for image_id, key in keys.items() if key in images}


def make_all(
    paths: Mapping[str, Path], side: int = SIDE, store: ThumbnailStore | None = None, *, step: Callable | None = None
) -> int:
    """Create every missing thumbnail, a few at a time on one thread.

    Args:
        paths: Files by image id.
        side: Longer side, in pixels.
        store: The cache, or None.
        step: Called with (done, total); what it raises passes through.

    Returns:
        How many there are now.
    """
    ids, there = list(paths), 0
    for start in range(0, len(ids), 64):
        there += len(thumbnails({i: paths[i] for i in ids[start : start + 64]}, side, store, threads=1))
        if step:
            step(min(start + 64, len(ids)), len(ids))
    return there


def to_jpeg(image: np.ndarray) -> bytes:
    """Encode an image as JPEG.

    Args:
        image: uint8 (H, W), or red, green, blue (H, W, 3).

    Returns:
        The JPEG.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _thumbnail(path: Path, side: int) -> bytes:
    try:
        return to_jpeg(shrink(decode_grey(path.read_bytes(), side), side))
    except (OSError, SyntaxError, ValueError, DatasetError):
        return b""


def _key(path: Path, side: int) -> str:
    try:
        return f"{_VERSION} {path.parent.name}/{path.name} {file_stamp(path)} {side}"
    except OSError:
        return ""
