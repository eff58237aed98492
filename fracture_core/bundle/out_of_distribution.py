"""Decide whether an image looks like the radiographs the network was trained on.

The network's features of its training radiographs lie near a low-dimensional subspace; those of a holiday photo or a
page of text do not. Features from the middle of the trunk separate them better than the last ones, which keep little
besides fractures (`benchmarks.out_of_scope`). The score is the squared Mahalanobis distance within the main directions
plus the energy outside them, each divided by its mean over training (Lee et al. 2018; Wang et al. 2022, "ViM").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fracture_core.errors import FractureCoreError

_DIRECTIONS = 96
#: Main directions along which `coordinates` says where a film lies: few, so that they describe and do not identify.
COORDINATES = 6

#: The output of a bundle's network that `appearance` describes; a bundle without it is judged by its embedding.
MIDDLE_MAP = "middle_map"


class FamiliarityError(FractureCoreError):
    """A familiarity model that does not belong to the network, or too few images to fit one."""


@dataclass(frozen=True, eq=False)
class Familiarity:
    """Fitted on training features: `mean` (C,), `directions` (k, C) orthonormal, `variances` (k,), and two scales.

    `threshold` is the score that a small, stated share of val exceeds.
    """

    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    inside_scale: float
    outside_scale: float
    threshold: float

    def unfamiliarity(self, features: np.ndarray) -> np.ndarray:
        """Score features relative to the threshold.

        Args:
            features: float (n, C).

        Returns:
            float64 (n,); above 1 means unlike the training data.
        """
        return self._score(features) / self.threshold

    def coordinates(self, features: np.ndarray) -> np.ndarray:
        """Return where films lie along the first main directions of the training films.

        Args:
            features: float (n, C).

        Returns:
            float64 (n, COORDINATES), in standard deviations of the training films; 0 where there is no such direction.

        Raises:
            FamiliarityError: The features are another network's.
        """
        x = np.atleast_2d(np.asarray(features, np.float64))
        if x.shape[1] != self.mean.shape[0]:
            raise FamiliarityError("The out-of-distribution model of this bundle belongs to another network.")
        count = min(COORDINATES, len(self.variances))
        along = (x - self.mean) @ self.directions[:count].T / np.sqrt(self.variances[:count])
        return np.pad(along, ((0, 0), (0, COORDINATES - count)))

    def monitored(self, features: np.ndarray) -> np.ndarray:
        """Return the numbers by which a log of films shows whether they change.

        Args:
            features: float (n, C).

        Returns:
            float64 (n, 1 + COORDINATES): the distance from the training films, then the coordinates.
        """
        return np.column_stack([self.unfamiliarity(features), self.coordinates(features)])

    def _score(self, features: np.ndarray) -> np.ndarray:
        x = np.atleast_2d(np.asarray(features, np.float64))
        if x.shape[1] != self.mean.shape[0]:
            raise FamiliarityError("The out-of-distribution model of this bundle belongs to another network.")
        x = x - self.mean
        inside = x @ self.directions.T
        outside = (x * x).sum(1) - (inside * inside).sum(1)
        return (inside**2 / self.variances).sum(1) / self.inside_scale + outside / self.outside_scale

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return plain float32 arrays for a safetensors file; `from_arrays` is the inverse.

        Returns:
            The arrays by name.
        """
        scales = np.array([self.inside_scale, self.outside_scale, self.threshold], np.float32)
        arrays = {"mean": self.mean, "directions": self.directions, "variances": self.variances, "scales": scales}
        return {f"familiarity/{name}": np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Familiarity:
        """Read what `to_arrays` returned.

        Args:
            arrays: The arrays by name.

        Returns:
            The model.

        Raises:
            FamiliarityError: The arrays are damaged or belong to another network.
        """
        try:
            names = ("mean", "directions", "variances")
            mean, directions, variances = (np.asarray(arrays[f"familiarity/{n}"], np.float64) for n in names)
            inside, outside, threshold = map(float, arrays["familiarity/scales"])
            model = cls(mean, directions, variances, inside, outside, threshold)
            (channels,), (components,) = model.mean.shape, model.variances.shape
            scales = [*model.variances, model.inside_scale, model.outside_scale, model.threshold]
            if model.directions.shape != (components, channels) or not np.min(scales) > 0:
                raise ValueError("arrays of other shapes, or scales that are not above zero")
        except (KeyError, TypeError, ValueError) as error:
            raise FamiliarityError("The out-of-distribution model of this bundle is damaged.") from error
        return model


def appearance(maps: np.ndarray) -> np.ndarray:
    """Describe maps by the mean and standard deviation of each channel.

    Args:
        maps: float (n, h, w, C).

    Returns:
        float32 (n, 2 C).
    """
    return np.concatenate([maps.mean((1, 2)), maps.std((1, 2))], axis=1, dtype=np.float32)


def fit_familiarity(train: np.ndarray, val: np.ndarray, refused: float = 0.01) -> Familiarity:
    """Fit the model on train; the threshold leaves a share of val outside.

    Args:
        train: Features, float (n, C).
        val: Features, float (m, C).
        refused: The share of val to leave outside, 0..1.

    Returns:
        The model.

    Raises:
        FamiliarityError: There are too few images.
    """
    x = np.asarray(train, np.float64)
    if len(x) < 8:
        raise FamiliarityError("The out-of-distribution model needs at least eight training radiographs.")
    mean = x.mean(0)
    _, singular, directions = np.linalg.svd(x - mean, full_matrices=False)
    k = min(_DIRECTIONS, len(x) // 4, len(singular) - 1)
    # A small ridge: the least of the kept directions are noise, and must not dominate the distance.
    variances = singular[:k] ** 2 / len(x) + 0.05 * (singular[:k] ** 2).mean() / len(x)
    raw = Familiarity(mean, directions[:k], variances, 1.0, np.inf, 1.0)
    inside = raw._score(x).mean()
    outside = max(float((singular[k:] ** 2).sum() / len(x)), 1e-12)
    fitted = Familiarity(mean, directions[:k], variances, float(inside), outside, 1.0)
    threshold = float(np.quantile(fitted._score(val), 1 - refused))
    return Familiarity(mean, directions[:k], variances, float(inside), outside, threshold)
