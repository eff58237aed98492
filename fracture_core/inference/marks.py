"""Regions that look fractured, as boxes: dotted from the sensitive level on, solid from the specific one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fracture_core.explain.boxes import regions

#: Longest side, in pixels, of the map that boxes are found in; evidence is smooth.
MAP_SIDE = 512


@dataclass(frozen=True)
class Mark:
    """A region that looks fractured: x, y, width, height in the radiograph's pixels, and whether it surely does."""

    box: tuple[float, ...]
    solid: bool


def marked(evidence: np.ndarray, shape: tuple[int, ...], levels: tuple[float, float], *, likely: bool) -> list[Mark]:
    """Find the regions that look fractured.

    Args:
        evidence: The map that boxes are found in, float32 (h, w), its longer side at most `MAP_SIDE`.
        shape: (H, W) of the radiograph, in pixels.
        levels: The sensitive and the specific level of evidence.
        likely: Whether the answer is that a fracture is likely; solid boxes need it.

    Returns:
        The regions, the strongest first, in the radiograph's pixels.
    """
    dotted, solid = levels
    scale = max(1.0, max(shape) / MAP_SIDE)
    areas = regions(evidence, dotted)
    return [Mark(box=tuple(scale * n for n in area.box), solid=likely and area.score >= solid) for area in areas]
