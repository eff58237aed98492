"""DICOM's grey scale: stored values through the modality LUT, the chosen window and the photometric sense.

Stored values have at most 16 bits, so the whole chain is one table of 65,536 greys, computed in float64 and looked
up once. Formulas: DICOM PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT), C.7.6.3.1.2 (photometric interpretation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fracture_core.imaging.greyscale import histogram, look_up, percentile_window, to_grey
from fracture_core.imaging.limits import UnreadableRadiograph

#: Share of the range of greys in which nothing can be told apart on a screen.
_DARK = 0.12


class VoiTransform(Protocol):
    """A way of looking at modality values: a name, and a mapping of them to 0..1."""

    @property
    def name(self) -> str:
        """What the file calls it, or what it does."""

    def levels(self, values: np.ndarray) -> np.ndarray:
        """Map modality values to display levels.

        Args:
            values: float64, any shape.

        Returns:
            float64 in the same shape, 0 to 1.
        """


@dataclass(frozen=True)
class Window:
    """A window's centre and width, in modality values; `function` is LINEAR, LINEAR_EXACT or SIGMOID."""

    centre: float
    width: float
    function: str = "LINEAR"
    name: str = ""

    @property
    def usable(self) -> bool:
        """Whether the window means something: finite, and as wide as its function asks."""
        least = 1 if self.function == "LINEAR" else 0
        sound = math.isfinite(self.centre) and math.isfinite(self.width)
        return sound and self.width >= least and self.width > 0

    def levels(self, values: np.ndarray) -> np.ndarray:
        """Map modality values to display levels (PS3.3 C.11.2.1.2 and C.11.2.1.3).

        Args:
            values: float64, any shape.

        Returns:
            float64 in the same shape, 0 to 1.
        """
        if self.function == "SIGMOID":
            with np.errstate(over="ignore"):
                return 1 / (1 + np.exp(-4 * (values - self.centre) / self.width))
        if self.function == "LINEAR_EXACT":
            return np.clip((values - self.centre) / self.width + 0.5, 0, 1)
        if self.width == 1:
            return (values > self.centre - 0.5).astype(np.float64)
        return np.clip((values - (self.centre - 0.5)) / (self.width - 1) + 0.5, 0, 1)


@dataclass(frozen=True, eq=False)
class Lut:
    """A table from modality (or stored) values to output: `first` is the value that the first entry stands for."""

    entries: np.ndarray
    first: int
    bits: int
    name: str = ""

    def output(self, values: np.ndarray) -> np.ndarray:
        """Look values up; those outside the table get its first or last entry (PS3.3 C.11.1.1).

        Args:
            values: Any shape; rounded to integers.

        Returns:
            The entries, float64 in the same shape.
        """
        places = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1).astype(np.intp)
        return self.entries[places].astype(np.float64)

    def levels(self, values: np.ndarray) -> np.ndarray:
        """Look values up and scale the output to display levels.

        Args:
            values: Any shape.

        Returns:
            float64 in the same shape, 0 to 1.
        """
        top = max((1 << self.bits) - 1, int(self.entries.max()))
        return self.output(values) / top


@dataclass(frozen=True, eq=False)
class GreyScale:
    """How a DICOM file wants its stored values shown.

    `bits` and `signed` describe stored values; `padding` is the range of those that are no image; `modality` is a
    table or None, then `slope` and `intercept` count; `choices` are the ways of looking that the file offers.
    """

    bits: int
    signed: bool
    inverted: bool
    slope: float = 1.0
    intercept: float = 0.0
    modality: Lut | None = None
    choices: Sequence[VoiTransform] = ()
    padding: tuple[int, int] | None = None

    @property
    def lowest(self) -> int:
        """The lowest value that can be stored."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    def show(
        self, stored: np.ndarray, choice: int, present: np.ndarray | None = None
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Show stored values as grey.

        Args:
            stored: Integers (H, W).
            choice: Which of the choices, from 0.
            present: bool (H,), the rows that the file holds; the others, like padding, are left out of an estimated
                window. All where None.

        Returns:
            uint8 (H, W), and warnings about how it is shown.

        Raises:
            UnreadableRadiograph: `choice` is none of the choices.
        """
        places = self._places(stored)
        values = np.arange(1 << self.bits, dtype=np.float64) + self.lowest
        padding = self._is_padding(values)
        # An absurd slope or intercept overflows; what is then not finite is caught below.
        with np.errstate(all="ignore"):
            values = self.modality.output(values) if self.modality else values * self.slope + self.intercept
        if not np.isfinite(values).all():
            raise UnreadableRadiograph("The DICOM file is damaged: its rescale values are out of range.")
        counts = histogram(places if present is None or present.all() else places[present])[: 1 << self.bits]
        counts[padding] = 0
        warnings: list[str] = []
        voi = self._chosen(choice)
        if voi is None:
            levels = _estimated(values, counts).levels(values)
            warnings.append("The file gives no usable window; grey levels were scaled to the values of the image.")
        else:
            levels = np.clip(voi.levels(values), 0, 1)
            warnings += _clipping(levels, counts, single=len(self.choices) <= 1)
        if self.inverted:
            levels = 1 - levels
        levels[padding] = 0
        table = np.zeros(65_536, np.uint8)
        table[: levels.size] = to_grey(levels)
        return look_up(table, places), tuple(warnings)

    def _places(self, stored: np.ndarray) -> np.ndarray:
        """Where each stored value stands in the table: uint16; what lossy coding pushed out of range is held."""
        low, high = self.lowest, self.lowest + (1 << self.bits) - 1
        limits = np.iinfo(stored.dtype)
        if limits.min < low or limits.max > high:
            stored = np.clip(stored, max(low, limits.min), min(high, limits.max))
        if low == 0:
            return stored.astype(np.uint16, copy=False)
        return (stored.astype(np.int32) - low).astype(np.uint16)

    def _is_padding(self, values: np.ndarray) -> np.ndarray:
        if self.padding is None:
            return np.zeros(values.size, bool)
        return (values >= min(self.padding)) & (values <= max(self.padding))

    def _chosen(self, choice: int) -> VoiTransform | None:
        if not self.choices and choice == 0:
            return None
        if not 0 <= choice < len(self.choices):
            offered = f"{len(self.choices)} window{'s' if len(self.choices) != 1 else ''}"
            raise UnreadableRadiograph(f"There is no window {choice + 1} in this file; it offers {offered}.")
        return self.choices[choice]


def _estimated(values: np.ndarray, counts: np.ndarray) -> Window:
    """Return a window over the values that the image uses, without 0.1 % at either end."""
    if not counts.any():
        return Window(float(values[0]), 1.0, "LINEAR_EXACT")
    low, high = (float(values[place]) for place in percentile_window(counts))
    low, high = min(low, high), max(low, high)
    return Window((low + high) / 2, max(high - low, 1e-9), "LINEAR_EXACT")


def _clipping(levels: np.ndarray, counts: np.ndarray, *, single: bool) -> list[str]:
    total = counts.sum()
    clipped = max(counts[levels <= 0].sum(), counts[levels >= 1].sum())
    flat = max(counts[levels < _DARK].sum(), counts[levels > 1 - _DARK].sum())
    if not total or (clipped < 0.9 * total and flat < 0.995 * total) or (counts > 0).sum() < 16:
        return []
    advice = "" if single else " Try another of its windows."
    return [f"The window that the file asks for shows nearly all of the image black or white.{advice}"]
