"""Made-up photos of a radiograph on a screen: its sub-pixels, a lens at an angle, a camera's grid, light, and JPEG."""

from __future__ import annotations

import cv2
import numpy as np

#: Rows and columns of the screen, in its own pixels, and of the photo, in the camera's.
SCREEN, PHOTO = (800, 1000), (1080, 1440)
_SUB_PIXELS = 3


def photo(
    pixels: np.ndarray,
    random: np.random.Generator,
    *,
    tint: tuple[float, float, float] = (0.9, 0.97, 1.08),
    share: float = 0.85,
    skew: float = 0.06,
    sharp: float = 0.6,
) -> tuple[np.ndarray, np.ndarray]:
    """Photograph a radiograph on a screen.

    Args:
        pixels: uint8 (H, W).
        random: Where the camera stands, and its noise.
        tint: What becomes of red, green and blue.
        share: Of the photo's height and width that the screen takes.
        skew: How far corners are off, as a share of the photo's side.
        sharp: Standard deviation of the lens's blur, in camera pixels.

    Returns:
        The photo, RGB uint8 (1080, 1440, 3), and the screen's corners in it, (4, 2): clockwise from the top left.
    """
    screen = _lit(_on_screen(pixels))
    rows, columns = PHOTO
    high, wide = rows * share, columns * share
    corners = np.array([[-wide, -high], [wide, -high], [wide, high], [-wide, high]], np.float32) / 2
    corners += random.uniform(-skew, skew, (4, 2)).astype(np.float32) * (columns, rows) / 2
    corners += (columns / 2, rows / 2)
    h, w = screen.shape[:2]
    twice = cv2.getPerspectiveTransform(
        np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32), (2 * corners).astype(np.float32)
    )
    room = random.uniform(30, 70)
    seen = cv2.warpPerspective(screen, twice, (2 * columns, 2 * rows), flags=cv2.INTER_LINEAR, borderValue=(room,) * 3)
    seen = cv2.GaussianBlur(cv2.resize(seen, (columns, rows), interpolation=cv2.INTER_AREA), (0, 0), sharp)
    y, x = np.mgrid[0:rows, 0:columns]
    light = 1 + 0.15 * (x / columns - 0.5) - 0.1 * (y / rows - 0.5)
    seen = seen * light[:, :, None] * tint + random.normal(0, 2.5, seen.shape)
    return np.clip(seen, 0, 255).astype(np.uint8), corners


def _on_screen(pixels: np.ndarray) -> np.ndarray:
    """Return the screen's picture, with a viewer's black beside the radiograph, uint8 (800, 1000)."""
    scale = min(SCREEN[0] / pixels.shape[0], SCREEN[1] / pixels.shape[1])
    height, width = round(pixels.shape[0] * scale), round(pixels.shape[1] * scale)
    picture = np.full(SCREEN, 18, np.uint8)
    top, left = (SCREEN[0] - height) // 2, (SCREEN[1] - width) // 2
    picture[top : top + height, left : left + width] = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return picture


def _lit(picture: np.ndarray) -> np.ndarray:
    """Return the light of the screen, uint16 (3 H, 3 W, 3): each pixel is three stripes and a gap."""
    # A dark screen glows a little.
    large = cv2.resize(np.maximum(picture, 10), None, fx=_SUB_PIXELS, fy=_SUB_PIXELS, interpolation=cv2.INTER_NEAREST)
    light = np.zeros((*large.shape, 3), np.uint16)
    for colour in range(3):
        light[:, colour::3, colour] = large[:, colour::3]
    light[2::3] //= 3
    # As bright on average as the picture.
    return light * 27 // 7
