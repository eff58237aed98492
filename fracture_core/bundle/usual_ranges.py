"""Describe how a limb radiograph differs from those the network was validated on, by its grey values alone.

Whether it is a limb radiograph at all is another question (`inference.scope`), and so is whether it differs
(`bundle.out_of_distribution`): this names what differs, for the caution beside the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from fracture_core.errors import FractureCoreError

#: Grey values at or below this, at the edge of a letterboxed image, are its empty border.
_BORDER = 3


class UsualRangesError(FractureCoreError):
    """Ranges of grey statistics that are damaged."""


#: What may differ from the validated radiographs: the statistic, and what too low and too high a value are called.
_NAMED = ((2, "dark", "bright"), (5, "flat", "harsh"), (13, "far", "close"), (7, "blurred", "grainy"))
#: How many grey statistics there are.
STATISTICS = 16
#: Share of the radiographs that lies beyond either end of what is called usual, as quantiles.
_USUAL = (0.01, 0.99)


@dataclass(frozen=True, eq=False)
class UsualRanges:
    """The least and the greatest usual values of `grey_statistics` on the network's own radiographs, (2, 16)."""

    ranges: np.ndarray

    def differences(self, statistics: np.ndarray) -> tuple[str, ...]:
        """Name what lies outside the usual ranges.

        Args:
            statistics: Of one image, float (16,), from `grey_statistics`.

        Returns:
            The names.
        """
        low, high = self.ranges
        names = []
        for index, below, above in _NAMED:
            if statistics[index] < low[index]:
                names.append(below)
            elif statistics[index] > high[index]:
                names.append(above)
        return tuple(names)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return plain float32 arrays, for a safetensors file; `from_arrays` is the inverse.

        Returns:
            The arrays by name.
        """
        return {"scope/ranges": np.ascontiguousarray(self.ranges, np.float32)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> UsualRanges | None:
        """Read what `to_arrays` returned.

        Args:
            arrays: The arrays by name.

        Returns:
            The ranges; None for a bundle without them.

        Raises:
            UsualRangesError: The array is damaged.
        """
        if "scope/ranges" not in arrays:
            return None
        ranges = np.asarray(arrays["scope/ranges"], np.float64)
        if ranges.shape != (2, STATISTICS) or not np.isfinite(ranges).all() or not (ranges[0] <= ranges[1]).all():
            raise UsualRangesError("The usual ranges of grey values in this bundle are damaged.")
        return cls(ranges=ranges)


def fit_ranges(statistics: np.ndarray) -> UsualRanges:
    """Find the usual ranges.

    Args:
        statistics: Of the network's own radiographs, float (n, 16).

    Returns:
        The ranges.
    """
    return UsualRanges(ranges=np.quantile(statistics, _USUAL, axis=0))


def grey_statistics(letterboxed: np.ndarray) -> np.ndarray:
    """Describe the grey values of a letterboxed image, without its empty border.

    Five quantiles, the spread, how much of the image is one grey, the energy of edges at four scales, its similarity to
    its mirror images (left to right, top to bottom), and the mean of its rim, its middle and its corners.

    Args:
        letterboxed: uint8 (S, S).

    Returns:
        float32 (16,).
    """
    image = cv2.resize(_without_border(letterboxed), (96, 96), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    quantiles = np.quantile(image, [0.02, 0.25, 0.5, 0.75, 0.98])
    spread = float(image.std()) + 1e-3
    flat = np.bincount((image * 63).astype(np.int64).ravel(), minlength=64).max() / image.size
    edges, blurred = [], image
    for sigma in (0.7, 1.5, 3.0, 6.0):
        smoother = cv2.GaussianBlur(image, (0, 0), sigma)
        edges.append(float(np.abs(blurred - smoother).mean()) / spread)
        blurred = smoother
    centred = image - image.mean()
    power = float((centred * centred).mean()) + 1e-4
    mirrored = [float((centred * turned).mean()) / power for turned in (centred[:, ::-1], centred[::-1])]
    middle = float(image[24:72, 24:72].mean())
    rim = float(
        np.concatenate([image[:8].ravel(), image[-8:].ravel(), image[:, :8].ravel(), image[:, -8:].ravel()]).mean()
    )
    corners = float(np.mean([image[:16, :16], image[:16, -16:], image[-16:, :16], image[-16:, -16:]]))
    return np.array([*quantiles, spread, flat, *edges, *mirrored, rim, middle, corners], np.float32)


def _without_border(letterboxed: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero(letterboxed.max(axis) > _BORDER) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return letterboxed
    return letterboxed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
