"""Draw random images that are not radiographs: text, plots, shapes, gradients, tiles and noise."""

from __future__ import annotations

import cv2
import numpy as np

_WORDS = ("invoice", "Sehr geehrte", "total", "report", "name", "123.40", "the", "of", "results", "page", "table", "A")
_SIDE = 448


def synthetic_image(rng: np.random.Generator) -> np.ndarray:
    """Draw one image of a random kind. The same `rng` state gives the same image.

    Args:
        rng: Random generator.

    Returns:
        uint8 (H, W).
    """
    kinds = (_text, _plot, _shapes, _gradient, _tiles, _noise, _blank)
    height, width = (int(n) for n in rng.integers(_SIDE // 2, _SIDE, 2))
    image = kinds[rng.integers(len(kinds))](height, width, rng)
    return 255 - image if rng.random() < 0.3 else image


def _text(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    page = np.full((height, width), int(rng.integers(170, 256)), np.uint8)
    scale = float(rng.uniform(0.3, 1.2))
    for y in range(int(30 * scale), height, int(rng.uniform(26, 44) * scale)):
        line = " ".join(rng.choice(_WORDS, 14))
        cv2.putText(page, line, (int(rng.integers(2, 30)), y), cv2.FONT_HERSHEY_SIMPLEX, scale, int(rng.integers(90)))
    return page


def _plot(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    page = np.full((height, width), 255, np.uint8)
    cv2.line(page, (30, 10), (30, height - 30), 0, 2)
    cv2.line(page, (30, height - 30), (width - 10, height - 30), 0, 2)
    across = np.arange(30, width - 10)
    for _ in range(int(rng.integers(1, 5))):
        wave = np.sin(across / rng.uniform(8, 90) + rng.uniform(0, 6)) * rng.uniform(0.1, 0.4) * height
        points = np.stack([across, height / 2 + wave], 1).astype(np.int32)
        cv2.polylines(page, [points], False, int(rng.integers(0, 160)), int(rng.integers(1, 4)), cv2.LINE_AA)
    return page


def _shapes(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    page = np.full((height, width), int(rng.integers(256)), np.uint8)
    for _ in range(int(rng.integers(2, 14))):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        a, b, grey = int(rng.integers(8, width // 2)), int(rng.integers(8, height // 2)), int(rng.integers(256))
        fill = -1 if rng.random() < 0.6 else int(rng.integers(1, 6))
        if rng.random() < 0.5:
            cv2.rectangle(page, (x, y), (x + a, y + b), grey, fill)
        else:
            cv2.ellipse(page, (x, y), (a, b), float(rng.uniform(0, 180)), 0, 360, grey, fill)
    return page


def _gradient(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    turn = rng.uniform(0, 2 * np.pi)
    along = np.cos(turn) * x + np.sin(turn) * y
    kind = rng.integers(3)
    if kind == 1:
        along = np.hypot(x - rng.random(), y - rng.random())
    elif kind == 2:
        along = np.sin(2 * np.pi * along * rng.uniform(1, 30))
    along = (along - along.min()) / np.ptp(along)
    return np.rint(255 * along).astype(np.uint8)


def _tiles(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    side = int(rng.integers(2, 24))
    tiles = rng.integers(0, 256, (side, side), np.uint8)
    kind = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_CUBIC
    return cv2.resize(tiles, (width, height), interpolation=kind)


def _noise(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(rng.uniform(60, 190), rng.uniform(10, 70), (height, width))
    if rng.random() < 0.5:
        noise = cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(0.5, 8)))
        noise = (noise - noise.min()) * (255 / np.ptp(noise))
    return np.clip(noise, 0, 255).astype(np.uint8)


def _blank(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    page = np.full((height, width), float(rng.integers(256)))
    return np.clip(page + rng.normal(0, rng.uniform(0, 4), page.shape), 0, 255).astype(np.uint8)
