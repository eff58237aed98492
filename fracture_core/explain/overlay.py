"""Drawing evidence on a radiograph: colours, contours and boxes, in NumPy and OpenCV alone.

One scale serves every radiograph. Nothing is stretched to the image's own maximum, so a clean radiograph stays
clean. Only evidence for a fracture (above zero) is drawn. The colours run from pale yellow to vermilion (Okabe and
Ito 2008), getting darker and denser together, so the order survives colour blindness and grey print.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from fracture_core.errors import FractureCoreError
from fracture_core.imaging.letterbox import shrink

#: Evidence at which the colour is full, by method, for a bundle that brings no scale of its own; in the method's own
#: units (see `fracture_core.explain.heatmap_methods`).
FULL_COLOUR = {"grad-cam": 0.02, "localiser": 0.7, "hires-cam": 1.2, "grad-cam++": 2.4}
#: A heatmap method, by name, or the evidence at which colour is full, as a bundle found it on validation.
Scale = str | float
#: Contours are drawn where evidence reaches these shares of full colour.
CONTOUR_LEVELS = (0.25, 0.5, 0.75)
#: Below this share nothing is coloured: the haze of a network that is unsure everywhere says nothing about a place.
_HAZE = 0.08
_PALE, _STRONG = np.array([255, 224, 92]), np.array([222, 66, 0])
#: Of boxes: the dataset's, and the model's own.
BOX_COLOUR, MARK_COLOUR = (86, 180, 233), (255, 176, 0)
_LONGEST = 512
_BAND_PIXELS = 1 << 20


class DrawingError(FractureCoreError):
    """An overlay that cannot be written."""


def share_of_full(evidence: np.ndarray, method: Scale) -> np.ndarray:
    """Convert evidence to a share of full colour.

    Args:
        evidence: float (H, W).
        method: The heatmap method, whose usual scale is used, or the evidence at which colour is full.

    Returns:
        float32 (H, W), 0..1; 0 where the evidence is negative.
    """
    return np.clip(
        np.asarray(evidence, np.float32) / (FULL_COLOUR[method] if isinstance(method, str) else method), 0, 1
    )


@cache
def _ramp() -> np.ndarray:
    """Red, green, blue and alpha at shares 0 / 255 .. 255 / 255: uint8 (256, 4)."""
    share = np.linspace(0, 1, 256)[:, None]
    colour = _PALE + share * (_STRONG - _PALE)
    alpha = 255 * np.clip((share - _HAZE) / (1 - _HAZE), 0, 1) ** 0.7
    return np.rint(np.hstack([colour, alpha])).astype(np.uint8)


def legend_stops() -> list[str]:
    """Return the colours of the legend, as the overlay draws them.

    Returns:
        CSS colours at 0, 1/4, 1/2, 3/4 and 1 of full colour.
    """
    return [f"rgba({r},{g},{b},{a / 255:.2f})" for r, g, b, a in _ramp()[[0, 64, 128, 191, 255]].tolist()]


def colour_layer(evidence: np.ndarray, method: Scale, *, longest: int | None = None) -> np.ndarray:
    """Colour evidence as a layer to be drawn over the radiograph.

    Evidence is smooth, so a viewer that scales up a smaller layer loses nothing.

    Args:
        evidence: float (H, W).
        method: The heatmap method.
        longest: Maximum length of the longer side in pixels, or None.

    Returns:
        Red, green, blue, alpha: uint8 (H, W, 4).
    """
    share = share_of_full(_reduced(evidence, longest), method)
    return _ramp()[np.rint(share * 255).astype(np.uint8)]


def contours(
    evidence: np.ndarray, method: Scale, levels: Sequence[float] = CONTOUR_LEVELS
) -> list[tuple[float, np.ndarray]]:
    """Outline where evidence reaches each level.

    Args:
        evidence: float (H, W).
        method: The heatmap method.
        levels: Shares of full colour.

    Returns:
        (level, float32 (k, 2) of x, y in pixels) of each closed ring, outer and inner alike.
    """
    share = share_of_full(_reduced(evidence, _LONGEST), method)
    scale = np.array(evidence.shape[::-1], np.float32) / np.array(share.shape[::-1], np.float32)
    contours = []
    for level in levels:
        # One empty pixel around it: an outline that meets the image's border then runs along it.
        inside = np.pad((share >= level).astype(np.uint8), 1)
        rings, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        contours += [(level, (ring[:, 0].astype(np.float32) - 0.5) * scale) for ring in rings if len(ring) > 4]
    return contours


def contour_paths(evidence: np.ndarray, method: Scale) -> list[tuple[str, str]]:
    """Return the contours for an SVG, in the radiograph's pixels.

    Args:
        evidence: float (H, W).
        method: The heatmap method.

    Returns:
        (path, CSS colour) pairs.
    """
    paths = []
    for level, ring in contours(evidence, method):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in cv2.approxPolyDP(ring, 0.5, True)[:, 0])
        paths.append((f"M{points}Z", "rgb({},{},{})".format(*_ramp()[round(level * 255), :3])))
    return paths


def overlay(
    pixels: np.ndarray,
    evidence: np.ndarray,
    method: Scale,
    *,
    style: str = "colour",
    opacity: float = 0.6,
    boxes: np.ndarray | None = None,
) -> np.ndarray:
    """Draw evidence on a copy of a radiograph.

    Args:
        pixels: uint8 (H, W).
        evidence: float (H, W).
        method: The heatmap method.
        style: "colour" or "contour".
        opacity: That of full colour, 0..1.
        boxes: x, y, width, height in pixels, shape (n, 4), or None.

    Returns:
        Red, green, blue: uint8 (H, W, 3).
    """
    drawn = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    thickness = max(1, round(max(pixels.shape) / 400))
    if style == "colour":
        # In bands of rows: the float32 copies of a whole 31-megapixel radiograph would take a gigabyte.
        step = max(1, _BAND_PIXELS // drawn.shape[1])
        for rows in (slice(top, top + step) for top in range(0, len(drawn), step)):
            layer = colour_layer(evidence[rows], method)
            alpha = layer[..., 3:].astype(np.float32) * (opacity / 255)
            drawn[rows] = np.rint(drawn[rows] * (1 - alpha) + layer[..., :3] * alpha).astype(np.uint8)
    else:
        for level, ring in contours(evidence, method):
            colour = [int(c) for c in _ramp()[round(level * 255), :3]]
            cv2.polylines(drawn, [np.rint(ring).astype(np.int32)], True, colour, thickness, cv2.LINE_AA)
    return outlined(drawn, boxes) if boxes is not None else drawn


def outlined(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Draw boxes on an image.

    Args:
        image: Red, green, blue: uint8 (H, W, 3), which is drawn on.
        boxes: x, y, width, height in pixels, shape (n, 4).

    Returns:
        The same array.
    """
    thickness = max(1, round(max(image.shape) / 400))
    for x, y, w, h in np.asarray(boxes, np.float32).reshape(-1, 4):
        corners = [tuple(round(float(v)) for v in p) for p in ((x, y), (x + w, y + h))]
        cv2.rectangle(image, *corners, BOX_COLOUR, thickness)
    return image


