"""What a network sees in every image of a dataset: computed once, a part at a time, and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from fracture_core.errors import FractureCoreError
from fracture_core.files import atomic_write
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.paths import cache_folder

if TYPE_CHECKING:
    from fracture_core.inference.scorer import Scorer

#: Images in a part. A computation that was cancelled or killed goes on after the last whole part.
PART = 64
_BATCH = 16
_NAMES = ("embedding", "appearance", "logit")
_VERSION = 1


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Outputs of a network for images, the first of the recipe's views alone.

    Attributes:
        ids: The images that could be read, (n,).
        embedding: Its last map, averaged over the image, float32 (n, C).
        appearance: Mean and standard deviation of a map in the middle of it, float32 (n, 2 D).
        logit: Its answer, float32 (n,).
    """

    ids: tuple[str, ...]
    embedding: NDArray[np.float32]
    appearance: NDArray[np.float32]
    logit: NDArray[np.float32]


def image_features(
    scorer: Scorer,
    version: str,
    paths: Mapping[str, Path],
    *,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> ImageFeatures | None:
    """Compute the features of images, or read those that earlier calls kept.

    Args:
        scorer: The network. An image that it cannot read is left out.
        version: Of the model: another one has features of its own.
        paths: The images' files by id. Files that changed since are read anew.
        progress: Called with images done and images in all.
        stop: Asked before each batch.

    Returns:
        The features, or None if it was told to stop; what was done by then is kept.
    """
    folder = _folder(version, paths)
    scorer = scorer.first_view()
    every, parts = list(paths), []
    for start in range(0, len(every), PART):
        file = folder / f"{start:06d}.npz"
        part = _load(file)
        if part is None:
            part = _compute(scorer, {image_id: paths[image_id] for image_id in every[start : start + PART]}, stop)
            if part is None:
                return None
            _save(file, part)
        parts.append(part)
        if progress:
            progress(min(start + PART, len(every)), len(every))
    return _joined(parts)


def images_stored(version: str, paths: Mapping[str, Path]) -> int:
    """Return how many images earlier calls have dealt with.

    Args:
        version: Of the model.
        paths: The images' files by id.

    Returns:
        The number of images, up to all of them.
    """
    folder = _folder(version, paths)
    parts = sum((folder / f"{start:06d}.npz").is_file() for start in range(0, len(paths), PART))
    return min(parts * PART, len(paths))


def features_key(version: str, paths: Mapping[str, Path]) -> str:
    """Return a name for what a model computes of these images; it changes with the files' sizes and dates.

    Args:
        version: Of the model.
        paths: The images' files by id.

    Returns:
        32 hexadecimal digits.
    """
    lines = [f"{_VERSION} {version}"]
    for image_id, path in paths.items():
        status = path.stat() if path.exists() else None
        lines.append(f"{image_id} {status and (status.st_size, status.st_mtime_ns)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def _folder(version: str, paths: Mapping[str, Path]) -> Path:
    return cache_folder() / "image-features" / features_key(version, paths)


def _compute(scorer: Scorer, files: Mapping[str, Path], stop: Callable[[], bool]) -> ImageFeatures | None:
    names, ids, outputs = list(files), [], []
    for start in range(0, len(names), _BATCH):
        if stop():
            return None
        squares = []
        for image_id in names[start : start + _BATCH]:
            try:
                radiograph = read_radiograph(files[image_id], accept_cut_short=True)
            except (OSError, FractureCoreError):
                continue
            ids.append(image_id)
            squares.append(scorer.fit(radiograph.pixels)[0])
        if squares:
            outputs.append(scorer.score(np.stack(squares)))
    parts = {name: [batch[name].astype(np.float32) for batch in outputs] for name in _NAMES}
    empty = {"embedding": (0, 0), "appearance": (0, 0), "logit": (0,)}
    arrays = {name: np.concatenate(parts[name]) if outputs else np.empty(empty[name], np.float32) for name in _NAMES}
    return ImageFeatures(tuple(ids), **arrays)


def _joined(parts: Sequence[ImageFeatures]) -> ImageFeatures:
    filled = [part for part in parts if part.ids] or list(parts[:1])
    arrays = {name: np.concatenate([getattr(part, name) for part in filled]) for name in _NAMES}
    return ImageFeatures(tuple(image_id for part in filled for image_id in part.ids), **arrays)


def _save(file: Path, part: ImageFeatures) -> None:
    """Keep a part; a cache that cannot be written costs only time."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            # Half precision is finer than what a change of the processor does to the features.
            arrays = {name: getattr(part, name).astype(np.float16) for name in ("embedding", "appearance")}
            np.savez(temporary, ids=np.array(part.ids, str), logit=part.logit, **arrays)
    except OSError:
        return


def _load(file: Path) -> ImageFeatures | None:
    try:
        with np.load(file, allow_pickle=False) as data:
            arrays = {name: data[name].astype(np.float32) for name in _NAMES}
            return ImageFeatures(tuple(data["ids"].tolist()), **arrays)
    except (OSError, ValueError, KeyError, BadZipFile):
        return None
