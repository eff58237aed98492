"""Decode the images of a dataset once: letterboxed, in one memory-mapped file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from fracture_core.concurrency import processors
from fracture_core.files import atomic_write, file_stamp, write_text
from fracture_core.imaging.exposed_field import fit
from fracture_core.imaging.letterbox import Placement
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from fracture_core.paths import cache_folder

_VERSION = 1


@dataclass(frozen=True)
class ImageCache:
    """Letterboxed images, uint8 (n, size, size), memory-mapped, with their placements, by image id."""

    squares: np.ndarray
    placements: tuple[Placement, ...]
    rows: Mapping[str, int]

    def square(self, image_id: str) -> np.ndarray:
        """Return the letterboxed image.

        Args:
            image_id: The image.

        Returns:
            uint8 (size, size).
        """
        return self.squares[self.rows[image_id]]

    def take(self, ids: Sequence[str]) -> np.ndarray:
        """Return several letterboxed images.

        Args:
            ids: The images.

        Returns:
            uint8 (n, size, size), in the order of the ids.
        """
        return self.squares[[self.rows[image_id] for image_id in ids]]

    def placement(self, image_id: str) -> Placement:
        """Return where the radiograph lies in its square.

        Args:
            image_id: The image.

        Returns:
            The placement.
        """
        return self.placements[self.rows[image_id]]


def load_image_cache(
    paths: Mapping[str, Path],
    size: int,
    *,
    crop_to_field: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImageCache:
    """Decode and letterbox images, or map the file that an earlier call left.

    The file is keyed by every file's path, size and time, by `size` and by `crop_to_field`. Truncated images are read
    as far as they go. Nothing half-written is left behind.

    Args:
        paths: Files by image id.
        size: Side of the letterboxed images, in pixels.
        crop_to_field: Whether only the exposed field is letterboxed.
        progress: Called now and then with (done, total) files.

    Returns:
        The images.

    Raises:
        UnreadableRadiograph: A file is not a radiograph.
    """
    pixels_path, index_path = _files(paths, size, crop_to_field)
    pixels_path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(pixels_path.with_suffix(".lock")):
        if not (pixels_path.exists() and index_path.exists()):
            # A process that was killed left them: as large as the dataset.
            for left in pixels_path.parent.glob(f".{pixels_path.stem}-*"):
                left.unlink()
            _build(list(paths.values()), size, crop_to_field, pixels_path, index_path, progress)
    return _mapped(pixels_path, index_path, paths)


def find_image_cache(paths: Mapping[str, Path], size: int, *, crop_to_field: bool = False) -> ImageCache | None:
    """Map the file that an earlier `load_image_cache` left, without decoding anything.

    Args:
        paths: As for `load_image_cache`.
        size: As for `load_image_cache`.
        crop_to_field: As for `load_image_cache`.

    Returns:
        The images; None if there is no such file.
    """
    pixels_path, index_path = _files(paths, size, crop_to_field)
    return _mapped(pixels_path, index_path, paths) if pixels_path.exists() and index_path.exists() else None


def _files(paths: Mapping[str, Path], size: int, crop_to_field: bool) -> tuple[Path, Path]:
    """Return the file of the pixels and the one of the placements."""
    stem = cache_folder() / "pictures" / _key(paths, size, crop_to_field)
    return stem.with_suffix(".npy"), stem.with_suffix(".json")


def _mapped(pixels_path: Path, index_path: Path, paths: Mapping[str, Path]) -> ImageCache:
    placements = tuple(Placement(*entry) for entry in json.loads(index_path.read_text("utf-8")))
    squares = np.load(pixels_path, mmap_mode="r")
    return ImageCache(squares, placements, {image_id: row for row, image_id in enumerate(paths)})


def _key(paths: Mapping[str, Path], size: int, crop_to_field: bool) -> str:
    digest = hashlib.sha256(f"{_VERSION} {size}{' field' if crop_to_field else ''}".encode())
    for image_id, path in paths.items():
        # Two hospitals' files can agree in all but their folder.
        digest.update(f"\n{image_id} {path.absolute()} {file_stamp(path)}".encode())
    return digest.hexdigest()[:24]


def _build(
    paths: Sequence[Path],
    size: int,
    crop_to_field: bool,
    pixels_path: Path,
    index_path: Path,
    progress: Callable[[int, int], None] | None,
) -> None:
    def fitted(path: Path) -> tuple[np.ndarray, Placement]:
        try:
            pixels = read_radiograph(path, accept_cut_short=True).pixels
        except UnreadableRadiograph as error:
            raise UnreadableRadiograph(f"{path.name} cannot be trained on. {error}") from error
        return fit(pixels, size, crop_to_field=crop_to_field)

    placements = []
    with atomic_write(pixels_path) as temporary:
        shape = (len(paths), size, size)
        squares = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        with ThreadPoolExecutor(processors()) as pool:
            for row, (square, placement) in enumerate(pool.map(fitted, paths)):
                squares[row] = square
                placements.append(placement)
                if progress and (row % 50 == 49 or row + 1 == len(paths)):
                    progress(row + 1, len(paths))
        squares.flush()
    order = ("size", "height", "width", "left", "top", "fitted_width", "fitted_height", "x", "y")
    write_text(index_path, json.dumps([[getattr(p, name) for name in order] for p in placements]))
