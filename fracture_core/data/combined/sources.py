"""Where the radiographs of a run are, as it was asked for; nothing here opens them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from fracture_core.paths import expand_user_path


@dataclass(frozen=True)
class Sources:
    """Which radiographs a run is trained on.

    Attributes:
        dataset: A folder, a csv or a COCO file; None for FracAtlas where it is usually found.
        site: A site's own films to train on together with FracAtlas, or None.
        site_weight: How much one of these counts, relative to a radiograph of FracAtlas; None for the default.
    """

    dataset: str | None = None
    site: str | None = None
    site_weight: float | None = None

    @classmethod
    def of(cls, given: Sources | str | os.PathLike[str] | None) -> Sources:
        """Return what was given with absolute paths, because a run's process works in another folder.

        Args:
            given: The sources, or the path of a dataset; None for FracAtlas.

        Returns:
            The sources.
        """
        sources = given if isinstance(given, Sources) else cls(None if given is None else str(given))
        dataset, site = (
            None if path is None else str(expand_user_path(path).resolve()) for path in (sources.dataset, sources.site)
        )
        return cls(dataset, site, sources.site_weight)
