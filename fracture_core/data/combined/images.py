"""Decoded images of several datasets, used as one: each dataset keeps a cache of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fracture_core.data.combined.dataset import CombinedDataset, is_site
from fracture_core.data.dataset import Dataset
from fracture_core.data.image_cache import ImageCache, load_image_cache
from fracture_core.imaging.letterbox import Placement


@dataclass(frozen=True)
class JoinedImages:
    """The images of several caches, by image id; an id is in one of them only."""

    caches: tuple[ImageCache, ...]

    @cached_property
    def _home(self) -> Mapping[str, ImageCache]:
        return {image_id: cache for cache in self.caches for image_id in cache.rows}

    def square(self, image_id: str) -> np.ndarray:
        """Return the letterboxed image.

        Args:
            image_id: The image.

        Returns:
            uint8 (size, size).
        """
        return self._home[image_id].square(image_id)

    def placement(self, image_id: str) -> Placement:
        """Return where the radiograph lies in its square.

        Args:
            image_id: The image.

        Returns:
            The placement.
        """
        return self._home[image_id].placement(image_id)

    def take(self, ids: Sequence[str]) -> np.ndarray:
        """Return several letterboxed images.

        Args:
            ids: The images.

        Returns:
            uint8 (n, size, size), in the order of the ids.
        """
        side = self.caches[0].squares.shape[1]
        taken = np.empty((len(ids), side, side), np.uint8)
        for row, image_id in enumerate(ids):
            taken[row] = self.square(image_id)
        return taken


def load_images(
    dataset: Dataset,
    size: int,
    *,
    crop_to_field: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImageCache | JoinedImages:
    """Decode and letterbox all images of a dataset, or map the files that an earlier call left.

    FracAtlas is decoded once, whatever site's films it is combined with.

    Args:
        dataset: The dataset.
        size: Side of the letterboxed images, in pixels.
        crop_to_field: Whether only the exposed field is letterboxed.
        progress: Called now and then with (done, total) files of each part.

    Returns:
        The images.

    Raises:
        UnreadableRadiograph: A file is not a radiograph.
    """
    paths = {image_id: dataset.path(image_id) for image_id in dataset.table.index}
    if not isinstance(dataset, CombinedDataset):
        return load_image_cache(paths, size, crop_to_field=crop_to_field, progress=progress)
    parts = ({i: path for i, path in paths.items() if is_site(i) == ours} for ours in (False, True))
    return JoinedImages(
        tuple(load_image_cache(part, size, crop_to_field=crop_to_field, progress=progress) for part in parts)
    )
