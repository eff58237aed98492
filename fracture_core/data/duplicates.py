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

from fracture_core.imaging.exif import orientation_and_sizes, turned

_COARSE, _FINE = 48, 192
_CANDIDATE, _CANDIDATE_TOP = 0.6, 0.8
# Looked at on FracAtlas, pair by pair: one image scores 0.67 or more at 192 px; two exposures on one detector,
# whose streaks they share, 0.64 at most. Over the tops alone: 0.99 against 0.79.
_SAME, _SAME_TOP = 0.66, 0.9
_LARGE = 1024
_LEAST_SHARED = 0.1  # of the image; below, a strip of background could match any other
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
) -> tuple[DuplicatePair, ...]:
    """Find every pair of files that shows the same image, best score first.

    Args:
        paths: Files by image id.
        missing: The share of the bottom that is missing, 0..1, of truncated files.
        progress: Called with (done, total) files.
        decode: Reads a file's bytes; by default `decode_grey`.

    Returns:
        The pairs.
    """
    ids, decode = list(paths), decode or decode_grey
    thumbnails, shown = _read_all([paths[i] for i in ids], [missing.get(i, 0.0) for i in ids], progress, decode)
    fine, pairs = _FineScores(thumbnails, shown), []
    for (i, j), (turn, tops_agree) in _candidates(thumbnails, shown).items():
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


def _read_one(path: Path, missing: float, decode: Decode) -> tuple[np.ndarray, np.ndarray]:
    """Thumbnail uint8 (192, 192), aspect given up, and bool (192, 192): which of it the file really has."""
    data = path.read_bytes()
    thumbnail = cv2.resize(decode(data, _FINE), (_FINE, _FINE), interpolation=cv2.INTER_AREA)
    stored = np.zeros((_FINE, _FINE), np.uint8)
    stored[: round((1 - missing) * _FINE) or 1] = 255
    if missing:
        stored = turned(stored, orientation_and_sizes(io.BytesIO(data))[0])
    return thumbnail, stored > 0


def _read_all(
    paths: Sequence[Path], missing: Sequence[float], progress: Callable[[int, int], None] | None, decode: Decode
) -> tuple[np.ndarray, np.ndarray]:
    thumbnails = np.empty((len(paths), _FINE, _FINE), np.uint8)
    shown = np.empty((len(paths), _FINE, _FINE), bool)
    with ThreadPoolExecutor() as pool:
        for k, (thumbnail, mask) in enumerate(pool.map(_read_one, paths, missing, repeat(decode))):
            thumbnails[k], shown[k] = thumbnail, mask
            if progress and (k % 50 == 49 or k == len(paths) - 1):
                progress(k + 1, len(paths))
    return thumbnails, shown


def _fine_structure(thumbnail: np.ndarray) -> np.ndarray:
    """float32, the thumbnail's shape: high-pass at 3 pixels over its local strength."""
    image = thumbnail.astype(np.float32)
    detail = image - cv2.GaussianBlur(image, (0, 0), 3)
    strength = cv2.GaussianBlur(detail * detail, (0, 0), 4.5)
    return detail / (np.sqrt(strength) + 1.5)


def _rotated(images: np.ndarray, turn: int) -> np.ndarray:
    """Rotate the last two axes by quarter turns counter-clockwise, then mirror them for turn >= 4."""
    rotated = np.rot90(images, turn % 4, axes=(-2, -1))
    return np.ascontiguousarray(rotated[..., ::-1] if turn >= 4 else rotated)


def _inverse(turn: int) -> int:
    return turn if turn >= 4 else -turn % 4  # a mirroring undoes itself


