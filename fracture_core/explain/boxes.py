"""Boxes drawn from a map of evidence: each region that stands out, with the strength of its evidence."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

#: The heatmap that boxes are drawn from: its units, nats, say how surely a region lies on a fracture.
BOXES_FROM = "localiser"
#: The least evidence of a region that is recorded with a bundle's predictions, in nats.
LEAST_EVIDENCE = 0.01
#: A box encloses what reaches this share of its region's strongest evidence (chosen on validation).
_EDGE = 0.55
#: Weaker regions beyond this number are not told: so many at once point nowhere.
_MOST = 8
#: Longer side, in pixels, of the map that regions are looked for in; evidence is smooth.
_LONGEST = 512


@dataclass(frozen=True)
class Region:
    """A box in pixels of the radiograph, and the strongest evidence in it, in the map's units."""

    x: float
    y: float
    width: float
    height: float
    score: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, width and height."""
        return self.x, self.y, self.width, self.height


def regions(evidence: np.ndarray, level: float) -> list[Region]:
    """Find the regions where evidence reaches a level.

    Args:
        evidence: float (H, W), over the radiograph.
        level: The least evidence of a region, above 0, in the map's units.

    Returns:
        At most eight regions, the strongest first. Each is a connected part of the map above `level`; its box encloses
        what of that part reaches a little over half of its own strongest evidence.
    """
    height, width = evidence.shape
    shrunk = min(1.0, _LONGEST / max(height, width))
    size = max(1, round(width * shrunk)), max(1, round(height * shrunk))
    small = np.asarray(evidence, np.float32)
    if shrunk < 1:
        small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    count, labels, extents, _ = cv2.connectedComponentsWithStats((small >= level).astype(np.uint8), connectivity=8)
    across, down = width / size[0], height / size[1]
    marks = []
    for number in range(1, count):
        left, top, wide, high, _ = extents[number].tolist()
        part = np.where(
            labels[top : top + high, left : left + wide] == number, small[top : top + high, left : left + wide], 0
        )
        peak = float(part.max())
        rows, columns = (np.flatnonzero((part >= _EDGE * peak).any(axis)) for axis in (1, 0))
        x, y = left + int(columns[0]), top + int(rows[0])
        w, h = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
        marks.append(Region(x=x * across, y=y * down, width=w * across, height=h * down, score=peak))
    return sorted(marks, key=lambda region: -region.score)[:_MOST]
