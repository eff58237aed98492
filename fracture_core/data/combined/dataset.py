"""FracAtlas and a site's own films as one dataset to train on, with the weight of each stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fracture_core.data.fracatlas import DatasetError, FracAtlas
from fracture_core.data.user_dataset import OwnDataset

#: What the ids of a site's films begin with here. FracAtlas's ids hold no slash, so the two cannot collide.
SITE = "site/"
#: By default the site's films make up this share of the training weight, within what one film may count.
DEFAULT_SHARE = 0.25
#: How much one of a site's films counts by default: no less than one of FracAtlas, and not so much that few dominate.
_LEAST_DEFAULT, _MOST_DEFAULT = 1.0, 4.0
#: The weights that a user may state.
WEIGHTS = (0.1, 20.0)


class CombinedDataset:
    """FracAtlas and a site's own films, with the interface of either.

    `table` has the rows of both, FracAtlas's first, indexed by ids that are unique across the two: FracAtlas's as they
    are, the site's with SITE in front. A column that only one of them has is not a number (or "") for the other.

    Args:
        fracatlas: FracAtlas.
        site: The site's films.
        site_weight: How many times as much as a radiograph of FracAtlas one of the site's counts in training; None
            for `default_weight`.

    Raises:
        DatasetError: The weight is outside WEIGHTS.
    """

    def __init__(self, fracatlas: FracAtlas, site: OwnDataset, site_weight: float | None = None) -> None:
        self.fracatlas, self.site = fracatlas, site
        self.name = f"{fracatlas.name} and {site.name}"
        weight = default_weight(len(fracatlas), len(site)) if site_weight is None else float(site_weight)
        if not WEIGHTS[0] <= weight <= WEIGHTS[1]:
            raise DatasetError(f"A site's film may count {WEIGHTS[0]:g} to {WEIGHTS[1]:g} times, not {weight:g}.")
        self.site_weight = weight
        self.table = pd.concat([fracatlas.table, site.table.rename(index=lambda image_id: f"{SITE}{image_id}")])
        for column in ("split", "patient", "conflict"):
            if column in self.table:
                self.table[column] = self.table[column].fillna("")
        self.sources: list[Path] = [*fracatlas.sources, *site.sources]
        self.conflicts: list[str] = [*fracatlas.conflicts, *(f"{SITE}{words}" for words in site.conflicts)]
        self.unreadable: Mapping[str, str] = {f"{SITE}{i}": why for i, why in site.unreadable.items()}

    def __len__(self) -> int:
        return len(self.table)

    def path(self, image_id: str) -> Path:
        """Return the image's file.

        Args:
            image_id: The image.

        Returns:
            The path.
        """
        dataset, own_id = self._home(image_id)
        return dataset.path(own_id)

    def boxes(self, image_id: str) -> np.ndarray:
        """Return the image's boxes.

        Args:
            image_id: The image.

        Returns:
            float32 (n, 4): x, y, width, height in pixels of the upright image; (0, 4) where none is known.
        """
        dataset, own_id = self._home(image_id)
        return dataset.boxes(own_id)

    def outlined(self, image_id: str) -> bool:
        """Return whether it is known where the image's fractures are: outlined, or there is none.

        Args:
            image_id: The image.

        Returns:
            Whether it is.
        """
        dataset, own_id = self._home(image_id)
        return dataset.outlined(own_id)

    def with_weight(self, site_weight: float) -> CombinedDataset:
        """Return the same films with another weight.

        Args:
            site_weight: The weight of a site's film.

        Returns:
            The dataset.

        Raises:
            DatasetError: The weight is outside WEIGHTS.
        """
        return CombinedDataset(self.fracatlas, self.site, site_weight)

    def weights(self, ids: Sequence[str]) -> np.ndarray:
        """Compute how much each image counts in training.

        Args:
            ids: Images.

        Returns:
            float32 (n,), mean 1.
        """
        raw = np.array([self.site_weight if is_site(image_id) else 1.0 for image_id in ids])
        return (raw / raw.mean()).astype(np.float32)

    def site_share(self, ids: Sequence[str]) -> float:
        """Return the share of the training weight that the site's films have.

        Args:
            ids: The images that are trained on.

        Returns:
            0..1.
        """
        of_site = np.array([is_site(image_id) for image_id in ids])
        return float(self.weights(ids)[of_site].sum() / len(ids)) if len(ids) else 0.0

    def summary_text(self) -> str:
        """Say what was found.

        Returns:
            A few sentences.
        """
        fractured = int(self.fracatlas.table["label"].sum())
        return (
            f"{self.fracatlas.name}: {len(self.fracatlas)} radiographs, {fractured} fractured. "
            f"{self.site.summary_text()} Each of the site's films counts {self.site_weight:.3g} times."
        )

    def _home(self, image_id: str) -> tuple[FracAtlas | OwnDataset, str]:
        if image_id not in self.table.index:
            raise DatasetError(f"{image_id} is not in {self.name}.")
        return (self.site, image_id.removeprefix(SITE)) if is_site(image_id) else (self.fracatlas, image_id)


def is_site(image_id: str) -> bool:
    """Return whether an id of a combined dataset is that of a site's film.

    Args:
        image_id: The id.

    Returns:
        Whether it is.
    """
    return image_id.startswith(SITE)


def default_weight(fracatlas: int, site: int) -> float:
    """Return how much one of a site's films counts unless the user says otherwise.

    The site's films together make up DEFAULT_SHARE of the training weight, but one counts at least as much as one of
    FracAtlas, so that a large set is not held back, and at most four times as much, so that a small one is not learned
    by heart.

    Args:
        fracatlas: Radiographs of FracAtlas.
        site: Films of the site.

    Returns:
        The weight, relative to a radiograph of FracAtlas.
    """
    wanted = fracatlas / max(site, 1) * DEFAULT_SHARE / (1 - DEFAULT_SHARE)
    return round(float(np.clip(wanted, _LEAST_DEFAULT, _MOST_DEFAULT)), 2)