def _candidates(thumbnails: np.ndarray, shown: np.ndarray) -> dict[tuple[int, int], tuple[int, bool]]:
    """(i, j), i < j -> the turn of j in which they look most alike, and whether their tops do as they are."""
    small = [cv2.resize(t, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA) for t in thumbnails]
    shown = np.stack([_kernel_shown(mask, _COARSE) for mask in shown])
    detail = np.stack([_fine_structure(t) for t in small])
    cut = np.flatnonzero(~shown.all(axis=(1, 2)))
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for turn in range(8):
        others = _rotated(detail, turn)
        likeness = _unit(detail) @ _unit(others).T
        if len(cut):
            likeness[cut] = _likeness_where(detail[cut], others, shown[cut])
        for i, j in np.argwhere(likeness > _CANDIDATE).tolist():
            pair, onto_first = ((i, j), turn) if i < j else ((j, i), _inverse(turn))
            if i != j and likeness[i, j] > best.get(pair, (0.0, 0))[0]:
                best[pair] = (float(likeness[i, j]), onto_first)
    candidates = {pair: (turn, False) for pair, (_, turn) in best.items()}
    tops = _unit(detail[:, : _COARSE // 2])
    for i, j in np.argwhere(np.triu(tops @ tops.T, 1) > _CANDIDATE_TOP).tolist():
        candidates[i, j] = (candidates.get((i, j), (0, True))[0], True)
    return candidates


def _kernel_shown(mask: np.ndarray, side: int) -> np.ndarray:
    """Return where the fine structure does not depend on the missing part, bool (side, side)."""
    if mask.all():
        return np.ones((side, side), bool)
    eroded = cv2.erode(mask.astype(np.uint8), np.ones((9, 9), np.uint8), borderValue=1)
    return cv2.resize(eroded, (side, side), interpolation=cv2.INTER_NEAREST) > 0


def _unit(images: np.ndarray) -> np.ndarray:
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6)


def _likeness_where(images: np.ndarray, others: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Normalised cross-correlations, float32 (n, m), of (n, h, w) with (m, h, w), each row over its own `where`.

    0 where too little is left to compare. Where the other is cut shorter, its own row is the one to trust.
    """
    weight = where.reshape(len(where), -1).astype(np.float32)
    count = weight.sum(axis=1, keepdims=True) + 1e-6
    a = images.reshape(len(images), -1) * weight
    a = (a - a.sum(axis=1, keepdims=True) / count) * weight
    b = others.reshape(len(others), -1)
    spread_b = weight @ (b * b).T - (weight @ b.T) ** 2 / count
    spread = (a * a).sum(axis=1, keepdims=True) * spread_b
    enough = count >= _LEAST_SHARED * weight.shape[1]
    return np.where(enough, (a @ b.T) / np.sqrt(np.maximum(spread, 1e-6)), 0.0)


class _FineScores:
    """The second look, at 192 px; each image's fine structure is computed once and kept in half precision."""

    def __init__(self, thumbnails: np.ndarray, shown: np.ndarray) -> None:
        self._thumbnails, self._shown = thumbnails, shown
        self._whole: np.ndarray = np.asarray(shown.all(axis=(1, 2)))
        self._detail: dict[int, np.ndarray] = {}

    def _of(self, i: int) -> np.ndarray:
        """Fine structure of mean 0 and norm 192, float32 (192, 192)."""
        if i not in self._detail:
            unit = _unit(_fine_structure(self._thumbnails[i])[None]).reshape(_FINE, _FINE)
            self._detail[i] = (unit * _FINE).astype(np.float16)
        return self._detail[i].astype(np.float32)

    def score(self, i: int, j: int, turn: int, tops_agree: bool) -> tuple[float, int]:
        """(likeness, turn), the likeness of all that both show, or of the tops alone, or 0 where neither is enough."""
        first, second = self._of(i), _rotated(self._of(j), turn)
        if self._whole[i] and self._whole[j]:
            likeness = float(np.vdot(first, second)) / _FINE**2
        else:
            shown = _kernel_shown(self._shown[i], _FINE) & _rotated(_kernel_shown(self._shown[j], _FINE), turn)
            likeness = _likeness_where(first[None], second[None], shown[None]).item()
        if likeness >= _SAME:
            return min(likeness, 1.0), turn
        top = float(_top_likeness(first, self._of(j)).max()) if tops_agree else 0.0
        return (top, 0) if top >= _SAME_TOP else (0.0, turn)


def _top_likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Normalised cross-correlations of the top rows of two (h, w), for each number of rows from 40 % to all."""
    rows = np.arange(1, len(a) + 1) * a.shape[1]
    sum_a, sum_b, aa, bb, ab = (np.cumsum(x.sum(axis=1)) for x in (a, b, a * a, b * b, a * b))
    spread = (aa - sum_a**2 / rows) * (bb - sum_b**2 / rows)
    likeness = (ab - sum_a * sum_b / rows) / np.sqrt(np.maximum(spread, 1e-6))
    return likeness[round(0.4 * len(a)) :]
