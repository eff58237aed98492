"""Find where the evidence is strongest: the box to look at first."""

from __future__ import annotations

import cv2
import numpy as np

from fracture_core.explain.overlay import CONTOUR_LEVELS, Scale, share_of_full

#: The map is looked at with at most this many pixels along its longer side; evidence is far smoother than that.
_LONGEST = 256


def peak_box(evidence: np.ndarray, method: Scale) -> tuple[float, float, float, float] | None:
    """Return the box round the strongest evidence.

    Args:
        evidence: float (H, W), in the method's units.
        method: one of `explain.heatmap_methods.METHODS`, or the evidence at which colour is full.

    Returns:
        x, y, width, height in the radiograph's pixels: the connected region that holds the peak and reaches half of
        it. None if the peak is weaker than the lowest contour, because then nothing is drawn there either.
    """
    height, width = evidence.shape
    scale = min(1.0, _LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    share = cv2.resize(share_of_full(evidence, method), size, interpolation=cv2.INTER_AREA)
    peak = float(share.max())
    if not peak >= CONTOUR_LEVELS[0]:
        return None
    top, left = np.unravel_index(int(share.argmax()), share.shape)
    _, regions = cv2.connectedComponents((share >= peak / 2).astype(np.uint8))
    rows, columns = np.nonzero(regions == regions[top, left])
    x, y = columns.min() * width / size[0], rows.min() * height / size[1]
    right, bottom = (columns.max() + 1) * width / size[0], (rows.max() + 1) * height / size[1]
    return float(x), float(y), float(right - x), float(bottom - y)
