"""Find duplicate images in a dataset: copied, re-saved, resized, rotated, re-windowed or truncated.

Radiographs of one body part look alike, so no global likeness decides. Each image is reduced to a small
thumbnail of its fine structure: a high-pass, divided by its local strength, which no change of brightness,
contrast or size touches. Every pair is compared at 48 px, in all eight turns and mirrorings, by normalised
cross-correlation over the rows that both files still have; the likely pairs are compared again at 192 px, where
two exposures, even of one patient in one position, no longer correlate.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from fracture_core.data.image_likeness import FINE, FineScores, likely_pairs
from fracture_core.imaging.exif import orientation_and_sizes, turned
from fracture_core.imaging.radiograph import read_radiograph

_LARGE = 1024
_END_OF_IMAGE = b"\xff\xd9"

#: A file's bytes and the least side that is needed, or None for all of it -> upright grey uint8 (H, W).
Decode = Callable[[bytes, int | None], np.ndarray]


@dataclass(frozen=True)
class DuplicatePair:
    """Two files with one image.

    kind: "exact" (decoded pixels equal) or "near". score: normalised cross-correlation of the fine structure at
    192 px, over what both files show, at most 1. turn: how `second` must be turned to lie on `first`: quarter turns
    counter-clockwise (turn % 4), then mirrored left to right where turn >= 4; 0 is as it is.
    """

    first: str
    second: str
    kind: str
    score: float
    turn: int


def find_duplicates(
    paths: Mapping[str, Path],
    missing: Mapping[str, float],
    progress: Callable[[int, int], None] | None = None,
    decode: Decode | None = None,
    between: int | None = None,
) -> tuple[DuplicatePair, ...]:
    """Find every pair of files that shows the same image, best score first.

    Args:
        paths: Files by image id.
        missing: The share of the bottom that is missing, 0..1, of truncated files.
        progress: Called with (done, total) files.
        decode: Reads a file's bytes; by default `decode_grey`.
        between: Only pairs of one of the first so many files with one of the others are looked for.

    Returns:
        The pairs.
    """
    ids, decode = list(paths), decode or decode_grey
    thumbnails, shown = _read_all([paths[i] for i in ids], [missing.get(i, 0.0) for i in ids], progress, decode)
    fine, pairs = FineScores(thumbnails, shown), []
    for (i, j), (turn, tops_agree) in likely_pairs(thumbnails, shown, between).items():
        score, turn = fine.score(i, j, turn, tops_agree)
        if score > 0:
            exact = turn == 0 and same_pixels(paths[ids[i]], paths[ids[j]], decode)
            pairs.append(DuplicatePair(ids[i], ids[j], "exact" if exact else "near", round(score, 4), turn))
    return tuple(sorted(pairs, key=lambda pair: (-pair.score, pair.first, pair.second)))


def group(pairs: tuple[DuplicatePair, ...]) -> tuple[tuple[str, ...], ...]:
    """Group ids that are connected by pairs.

    Args:
        pairs: The pairs.

    Returns:
        Groups of ids, each sorted, sorted by their first id.
    """
    groups: dict[str, list[str]] = {}
    for image_id, leader in leaders((pair.first, pair.second) for pair in pairs).items():
        groups.setdefault(leader, []).append(image_id)
    return tuple(sorted(tuple(sorted(members)) for members in groups.values()))


def leaders(sets: Iterable[Sequence[str]]) -> dict[str, str]:
    """Group ids that are connected through sets with shared members.

    Args:
        sets: Sets of ids that belong together; none is empty.

    Returns:
        For each id, the id that represents its group.
    """
    leader: dict[str, str] = {}

    def head(image_id: str) -> str:
        while leader.setdefault(image_id, image_id) != image_id:
            image_id = leader[image_id]
        return image_id

    for members in sets:
        for image_id in members:
            leader[head(image_id)] = head(members[0])
    return {image_id: head(image_id) for image_id in list(leader)}


def same_pixels(first: Path, second: Path, decode: Decode | None = None) -> bool:
    """Return whether two files decode to the same upright grey pixels.

    Args:
        first: A file.
        second: A file.
        decode: Reads a file's bytes; by default `decode_grey`.

    Returns:
        Whether they do.
    """
    a, b = first.read_bytes(), second.read_bytes()
    decode = decode or decode_grey
    return a == b or np.array_equal(decode(a, None), decode(b, None))


def decode_grey(data: bytes, least_side: int | None = None) -> np.ndarray:
    """Decode an image as upright grey.

    A second end-of-image marker lets a truncated JPEG be read as far as it goes, without changing Pillow's global
    switch; a complete one ends at its own.

    Args:
        data: The file.
        least_side: A JPEG is read at a half, a quarter ... of its size, not below this side; None for full size.

    Returns:
        uint8 (H, W).
    """
    with Image.open(io.BytesIO(data + _END_OF_IMAGE)) as image:
        # Y of YCbCr is the grey: colours need not even be computed.
        image.draft("L", (least_side, least_side) if least_side and max(image.size) > _LARGE else image.size)
        return np.asarray(ImageOps.exif_transpose(image).convert("L"))


def decode_any(data: bytes, least_side: int | None = None) -> np.ndarray:
    """Decode a file of any supported format as upright grey.

    Args:
        data: The file.
        least_side: Ignored; `decode_grey` reads large JPEGs at a fraction of their size.

    Returns:
        uint8 (H, W).
    """
    return read_radiograph(data, accept_cut_short=True).pixels


def _read_one(path: Path, missing: float, decode: Decode) -> tuple[np.ndarray, np.ndarray]:
    """Return a thumbnail uint8 (192, 192), its aspect ignored, and bool (192, 192): which pixels the file has."""
    data = path.read_bytes()
    thumbnail = cv2.resize(decode(data, FINE), (FINE, FINE), interpolation=cv2.INTER_AREA)
    stored = np.zeros((FINE, FINE), np.uint8)
    stored[: round((1 - missing) * FINE) or 1] = 255
    if missing:
        stored = turned(stored, orientation_and_sizes(io.BytesIO(data))[0])
    return thumbnail, stored > 0


def _read_all(
    paths: Sequence[Path], missing: Sequence[float], progress: Callable[[int, int], None] | None, decode: Decode
) -> tuple[np.ndarray, np.ndarray]:
    thumbnails = np.empty((len(paths), FINE, FINE), np.uint8)
    shown = np.empty((len(paths), FINE, FINE), bool)
    with ThreadPoolExecutor() as pool:
        for k, (thumbnail, mask) in enumerate(pool.map(_read_one, paths, missing, repeat(decode))):
            thumbnails[k], shown[k] = thumbnail, mask
            if progress and (k % 50 == 49 or k == len(paths) - 1):
                progress(k + 1, len(paths))
    return thumbnails, shown
