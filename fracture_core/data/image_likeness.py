"""Compare images by their fine structure: first all pairs at 48 px, then the likely ones at 192 px.

A high-pass divided by its local strength is what no change of brightness, contrast or size touches.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

COARSE, FINE = 48, 192
_CANDIDATE, _CANDIDATE_TOP = 0.6, 0.8
# Looked at on FracAtlas, pair by pair: one image scores 0.67 or more at 192 px; two exposures on one detector,
# whose streaks they share, 0.64 at most. Over the tops alone: 0.99 against 0.79.
_SAME, _SAME_TOP = 0.66, 0.9
_BLOCK = 1024  # images whose likeness with all others is in memory at once
_LEAST_SHARED = 0.1  # of the image; below, a strip of background could match any other


def _fine_structure(thumbnail: np.ndarray) -> np.ndarray:
    """float32, the thumbnail's shape: high-pass at 3 pixels over its local strength."""
    picture = thumbnail.astype(np.float32)
    detail = picture - cv2.GaussianBlur(picture, (0, 0), 3)
    strength = cv2.GaussianBlur(detail * detail, (0, 0), 4.5)
    return detail / (np.sqrt(strength) + 1.5)


def _turned(pictures: np.ndarray, turn: int) -> np.ndarray:
    """Rotate the last two axes by quarter turns counter-clockwise, then mirror them for turn >= 4."""
    turned = np.rot90(pictures, turn % 4, axes=(-2, -1))
    return np.ascontiguousarray(turned[..., ::-1] if turn >= 4 else turned)


def _inverse(turn: int) -> int:
    return turn if turn >= 4 else -turn % 4  # a mirroring undoes itself


def likely_pairs(
    thumbnails: np.ndarray, shown: np.ndarray, between: int | None
) -> dict[tuple[int, int], tuple[int, bool]]:
    """Find the pairs that may show the same image.

    Args:
        thumbnails: uint8 (n, 192, 192).
        shown: bool (n, 192, 192), which of each its file really has.
        between: Only pairs of one of the first so many with one of the others are looked for; None for all.

    Returns:
        (i, j), i < j -> the turn of j in which they look most alike, and whether their tops do as they are.
    """
    small = [cv2.resize(t, (COARSE, COARSE), interpolation=cv2.INTER_AREA) for t in thumbnails]
    shown = np.stack([_kernel_shown(mask, COARSE) for mask in shown])
    detail = np.stack([_fine_structure(t) for t in small])
    whole = np.asarray(shown.all(axis=(1, 2)))
    unit = _unit(detail)
    tops = _unit(detail[:, : COARSE // 2])
    n = len(detail)
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for turn in range(8):
        turned = _turned(detail, turn)
        unit_turned = _unit(turned)
        # Row by row in blocks: a matrix of all pairs would not fit the memory for tens of thousands of files.
        for rows, columns in _blocks(n, between):
            likeness = unit[rows] @ unit_turned[columns].T
            if len(cut := np.flatnonzero(~whole[rows])):
                likeness[cut] = _likeness_where(detail[rows][cut], turned[columns], shown[rows][cut])
            for k, m in np.argwhere(likeness > _CANDIDATE).tolist():
                i, j, score = rows.start + k, columns.start + m, float(likeness[k, m])
                pair, onto_first = ((i, j), turn) if i < j else ((j, i), _inverse(turn))
                if i != j and score > best.get(pair, (0.0, 0))[0]:
                    best[pair] = (score, onto_first)
    pairs = {pair: (turn, False) for pair, (_, turn) in best.items()}
    for rows, columns in _blocks(n, between):
        for k, m in np.argwhere(tops[rows] @ tops[columns].T > _CANDIDATE_TOP).tolist():
            if (i := rows.start + k) < (j := columns.start + m):
                pairs[i, j] = (pairs.get((i, j), (0, True))[0], True)
    return pairs


def _blocks(n: int, between: int | None) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of all pairs of n files, or of those between the first `between` and the others, in both orders."""
    halves = [(0, n, 0, n)] if between is None else [(0, between, between, n), (between, n, 0, between)]
    for first, last, left, right in halves:
        for start in range(first, last, _BLOCK):
            yield slice(start, min(start + _BLOCK, last)), slice(left, right)


def _kernel_shown(mask: np.ndarray, side: int) -> np.ndarray:
    """Return where the fine structure does not depend on the missing part, bool (side, side)."""
    if mask.all():
        return np.ones((side, side), bool)
    eroded = cv2.erode(mask.astype(np.uint8), np.ones((9, 9), np.uint8), borderValue=1)
    return cv2.resize(eroded, (side, side), interpolation=cv2.INTER_NEAREST) > 0


def _unit(pictures: np.ndarray) -> np.ndarray:
    flat = pictures.reshape(len(pictures), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6)


def _likeness_where(pictures: np.ndarray, others: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Normalised cross-correlations, float32 (n, m), of (n, h, w) with (m, h, w), each row over its own `where`.

    0 where too little is left to compare. Where the other is cut shorter, its own row is the one to trust.
    """
    weight = where.reshape(len(where), -1).astype(np.float32)
    count = weight.sum(axis=1, keepdims=True) + 1e-6
    a = pictures.reshape(len(pictures), -1) * weight
    a = (a - a.sum(axis=1, keepdims=True) / count) * weight
    b = others.reshape(len(others), -1)
    spread_b = weight @ (b * b).T - (weight @ b.T) ** 2 / count
    spread = (a * a).sum(axis=1, keepdims=True) * spread_b
    enough = count >= _LEAST_SHARED * weight.shape[1]
    return np.where(enough, (a @ b.T) / np.sqrt(np.maximum(spread, 1e-6)), 0.0)


class FineScores:
    """The second look, at 192 px; each image's fine structure is computed once and kept in half precision."""

    def __init__(self, thumbnails: np.ndarray, shown: np.ndarray) -> None:
        self._thumbnails, self._shown = thumbnails, shown
        self._whole: np.ndarray = np.asarray(shown.all(axis=(1, 2)))
        self._detail: dict[int, np.ndarray] = {}

    def _of(self, i: int) -> np.ndarray:
        """Fine structure of mean 0 and norm 192, float32 (192, 192)."""
        if i not in self._detail:
            unit = _unit(_fine_structure(self._thumbnails[i])[None]).reshape(FINE, FINE)
            self._detail[i] = (unit * FINE).astype(np.float16)
        return self._detail[i].astype(np.float32)

    def score(self, i: int, j: int, turn: int, tops_agree: bool) -> tuple[float, int]:
        """Compare two images.

        Args:
            i: The first.
            j: The second.
            turn: In which the second looked most like the first at 48 px.
            tops_agree: Whether their tops looked alike as they are.

        Returns:
            Likeness and turn: the likeness of all that both show, or of the tops alone, or 0 where neither is enough.
        """
        first, second = self._of(i), _turned(self._of(j), turn)
        if self._whole[i] and self._whole[j]:
            likeness = float(np.vdot(first, second)) / FINE**2
        else:
            shown = _kernel_shown(self._shown[i], FINE) & _turned(_kernel_shown(self._shown[j], FINE), turn)
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
