"""The fast path: what frozen blocks make of each picture is computed once and kept.

The inference engine runs the frozen blocks over the plain picture and some augmented views of it; the maps that the
trainable layers read are kept on disk at half precision. Training then runs only those layers, as a Keras model that
shares them with the whole network, so the result is an ordinary network.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from filelock import FileLock, Timeout

from fracture_core.concurrency import prefetch
from fracture_core.data.augmentation import augment, cell_targets
from fracture_core.data.image_cache import ImageCache
from fracture_core.errors import FractureCoreError
from fracture_core.files import write_text
from fracture_core.inference.engine import Engine
from fracture_core.network.graph import Graph
from fracture_core.network.keras_graph import graph_from_keras
from fracture_core.network.model import CELL
from fracture_core.network.weights import Weights, weights_of
from fracture_core.paths import features_folder, size_on_disk
from fracture_core.recipe import Recipe
from fracture_core.training.pipeline import Arrays

_VERSION = 1
_CHUNK = 32  # pictures between two notes of how far it went
_LARGEST = float(np.finfo(np.float16).max)


class FeaturesError(FractureCoreError):
    """Activations that cannot be kept: too large for the bound, or for the disk."""


@dataclass(frozen=True)
class FrozenBackbone:
    """The blocks that do not train, as the engine runs them, and the Keras model of those that do.

    `graph`'s outputs are the maps at the boundary; they are the inputs of `trainable`, a list in the order of `names`.
    """

    names: tuple[str, ...]

    graph: Graph
    weights: Weights
    trainable: keras.Model


def split_at_boundary(model: keras.Model) -> FrozenBackbone:
    """Cut a model where frozen layers feed trainable ones; raise FeaturesError where nothing is frozen.

    Give it the model after `train_last_blocks`. Describe or save the whole model first or from its layers alone:
    afterwards its trainable layers are part of two models.
    """
    boundary: dict[str, keras.KerasTensor] = {}
    for layer in model.layers:
        if not layer.trainable or isinstance(layer, keras.layers.InputLayer):
            continue
        for tensor in layer.input if isinstance(layer.input, (list, tuple)) else [layer.input]:
            source = tensor._keras_history.operation
            if not source.trainable:
                boundary[source.name] = tensor
            elif isinstance(source, keras.layers.InputLayer):
                raise FeaturesError("The fast path needs frozen blocks: set trainable_blocks below the whole network.")
    frozen = keras.Model(model.input, boundary)
    # Where the whole backbone is frozen its last map is not computed here but read.
    outputs = {name: tensor for name, tensor in model.output.items() if tensor._keras_history.operation.trainable}
    if outputs["logit"] is outputs["global_logit"]:
        # Without a localiser the two are one tensor, and Keras builds no model that starts at a map and gives it twice.
        outputs["logit"] = keras.layers.Activation("linear", dtype="float32")(outputs["global_logit"])
    trainable = keras.Model(list(boundary.values()), outputs, name=f"{model.name}_trainable")
    return FrozenBackbone(tuple(boundary), graph_from_keras(frozen), weights_of(frozen), trainable)


@dataclass(frozen=True)
class Features:
    """Stored maps: `maps[name]` float16 (n * views, h, w, C), `cells` float16 (n * views, S/8, S/8), memory-mapped.

    Row `view * n + i` is view `view` of picture `i`; view 0 is the picture as it is.
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

    def draw(self, index: int, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
        """The maps and the cells of a random view of picture `index`."""
        row = int(rng.integers(self.views)) * self.n + index
        return {name: values[row] for name, values in self.maps.items()}, self.cells[row].astype(np.float32)


@dataclass(frozen=True)
class FeatureSource:
    """The pictures to compute features of.

    `plain` uint8 (n, S, S) is what inference would see; `pictures` and `boxes` (in their pixels) are what augmented
    views are made from, by `ids`; both lists have n entries.
    """

    ids: Sequence[str]
    plain: np.ndarray
    plain_boxes: Sequence[np.ndarray]
    pictures: ImageCache | None
    boxes: Sequence[np.ndarray]

    def view(self, row: int, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
        """Picture uint8 (S, S) and cells float32 (S/8, S/8) of one row."""
        view, index = divmod(row, len(self.ids))
        if view == 0:
            return self.plain[index], cell_targets(self.plain_boxes[index], recipe.image_size, CELL)
        rng = np.random.default_rng([recipe.seed, index, view])
        square = self.pictures.square(self.ids[index])
        picture, boxes = augment(square, self.boxes[index], recipe.image_size, recipe.augmentation, rng)
        return picture, cell_targets(boxes, recipe.image_size, CELL)


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
    was killed goes on where it stopped. `progress(done, total, bytes)` is called after every 32 views, and may raise
    to stop. Older features leave the cache where all would pass FRACTURE_FEATURES_GB (default 20), but for those that
    are used `beside` them. Raises FeaturesError where these would pass it nevertheless, or where the disk is too full.
    """
    rows = len(source.ids) * views
    folder = features_folder() / _key(part, source, recipe, views)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "features.json").exists():
            engine = Engine(part.graph, part.weights)
            shapes = _shapes(engine, part.graph)
            size = rows * 2 * (sum(int(np.prod(s)) for s in shapes.values()) + (recipe.image_size // CELL) ** 2)
            _make_room(folder, size, beside.folder if beside else None)
            _compute(engine, shapes, source, recipe, rows, folder, lambda done: progress and progress(done, rows, size))
    os.utime(folder)  # what was used last leaves last
    names = json.loads((folder / "features.json").read_text("utf-8"))["maps"]
    maps = {name: np.load(folder / f"{place}.npy", mmap_mode="r") for place, name in enumerate(names)}
    return Features(maps, np.load(folder / "cells.npy", mmap_mode="r"), len(source.ids), views, folder)


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
    done = json.loads(note.read_text("utf-8")) if note.exists() else 0
    mode = "r+" if done else "w+"
    files = {
        name: np.lib.format.open_memmap(folder / name, mode=mode, dtype=np.float16, shape=shape)
        for name, shape in wanted.items()
    }
    progress(done)
    for start, pictures, cells in _views_ahead(source, recipe, done, rows):
        end = start + len(pictures)
        outputs = engine.run(pictures)
        files["cells.npy"][start:end] = cells
        for place, name in enumerate(shapes):
            files[f"{place}.npy"][start:end] = np.clip(outputs[name], -_LARGEST, _LARGEST)
        # Written pages reach the disk before the note that says so, or a power cut would leave zeros behind it.
        for file in files.values():
            file.flush()
        write_text(note, json.dumps(end))
        progress(end)
    about = {"maps": list(shapes), "rows": rows, "recipe": recipe.name}
    write_text(folder / "features.json", json.dumps(about))


def _views_ahead(
    source: FeatureSource, recipe: Recipe, first: int, rows: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """First row, pictures and cells of every chunk; the next one is made by a thread while the engine works."""

    def make(start: int) -> tuple[int, np.ndarray, np.ndarray]:
        made = [source.view(row, recipe) for row in range(start, min(start + _CHUNK, rows))]
        return start, np.stack([picture for picture, _ in made]), np.stack([cells for _, cells in made])

    return prefetch(make, range(first, rows, _CHUNK))


def _make_room(folder: Path, size: int, beside: Path | None) -> None:
    """Let older features go until `size` more bytes fit the bound; raise FeaturesError where they never will."""
    bound = float(os.environ.get("FRACTURE_FEATURES_GB", "20")) * 1e9
    free = shutil.disk_usage(folder.parent).free + size_on_disk(folder)
    needed = size + (size_on_disk(beside) if beside else 0)
    if needed > bound:
        raise FeaturesError(
            f"The features of this run take {needed / 1e9:.1f} GB, more than the {bound / 1e9:g} GB they may: lower "
            "`views` or the picture's size, raise FRACTURE_FEATURES_GB, or set fast_path to false."
        )
    others = sorted((p for p in folder.parent.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    kept = sum(size_on_disk(other) for other in others if other != folder)
    for other in others:
        if other in (folder, beside):
            continue
        if kept + size <= bound and size + 5e8 <= free:
            break
        freed = _remove(other)
        kept, free = kept - freed, free + freed
    if size + 5e8 > free:
        raise FeaturesError(
            f"The features of this run take {size / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB left: "
            "make room, lower `views`, or set fast_path to false."
        )


def _remove(folder: Path) -> int:
    """Delete features unless another run is computing them; give the bytes that were freed."""
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
    _add_pictures(digest, source.plain, source.plain_boxes)
    if views > 1:
        digest.update(json.dumps([asdict(recipe.augmentation), recipe.seed]).encode())
        rows = [source.pictures.rows[i] for i in source.ids]
        _add_pictures(digest, (source.pictures.squares[row] for row in rows), source.boxes)
    return digest.hexdigest()[:24]


def _add_pictures(digest, pictures, boxes: Sequence[np.ndarray]) -> None:
    for picture, outlined in zip(pictures, boxes, strict=True):
        digest.update(np.ascontiguousarray(picture).tobytes() + np.asarray(outlined, np.float32).tobytes())
