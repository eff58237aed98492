"""The scale that turns a logit into a probability, and the record of the site whose films another scale came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.metrics.confusion import sigmoid

_LENGTH_OF_A_DIGEST = 64


@dataclass(frozen=True)
class ScoreScale:
    """A score scale: probability = sigmoid(logit / temperature + offset).

    Attributes:
        temperature: Above 0, so that a higher logit is always a higher probability.
        offset: What a site's own share of fractures adds to the log-odds; 0 on a bundle's own scale.
    """

    temperature: float
    offset: float = 0.0

    def probability(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Convert logits to probabilities.

        Args:
            logits: Floats of any shape.

        Returns:
            0..1, of the same shape.
        """
        return np.asarray(sigmoid(np.asarray(logits, np.float64) / self.temperature + self.offset))

    def threshold_from(self, other: ScoreScale, threshold: float) -> float:
        """Convert a threshold from another scale to this one: the same films lie below it.

        Args:
            other: The scale that `threshold` is on.
            threshold: A probability; at or below 0 and above 1, where it decides all films alike, it stays.

        Returns:
            The threshold on this scale.
        """
        if not 0 < threshold < 1:
            return threshold
        logit = (math.log(threshold) - math.log1p(-threshold) - other.offset) * other.temperature
        return float(self.probability(logit))


@dataclass(frozen=True)
class SiteRecord:
    """Whose films an operating point was calibrated on, and what was promised of its group.

    Attributes:
        films: Labelled films in all.
        fractured: How many of them are fractured.
        digest: SHA-256, hex, of the list of films and labels.
        temperature: Of the site's score scale.
        offset: Of the site's score scale.
        share: The fractured share that was asked for, 0..1.
        confidence: The confidence that was asked for, 0..1.
        holds: Whether it can be promised.
        group: Films of the testing part in the point's group.
        group_fractured: How many of those are fractured.
        bound: The one-sided bound of the fractured share at that confidence, 0..1.
    """

    films: int
    fractured: int
    digest: str
    temperature: float
    offset: float
    share: float
    confidence: float
    holds: bool
    group: int
    group_fractured: int
    bound: float

    @property
    def scale(self) -> ScoreScale:
        """The site's score scale."""
        return ScoreScale(self.temperature, self.offset)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SiteRecord:
        """Read a record from plain data.

        Args:
            data: One entry per field; others are ignored.

        Returns:
            The record.

        Raises:
            KeyError: A field is missing.
            TypeError: A field is of another type.
            ValueError: A field is out of range.
        """
        numbers = {field.name: data[field.name] for field in fields(cls) if field.name not in ("digest", "holds")}
        if any(isinstance(n, bool) or not isinstance(n, int | float) or not math.isfinite(n) for n in numbers.values()):
            raise TypeError("a figure of the site is not a number")
        counts = {name: int(numbers[name]) for name in ("films", "fractured", "group", "group_fractured")}
        digest, holds = data["digest"], data["holds"]
        if not isinstance(holds, bool) or not isinstance(digest, str) or len(digest) != _LENGTH_OF_A_DIGEST:
            raise TypeError("the record of the site is not complete")
        if numbers["temperature"] <= 0:
            raise ValueError("a temperature must be above 0")
        return cls(**{**numbers, **counts, "digest": digest, "holds": holds})
