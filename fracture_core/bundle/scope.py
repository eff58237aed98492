"""Is an image a limb radiograph at all? A logistic regression on the network's own features, and on the grey values.

It is fitted by `training.scope_fit` and judges before anything else does: what is no limb radiograph gets no answer.
Whether a limb radiograph also looks like those that the network was validated on is another question
(`bundle.out_of_distribution`), with another consequence: a caution beside the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from fracture_core.errors import FractureCoreError

#: Grey values at or below this, at the edge of a letterboxed image, are its empty border.
_BORDER = 3


class ScopeError(FractureCoreError):
    """A scope model that is damaged, or that belongs to another network."""


#: Standardised features count no more than this: an image unlike any must not win by one wild feature.
_CLIP = 6.0
#: What may differ from the validated radiographs: the statistic, and what too low and too high a value are called.
_NAMED = ((2, "dark", "bright"), (5, "flat", "harsh"), (13, "far", "close"), (7, "blurred", "grainy"))
#: How many grey statistics there are, the last of the features.
STATISTICS = 16
#: The outputs that images are judged by.
TRUNK = ("middle_map", "last_map")


@dataclass(frozen=True, eq=False)
class ScopeModel:
    """A logistic regression on standardised features, clipped at six deviations; in scope from `threshold` on.

    `mean`, `scale` and `weights` are (F,).

    `ranges` (2, 16) are the least and the greatest usual values of `grey_statistics` on the validated radiographs.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: float
    threshold: float
    ranges: np.ndarray

    def margin(self, features: np.ndarray) -> np.ndarray:
        """Return how clearly images are limb radiographs.

        Args:
            features: float (n, F), from `scope_features`.

        Returns:
            float64 (n,), less the threshold: below 0 is out of scope.

        Raises:
            ScopeError: The features are another network's.
        """
        x = np.atleast_2d(np.asarray(features, np.float64))
        if x.shape[1] != len(self.weights):
            raise ScopeError("The scope model of this bundle belongs to another network.")
        return np.clip((x - self.mean) / self.scale, -_CLIP, _CLIP) @ self.weights + self.bias - self.threshold

    def differences(self, features: np.ndarray) -> tuple[str, ...]:
        """Name what lies outside the usual range of the validated radiographs.

        Args:
            features: Of one image, float (F,).

        Returns:
            The names.
        """
        statistics = np.asarray(features, np.float64)[-STATISTICS:]
        low, high = self.ranges
        names = []
        for index, below, above in _NAMED:
            if statistics[index] < low[index]:
                names.append(below)
            elif statistics[index] > high[index]:
                names.append(above)
        return tuple(names)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the model as arrays for a safetensors file; `from_arrays` is the inverse.

        Returns:
            float32 arrays by name, each of which begins with "scope/".
        """
        arrays = {
            "features": np.stack([self.mean, self.scale, self.weights]),
            "levels": np.array([self.bias, self.threshold]),
            "ranges": self.ranges,
        }
        return {f"scope/{name}": np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ScopeModel | None:
        """Read what `to_arrays` returned.

        Args:
            arrays: The arrays by name.

        Returns:
            The model; None for a bundle without one.

        Raises:
            ScopeError: The arrays are damaged.
        """
        if "scope/features" not in arrays:
            return None
        parts = [
            np.asarray(arrays.get(f"scope/{n}", np.empty(0)), np.float64) for n in ("features", "levels", "ranges")
        ]
        features, levels, ranges = parts
        shapes = features.ndim == 2 and len(features) == 3 and levels.shape == (2,) and ranges.shape == (2, STATISTICS)
        finite = all(np.isfinite(part).all() for part in parts)
        if not shapes or features.shape[1] <= STATISTICS or not finite or not (features[1] > 0).all():
            raise ScopeError("The scope model of this bundle is damaged.")
        mean, scale, weights = features
        return cls(
            mean=mean, scale=scale, weights=weights, bias=float(levels[0]), threshold=float(levels[1]), ranges=ranges
        )


def scope_features(outputs: Mapping[str, np.ndarray], letterboxed: np.ndarray) -> np.ndarray:
    """Describe images by maps of the network's trunk and by simple statistics of their grey values.

    Args:
        outputs: The network's outputs for the images, of which those of `TRUNK` that exist are used: maps float32
            (n, h, w, C).
        letterboxed: The images, uint8 (n, S, S).

    Returns:
        float32 (n, F): the mean and the deviation of every channel, its mean in the middle of the image over that at
        its rim, then `grey_statistics`.
    """
    parts = []
    for values in (outputs[name] for name in TRUNK if name in outputs):
        mean = values.mean((1, 2))
        height, width = values.shape[1:3]
        middle = values[:, height // 4 : height - height // 4, width // 4 : width - width // 4].mean((1, 2))
        parts += [mean, values.std((1, 2)), middle - mean]
    statistics = np.stack([grey_statistics(image) for image in letterboxed])
    return np.concatenate([*parts, statistics], axis=1, dtype=np.float32)


def feature_count(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return the length of `scope_features` for a network.

    Args:
        shapes: (h, w, C) of its outputs, by name.

    Returns:
        The length.
    """
    return 3 * sum(shapes[name][-1] for name in TRUNK if name in shapes) + STATISTICS


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