def with_marks(image: np.ndarray, marks: Sequence[tuple[Sequence[float], bool]]) -> np.ndarray:
    """Draw the model's own boxes on an image, in the colour that they have on screen.

    Args:
        image: Red, green, blue: uint8 (H, W, 3), which is drawn on.
        marks: x, y, width, height in pixels, and whether the box is solid; the others are dotted.

    Returns:
        The same array.
    """
    thickness = max(1, round(max(image.shape) / 400))
    for (x, y, w, h), solid in marks:
        left, top, right, bottom = (round(float(n)) for n in (x, y, x + w, y + h))
        if solid:
            cv2.rectangle(image, (left, top), (right, bottom), MARK_COLOUR, thickness)
            continue
        for start, end in (((left, top), (right, top)), ((left, bottom), (right, bottom))):
            _dotted(image, start, end, thickness)
        for start, end in (((left, top), (left, bottom)), ((right, top), (right, bottom))):
            _dotted(image, start, end, thickness)
    return image


def _dotted(image: np.ndarray, start: tuple[int, int], end: tuple[int, int], thickness: int) -> None:
    count = max(2, round(np.hypot(end[0] - start[0], end[1] - start[1]) / (3 * thickness)) + 1)
    for x, y in np.linspace(start, end, count):
        cv2.circle(image, (round(x), round(y)), thickness // 2, MARK_COLOUR, cv2.FILLED)


def thumbnail(pixels: np.ndarray, side: int = 96) -> np.ndarray:
    """Scale a radiograph into a black square.

    Args:
        pixels: uint8 (H, W).
        side: In pixels.

    Returns:
        uint8 (side, side).
    """
    scale = side / max(pixels.shape)
    height, width = (max(1, round(n * scale)) for n in pixels.shape)
    # Averaging every pixel of a large detector costs more than all else about its thumbnail; every n-th will do.
    step = max(1, int(1 / (4 * scale)))
    pixels = np.ascontiguousarray(pixels[::step, ::step])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    square = np.zeros((side, side), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = small
    return square


def to_png(image: np.ndarray) -> bytes:
    """Encode an image as PNG, losslessly, and fast rather than small.

    Args:
        image: uint8 (H, W), (H, W, 3) or (H, W, 4).

    Returns:
        The PNG.

    Raises:
        DrawingError: It cannot be encoded.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise DrawingError("The image could not be encoded.")
    return data.tobytes()


def to_jpeg(image: np.ndarray, quality: int = 85) -> bytes:
    """Encode an image as JPEG; only for thumbnails, never for what is assessed.

    Args:
        image: uint8 (H, W).
        quality: 0..100.

    Returns:
        The JPEG.

    Raises:
        DrawingError: It cannot be encoded.
    """
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise DrawingError("The image could not be encoded.")
    return data.tobytes()


def _reduced(evidence: np.ndarray, longest: int | None) -> np.ndarray:
    return shrink(np.asarray(evidence, np.float32), longest or max(evidence.shape))
