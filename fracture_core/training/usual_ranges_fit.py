"""Learn from the training radiographs what is usual among them, if they are limb radiographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fracture_core.bundle.usual_ranges import UsualRanges, fit_ranges, grey_statistics
from fracture_core.imaging.letterbox import Placement
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.scope import scope_network

#: A network is made for limbs if this share of its training radiographs shows some.
_MOST = 0.8


@dataclass(frozen=True)
class RangesFit:
    """What is usual, over how many radiographs, and which share of them is seen to show limbs."""

    ranges: UsualRanges
    films: int
    limbs: float

    def record(self) -> dict[str, Any]:
        """Return what a bundle keeps of the fit, as plain data.

        Returns:
            Numbers of images, and shares, by name.
        """
        known = scope_network().record
        return {**known, "training_films": self.films, "training_films_in_scope": self.limbs}


def fit_usual_ranges(
    train: Sequence[Path],
    place: Callable[[np.ndarray], tuple[np.ndarray, Placement]],
    *,
    films: int = 700,
    seed: int = 0,
) -> RangesFit | None:
    """Fit the usual ranges of grey values.

    Args:
        train: The training radiographs.
        place: Letterboxes a radiograph for the network, as `Scorer.fit` does.
        films: How many of them to use.
        seed: What the choice of them starts from.

    Returns:
        The ranges; None where the radiographs are none of limbs, so that the question is not to be asked.
    """
    order = np.random.default_rng(seed).permutation(len(train))[:films]
    statistics, limbs = [], []
    for i in sorted(order):
        pixels = read_radiograph(train[i], accept_cut_short=True).pixels
        limbs.append(scope_network().of(pixels).limb >= 0)
        statistics.append(grey_statistics(place(pixels)[0]))
    if not limbs or np.mean(limbs) < _MOST:
        return None
    return RangesFit(fit_ranges(np.stack(statistics)), len(limbs), float(np.mean(limbs)))
