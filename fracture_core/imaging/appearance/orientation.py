"""Whether a film lies on its side, from the directions of its edges; a suggestion to look, never a reason to turn it.

Bones and soft tissue run along the limb, and radiographs are shown with the limb upright. A linear model of edge
directions in an 8 x 8 grid and of a coarse thumbnail, fitted on upright radiographs of FracAtlas turned by quarters
(`studies/fit_orientation.py`), tells an image on its side from an upright one. It looks at a square in the middle
alone, so that the image's shape and its black borders say nothing.
"""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import load_file

from fracture_core.imaging.letterbox import halved

SIDEWAYS_WARNING = "This film may be lying on its side. If so, turn it upright and have it assessed again."

WEIGHTS = Path(__file__).with_name("orientation.safetensors")
#: Least probability of lying on either side: chosen on FracAtlas's validation radiographs, of which it flags 1 in 400.
THRESHOLD = 0.95
#: Side of the image that is looked at, of a cell, and of the thumbnail, in pixels; directions told apart.
_SIDE, _CELL, _THUMBNAIL, _DIRECTIONS = 128, 16, 16, 12
#: Content narrower than this after scaling, in pixels, shows nothing.
_SMALLEST = 20


def quarter_turns_to_upright(pixels: np.ndarray) -> int:
    """Return the clockwise turns by 90 degrees that seem to be needed.

    Which of the two sides a film lies on is hardly more than a guess on films from other hospitals.

    Args:
        pixels: uint8 (H, W).

    Returns:
        1 or 3 where the image very probably lies on its side; 0 where it is upright, upside down or unclear.
    """
    square = middle(pixels)
    if square is None:
        return 0
    weights, bias = _model()
    scores = weights @ features(square) + bias
    likely = np.exp(scores - scores.max())
    likely /= likely.sum()
    if likely[1] + likely[3] <= THRESHOLD:
        return 0
    return 1 if likely[1] > likely[3] else 3


def middle(pixels: np.ndarray) -> np.ndarray | None:
    """Return the middle of an image, without black borders.

    Args:
        pixels: uint8 (H, W).

    Returns:
        uint8 (128, 128); None where the image shows nothing.
    """
    pixels = halved(pixels, 2 * _SIDE)
    scale = _SIDE / max(pixels.shape)
    size = [max(1, round(side * scale)) for side in pixels.shape[::-1]]
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    rows, columns = np.flatnonzero(small.any(axis=1)), np.flatnonzero(small.any(axis=0))
    if len(rows) < _SMALLEST or len(columns) < _SMALLEST:
        return None
    small = small[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = min(small.shape)
    top, left = (small.shape[0] - side) // 2, (small.shape[1] - side) // 2
    return cv2.resize(small[top : top + side, left : left + side], (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)


def features(square: np.ndarray) -> np.ndarray:
    """Describe a square image.

    Args:
        square: uint8 (128, 128).

    Returns:
        float32 (1024,): edge directions by cell, and a thumbnail.
    """
    smooth = cv2.GaussianBlur(square, (3, 3), 0).astype(np.float32)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    strength = np.hypot(across, down)
    place = (np.arctan2(down, across) / (2 * np.pi)) % 1 * _DIRECTIONS
    lower = np.floor(place)
    share = place - lower
    cells = _SIDE // _CELL
    cell = np.arange(_SIDE) // _CELL
    start = (cell[:, None] * cells + cell) * _DIRECTIONS
    edges = np.zeros(cells * cells * _DIRECTIONS)
    for step, weight in ((0, 1 - share), (1, share)):
        bins = start + (lower.astype(int) + step) % _DIRECTIONS
        edges += np.bincount(bins.ravel(), (strength * weight).ravel(), minlength=edges.size)
    edges = np.sqrt(edges)
    thumbnail = cv2.resize(smooth, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    thumbnail = (thumbnail - thumbnail.mean()) / (thumbnail.std() + 1e-3)
    # The factors give the two parts about the same weight in the fit.
    return np.concatenate([8 * edges / (np.linalg.norm(edges) + 1e-6), 0.5 * thumbnail.ravel()]).astype(np.float32)


@functools.cache
def _model() -> tuple[np.ndarray, np.ndarray]:
    """Return weights (4, 1024) and biases (4,), for images turned counter-clockwise by 0 to 3 quarters."""
    arrays = load_file(WEIGHTS)
    return arrays["weights"].astype(np.float32), arrays["bias"].astype(np.float32)
