"""The evidence at which a bundle's heatmaps have full colour and its boxes are drawn, chosen on validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fracture_core.errors import FractureCoreError


class DisplayLevelsError(FractureCoreError):
    """Levels that are damaged."""


@dataclass(frozen=True)
class DisplayLevels:
    """`full_colour` by heatmap method, in its own units, and `boxes`: (dotted, solid) levels, None without boxes."""

    full_colour: Mapping[str, float]
    boxes: tuple[float, float] | None

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the levels as arrays for a safetensors file; `from_arrays` is the inverse.

        Returns:
            float32 arrays by name.
        """
        arrays = {f"full_colour/{name}": np.array([level], np.float32) for name, level in self.full_colour.items()}
        return arrays if self.boxes is None else arrays | {"box_levels": np.array(self.boxes, np.float32)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> DisplayLevels:
        """Read what `to_arrays` returned.

        Args:
            arrays: The arrays by name.

        Returns:
            The levels; empty for a bundle without any.

        Raises:
            DisplayLevelsError: The arrays are damaged.
        """
        prefix = "full_colour/"
        levels = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
        boxes = np.asarray(arrays.get("box_levels", np.ones(2)), np.float64)
        sound = all(level.shape == (1,) and np.isfinite(level).all() and level[0] > 0 for level in levels.values())
        if not sound or boxes.shape != (2,) or not np.isfinite(boxes).all() or not 0 < boxes[0] <= boxes[1]:
            raise DisplayLevelsError("The display levels of this bundle are damaged.")
        return cls(
            full_colour={name: float(level[0]) for name, level in levels.items()},
            boxes=(float(boxes[0]), float(boxes[1])) if "box_levels" in arrays else None,
        )
