"""Vary the appearance of films at random: exposure, processing, frames, letters, and poor copies of them.

Every change is one that radiographs go through between the detector and an upload. Nothing is ever inverted: an
inverted film is one to be turned back, not learned.
"""

from __future__ import annotations

import cv2
import numpy as np

_LETTERS = ("L", "R", "LT", "RT", "AP", "LAT", "PA", "OBL", "12:40", "PORTABLE", "STANDING", "KV 55", "A+", "10 cm")


def change_appearance(
    square: np.ndarray, inside: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Change the appearance of a view at random. The same `rng` state gives the same view.

    Args:
        square: uint8 (S, S).
        inside: bool (S, S), where the radiograph is; what lies beyond stays black, or occasionally another grey.
        boxes: float32 (n, 4), in the view's pixels; no frame or letter hides them.
        rng: Random generator.

    Returns:
        uint8 (S, S).
    """
    square = _exposed(square, inside, rng)
    square = _framed(square, boxes, rng)
    square = _lettered(square, boxes, rng)
    return _copied(square, rng)


def _exposed(square: np.ndarray, inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Expose and process the same film again; what lies beyond it stays black, seldom another grey."""
    if rng.random() < 0.22:
        tiles = int(rng.integers(3, 9))
        square = cv2.createCLAHE(float(rng.uniform(1.0, 4.0)), (tiles, tiles)).apply(square)
    levels = _curve(square[inside], rng)
    square = cv2.LUT(square, np.clip(np.rint(levels * 255), 0, 255).astype(np.uint8))
    if rng.random() < 0.2:
        square = _uneven(square, rng)
    if not inside.all():
        beyond = 0 if rng.random() < 0.85 else int(rng.integers(0, 256))
        square = square.copy()
        square[~inside] = beyond
    return square


def _curve(known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return which grey, 0..1, each of 256 greys becomes, float32 (256,): window, gamma, film curve, contrast, haze."""
    levels = np.arange(256, dtype=np.float32) / 255
    if rng.random() < 0.25 and known.size > 700:  # the window that another viewer would choose
        low, high = np.percentile(known[::7], [rng.uniform(0, 12), rng.uniform(97, 100)]) / 255
        if high - low > 0.15:
            levels = np.clip((levels - low) / (high - low), 0, 1)
    levels = levels ** float(np.exp(rng.normal(0, 0.35)))
    if rng.random() < 0.3:  # steeper in the middle
        curve = 1 / (1 + np.exp(-rng.uniform(2, 8) * (levels - rng.uniform(0.35, 0.65))))
        curve = (curve - curve[0]) / max(curve[-1] - curve[0], 1e-3)
        mix = rng.uniform(0.2, 1.0)
        levels = mix * curve + (1 - mix) * levels
    contrast, brightness = rng.uniform(0.55, 1.15), rng.uniform(-0.12, 0.12)
    levels = (levels - 0.5) * contrast + 0.5 + brightness - (1 - contrast) * 0.3
    if rng.random() < 0.15:  # air that is not black
        levels = np.maximum(levels, 0) * (1 - (haze := rng.uniform(0.05, 0.35))) + haze
    return levels


def _uneven(square: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brighten one side, as beyond the axis of a beam (heel effect) or by scatter."""
    corners = rng.uniform(0.7, 1.25, (2, 2)).astype(np.float32)
    gain = cv2.resize(corners, square.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(square * gain, 0, 255).astype(np.uint8)


def _framed(square: np.ndarray, boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Collimate: make everything outside a turned rectangle or a circle one grey, without hiding a fracture."""
    if rng.random() >= 0.22:
        return square
    mask = _field(square.shape[0], boxes, rng)
    if mask is None:
        return square
    draw = rng.random()
    beyond = 0 if draw < 0.6 else 255 if draw < 0.75 else int(rng.integers(10, 246))
    if rng.random() < 0.3:
        mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.6, 2.5))
    share = mask.astype(np.float32) / 255
    return np.rint(square * share + beyond * (1 - share)).astype(np.uint8)


def _field(size: int, boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Return an exposed field that holds all boxes, uint8 (size, size) of 0 and 255; None where that takes too much."""
    middle = size / 2 + rng.uniform(-0.08, 0.08, 2) * size
    angle = rng.normal(0, 6) if rng.random() < 0.7 else rng.uniform(-45, 45)
    half = rng.uniform(0.3, 0.52, 2) * size
    circle = rng.random() < 0.12
    for _ in range(5):
        mask = np.zeros((size, size), np.uint8)
        if circle:
            cv2.circle(mask, tuple(np.rint(middle).astype(int).tolist()), int(half.max()), 255, -1)
        else:
            corners = cv2.boxPoints((tuple(middle.tolist()), tuple((2 * half).tolist()), float(angle)))
            cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 255)
        edges = [(int(x), int(y), int(np.ceil(x + w)), int(np.ceil(y + h))) for x, y, w, h in boxes]
        if all(mask[top:bottom, left:right].all() for left, top, right, bottom in edges):
            return mask
        half = half * 1.25
    return None


def _lettered(square: np.ndarray, boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Write markers and letters, anywhere but on a fracture."""
    if rng.random() >= 0.3:
        return square
    square, size = square.copy(), square.shape[0]
    for _ in range(int(rng.integers(1, 4))):
        text = _LETTERS[rng.integers(len(_LETTERS))]
        scale = float(rng.uniform(0.35, 1.3)) * size / 256
        thick = max(1, round(scale * rng.uniform(1, 2.5)))
        (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        x, y = (int(rng.integers(0, max(1, size - side))) for side in (width, height + base))
        left, top = boxes[:, 0], boxes[:, 1]
        over = (left < x + width) & (left + boxes[:, 2] > x) & (top < y + height + base) & (top + boxes[:, 3] > y)
        if over.any():
            continue
        grey = int(rng.integers(150, 256))
        if rng.random() < 0.25:
            plate = int(rng.integers(0, 256))
            cv2.rectangle(square, (x - 3, y - 3), (x + width + 3, y + height + base + 3), plate, -1)
            grey = 0 if plate > 128 else 255
        cv2.putText(square, text, (x, y + height), cv2.FONT_HERSHEY_SIMPLEX, scale, grey, thick, cv2.LINE_AA)
    return square


def _copied(square: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur, add noise, shrink and enlarge, sharpen and compress, each at random, in the order of how it happens."""
    size = square.shape[0]
    if rng.random() < 0.15:
        square = cv2.GaussianBlur(square, (0, 0), float(rng.uniform(0.4, 1.3)) * size / 256)
    if rng.random() < 0.35:
        sigma = float(rng.uniform(1, 9))
        noise = rng.standard_normal(square.shape, dtype=np.float32)
        if rng.random() < 0.4:
            noise = cv2.GaussianBlur(noise, (0, 0), 0.8) * 2
        square = np.clip(square + sigma * noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        small = int(np.exp(rng.uniform(np.log(100), np.log(size)))) if size > 100 else size
        square = cv2.resize(square, (small, small), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            square = _jpeg(square, int(rng.integers(40, 96)))
        up = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
        square = cv2.resize(square, (size, size), interpolation=up)
    if rng.random() < 0.2:
        amount, sigma = float(rng.uniform(0.3, 1.5)), float(rng.uniform(0.8, 3.0))
        square = cv2.addWeighted(square, 1 + amount, cv2.GaussianBlur(square, (0, 0), sigma), -amount, 0)
    if rng.random() < 0.25:
        square = _jpeg(square, int(rng.integers(20, 90)))
    return square


def _jpeg(square: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", square, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
