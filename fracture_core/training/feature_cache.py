"""Cached features: what the frozen blocks compute for each image is computed once and kept on disk.

The inference engine runs the frozen blocks over the plain image and some augmented views of it; the maps that the
trainable layers read are stored at half precision. Training then runs only those layers, as a Keras model that shares
them with the whole network, so the result is an ordinary network.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from filelock import FileLock, Timeout

from fracture_core.concurrency import prefetch
from fracture_core.data.augmentation import augment, cell_targets
from fracture_core.data.combined.images import JoinedImages
from fracture_core.data.image_cache import ImageCache
from fracture_core.files import write_text
from fracture_core.inference.engine import Engine
from fracture_core.network.graph import Graph
from fracture_core.network.model import CELL
from fracture_core.paths import features_folder, size_on_disk
from fracture_core.recipe import Recipe
from fracture_core.training.frozen_backbone import FeaturesError, FrozenBackbone
from fracture_core.training.pipeline import Arrays

_VERSION = 1
_CHUNK_IMAGES = 32  # between two saves of the progress
_FLOAT16_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Features:
    """Stored maps: `maps[name]` float16 (n * views, h, w, C), `cells` float16 (n * views, S/8, S/8), memory-mapped.

    Row `view * n + i` is view `view` of image `i`; view 0 is the plain image.
    """

    maps: Mapping[str, np.ndarray]
    cells: np.ndarray
    n: int
    views: int
    folder: Path | None = None

    @property
    def signature(self) -> Mapping[str, tf.TensorSpec]:
        """The maps of one view."""
        return {name: tf.TensorSpec(values.shape[1:], tf.float16) for name, values in self.maps.items()}

    def __len__(self) -> int:
        return self.n

    def sample_view(self, index: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
        """Return a random view of an image.

        Args:
            index: Number of the image.
            rng: Random generator.

        Returns:
            Its maps by name, and its cells float32 (S/8, S/8).
        """
        row = int(rng.integers(self.views)) * self.n + index
        return {name: values[row] for name, values in self.maps.items()}, self.cells[row].astype(np.float32)


@dataclass(frozen=True)
class FeatureSource:
    """The images to compute features of.

    `plain` uint8 (n, S, S) is what inference would see; augmented views are computed from `images` and `boxes` (in
    their pixels), by `ids`; both lists have n entries.
    """

    ids: Sequence[str]
    plain: np.ndarray
    plain_boxes: Sequence[np.ndarray]
    images: ImageCache | JoinedImages | None
    boxes: Sequence[np.ndarray]

    def view(self, row: int, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
        """Return one row.

        Args:
            row: `view * n + i`.
            recipe: The run's recipe.

        Returns:
            Image uint8 (S, S) and cells float32 (S/8, S/8).
        """
        view, index = divmod(row, len(self.ids))
        if view == 0:
            return self.plain[index], cell_targets(self.plain_boxes[index], recipe.image_size, CELL)
        rng = np.random.default_rng([recipe.seed, index, view])
        assert self.images is not None  # views are drawn of what may be augmented
        square = self.images.square(self.ids[index])
        image, boxes = augment(square, self.boxes[index], recipe.image_size, recipe.augmentation, rng)
        return image, cell_targets(boxes, recipe.image_size, CELL)


def _shapes(engine: Engine, graph: Graph) -> dict[str, tuple[int, ...]]:
    outputs = engine.run(np.zeros((1, *graph.input_size), np.uint8))
    return {name: values.shape[1:] for name, values in outputs.items()}


def compute_features(
    part: FrozenBackbone,
    source: FeatureSource,
    recipe: Recipe,
    views: int,
    *,
    beside: Features | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> Features:
    """Compute the maps of every view, or map the files that an earlier call left.

    They are keyed by the frozen weights and graph, the pixels, the boxes, the augmentation and the seed. A call that
    was killed is resumed; where a file is missing or cut short, all are computed again. Older features are deleted if
    all of them would exceed FRACTURE_FEATURES_GB (default 20), except those that are used `beside` them.

    Args:
        part: The frozen blocks.
        source: The images.
        recipe: The run's recipe.
        views: Views per image, the plain one included.
        beside: Features that are in use and must stay.
        progress: Called with (done, total, bytes) after every 32 views; it may raise to stop.

    Returns:
        The features.

    Raises:
        FeaturesError: They exceed the limit on their own, or the disk is too full.
    """
    rows = len(source.ids) * views
    folder = features_folder() / _key(part, source, recipe, views)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not _complete(folder, rows):
            engine = Engine(part.graph, part.weights)
            shapes = _shapes(engine, part.graph)
            size = rows * 2 * (sum(int(np.prod(s)) for s in shapes.values()) + (recipe.image_size // CELL) ** 2)
            _make_room(folder, size, beside.folder if beside else None)
            _compute(engine, shapes, source, recipe, rows, folder, lambda done: progress and progress(done, rows, size))
    os.utime(folder)  # the least recently used features are deleted first
    maps, cells = _stored(folder)
    return Features(maps, cells, len(source.ids), views, folder)


def _stored(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    names = json.loads((folder / "features.json").read_text("utf-8"))["maps"]
    maps = {name: np.load(folder / f"{place}.npy", mmap_mode="r") for place, name in enumerate(names)}
    return maps, np.load(folder / "cells.npy", mmap_mode="r")


def _complete(folder: Path, rows: int) -> bool:
    """Return whether every file is there in full: a cleaner of old files may take one and leave the others."""
    try:
        maps, cells = _stored(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(len(values) == rows for values in (*maps.values(), cells))


def _compute(
    engine: Engine,
    shapes: Mapping[str, tuple[int, ...]],
    source: FeatureSource,
    recipe: Recipe,
    rows: int,
    folder: Path,
    progress: Callable[[int], object],
) -> None:
    folder.mkdir(exist_ok=True)
    side = recipe.image_size // CELL
    wanted = {"cells.npy": (rows, side, side)} | {f"{k}.npy": (rows, *s) for k, s in enumerate(shapes.values())}
    note = folder / "done.json"
    (folder / "features.json").unlink(missing_ok=True)
    done, files = _begun(folder, note, wanted)
    progress(done)
    for start, images, cells in _views_ahead(source, recipe, done, rows):
        end = start + len(images)
        outputs = engine.run(images)
        files["cells.npy"][start:end] = cells
        for place, name in enumerate(shapes):
            files[f"{place}.npy"][start:end] = np.clip(outputs[name], -_FLOAT16_MAX, _FLOAT16_MAX)
        # Flush the data before recording the progress, or a power cut could leave zeros that count as done.
        for file in files.values():
            file.flush()
        write_text(note, json.dumps(end))
        progress(end)
    about = {"maps": list(shapes), "rows": rows, "recipe": recipe.name}
    write_text(folder / "features.json", json.dumps(about))


def _begun(folder: Path, note: Path, wanted: Mapping[str, tuple[int, ...]]) -> tuple[int, dict[str, np.memmap]]:
    """Open the files that an earlier call left, with the number of their rows that are done, or else new ones."""
    try:
        done = int(json.loads(note.read_text("utf-8")))
        # Read first: opened for writing, a file that was cut short would be filled up with zeros.
        left = {name: np.load(folder / name, mmap_mode="r") for name in wanted}
        if all(file.shape == wanted[name] and file.dtype == np.float16 for name, file in left.items()):
            return done, {name: np.lib.format.open_memmap(folder / name, mode="r+") for name in wanted}
    except (OSError, ValueError, TypeError):
        pass
    # Before the files: empty ones must never count as done.
    note.unlink(missing_ok=True)
    return 0, {
        name: np.lib.format.open_memmap(folder / name, mode="w+", dtype=np.float16, shape=shape)
        for name, shape in wanted.items()
    }


def _views_ahead(
    source: FeatureSource, recipe: Recipe, first: int, rows: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield first row, images and cells of every chunk; a thread prepares the next one while the engine works."""

    def make(start: int) -> tuple[int, np.ndarray, np.ndarray]:
        views = [source.view(row, recipe) for row in range(start, min(start + _CHUNK_IMAGES, rows))]
        return start, np.stack([image for image, _ in views]), np.stack([cells for _, cells in views])

    return prefetch(make, range(first, rows, _CHUNK_IMAGES))


