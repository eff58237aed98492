"""FracAtlas for the Diagnose page: example radiographs, and the reference label of an uploaded one.

Examples come from the test split, so the model was not trained on them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fracture_core.bundle.bundle import Bundle
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.imaging.radiograph import Radiograph


@dataclass(frozen=True, eq=False)
class ReferenceLabel:
    """What FracAtlas records about one of its images; `boxes` float32 (n, 4) x, y, width, height in upright pixels."""

    image_id: str
    fractured: bool
    boxes: np.ndarray
    split: str

    def summary_text(self) -> str:
        """Return the reference label in a sentence."""
        label = f"fracture, {len(self.boxes)} outlined" if self.fractured else "no fracture"
        return f"Reference label (FracAtlas): {label}. {self.split}"


def examples(bundle: Bundle, n: int = 8, seed: int = 0) -> list[str]:
    """Draw images from the test split, half of them fractured (rounded down), in random order.

    Args:
        bundle: The bundle whose test split to use.
        n: How many.
        seed: Seed of the random generator.

    Returns:
        Image ids.
    """
    rng = np.random.default_rng(seed)
    test = bundle.predictions().query("split == 'test'")
    chosen: list[str] = []
    for label, count in ((1, n // 2), (0, n - n // 2)):
        ids = test.loc[test["label"] == label, "image_id"].to_numpy()
        chosen += rng.choice(ids, min(count, len(ids)), replace=False).tolist()
    return [chosen[i] for i in rng.permutation(len(chosen))]


def recognise(dataset: FracAtlas, bundle: Bundle, radiograph: Radiograph) -> ReferenceLabel | None:
    """Look up an uploaded file in FracAtlas by its bytes, under any name.

    Args:
        dataset: FracAtlas.
        bundle: The bundle, whose split is reported.
        radiograph: The uploaded file.

    Returns:
        What FracAtlas records about it; None if it is not one of its images.
    """
    image_id = _identify(dataset, radiograph)
    if image_id is None:
        return None
    seen = bundle.predictions().set_index("image_id")["split"].get(image_id)
    notes = {
        "test": "Test image: not used in training.",
        "val": "Validation image: used to choose thresholds.",
    }
    note = notes.get(seen, "Neither a test nor a validation image: the model may have been trained on it.")
    return ReferenceLabel(image_id, bool(dataset.table.at[image_id, "label"]), dataset.boxes(image_id), note)


def _identify(dataset: FracAtlas, radiograph: Radiograph) -> str | None:
    """Return the image with the same bytes; among several the one of the same name."""
    named = radiograph.name.rpartition(".")[0]
    if named in dataset.table.index and _same(dataset, named, radiograph):
        return named
    candidates = _by_length(dataset).get(radiograph.length, ())
    return next((image_id for image_id in candidates if _same(dataset, image_id, radiograph)), None)


def _same(dataset: FracAtlas, image_id: str, radiograph: Radiograph) -> bool:
    return hashlib.sha256(dataset.path(image_id).read_bytes()).hexdigest() == radiograph.sha256


@lru_cache(maxsize=2)
def _by_length(dataset: FracAtlas) -> dict[int, list[str]]:
    # Hashing every file would take seconds; only the few of the same length have to be read.
    ids: dict[int, list[str]] = {}
    for image_id, path in dataset.table["path"].items():
        ids.setdefault((dataset.root / path).stat().st_size, []).append(image_id)
    return ids