def _make_room(folder: Path, size: int, beside: Path | None) -> None:
    """Delete older features until `size` more bytes fit the limit; raise FeaturesError if they never will."""
    bound = _limit()
    free = shutil.disk_usage(folder.parent).free + size_on_disk(folder)
    needed = size + (size_on_disk(beside) if beside else 0)
    if needed > bound:
        raise FeaturesError(
            f"The cached features of this run take {needed / 1e9:.1f} GB, more than the limit of {bound / 1e9:g} GB: "
            "reduce `views` or the image size, raise FRACTURE_FEATURES_GB, or set fast_path to false."
        )
    others = sorted((p for p in folder.parent.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    used = sum(size_on_disk(other) for other in others if other != folder)
    for other in others:
        if other in (folder, beside):
            continue
        if used + size <= bound and size + 5e8 <= free:
            break
        freed = _remove(other)
        used, free = used - freed, free + freed
    if size + 5e8 > free:
        raise FeaturesError(
            f"The cached features of this run take {size / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free: "
            "free some disk space, reduce `views`, or set fast_path to false."
        )


def _limit() -> float:
    """Return how many bytes all cached features may take."""
    text = os.environ.get("FRACTURE_FEATURES_GB", "").strip() or "20"
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not limit >= 0:
        raise FeaturesError(f"FRACTURE_FEATURES_GB is {text!r}; it must be a number of gigabytes, such as 20.")
    return limit * 1e9


def _remove(folder: Path) -> int:
    """Delete features unless another run is computing them; return the bytes that were freed."""
    try:
        with FileLock(f"{folder}.lock", timeout=0):
            size = size_on_disk(folder)
            shutil.rmtree(folder, ignore_errors=True)
            return size - size_on_disk(folder)
    except Timeout:
        return 0


def _key(part: FrozenBackbone, source: FeatureSource, recipe: Recipe, views: int) -> str:
    digest = hashlib.sha256(f"{_VERSION} {views} {recipe.image_size}".encode())
    digest.update(json.dumps(part.graph.to_json(), sort_keys=True).encode())
    for key in sorted(part.weights):
        digest.update(key.encode() + part.weights[key].tobytes())
    _add_images(digest, source.plain, source.plain_boxes)
    if views > 1 and source.images is not None:
        digest.update(json.dumps([asdict(recipe.augmentation), recipe.seed]).encode())
        _add_images(digest, source.images.take(source.ids), source.boxes)
    return digest.hexdigest()[:24]


def _add_images(digest: hashlib._Hash, images: Iterable[np.ndarray], boxes: Sequence[np.ndarray]) -> None:
    for image, outlined in zip(images, boxes, strict=True):
        digest.update(np.ascontiguousarray(image).tobytes() + np.asarray(outlined, np.float32).tobytes())
