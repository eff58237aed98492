"""FracAtlas beside a diagnosis: examples to click, and what the dataset itself says of a picture.

Examples come from the test split, so none was trained on.
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
class Truth:
    """What FracAtlas says of one of its images; `boxes` float32 (n, 4) x, y, width, height in upright pixels."""

    image_id: str
    fractured: bool
    boxes: np.ndarray
    split: str

    def describe(self) -> str:
        """Say it in a sentence."""
        boxes = {0: "nothing outlined", 1: "one fracture outlined"}.get(len(self.boxes), f"{len(self.boxes)} outlines")
        return f"FracAtlas says: {'fractured' if self.fractured else 'not fractured'}, {boxes}. {self.split}"


def examples(bundle: Bundle, n: int = 8, seed: int = 0) -> list[str]:
    """Give `n` image ids of the test split, half of them fractured (rounded down), in an order that tells nothing."""
    rng = np.random.default_rng(seed)
    test = bundle.predictions().query("split == 'test'")
    chosen: list[str] = []
    for label, count in ((1, n // 2), (0, n - n // 2)):
        ids = test.loc[test["label"] == label, "image_id"].to_numpy()
        chosen += rng.choice(ids, min(count, len(ids)), replace=False).tolist()
    return [chosen[i] for i in rng.permutation(len(chosen))]


def recognise(dataset: FracAtlas, bundle: Bundle, radiograph: Radiograph) -> Truth | None:
    """Give what FracAtlas says where the file is, byte for byte, one of its images, under any name; else None."""
    image_id = _identify(dataset, radiograph)
    if image_id is None:
        return None
    seen = bundle.predictions().set_index("image_id")["split"].get(image_id)
    notes = {
        "test": "It is a test image: the model never saw it.",
        "val": "It is a validation image: thresholds were chosen with it.",
    }
    note = notes.get(seen, "It is neither a test nor a validation image: the model may have been trained on it.")
    return Truth(image_id, bool(dataset.table.at[image_id, "label"]), dataset.boxes(image_id), note)


def _identify(dataset: FracAtlas, radiograph: Radiograph) -> str | None:
    """The image whose file has these very bytes; among files alike to the byte the one of the same name."""
    named = radiograph.name.rpartition(".")[0]
    if named in dataset.table.index and _same(dataset, named, radiograph):
        return named
    alike = _by_length(dataset).get(radiograph.length, ())
    return next((image_id for image_id in alike if _same(dataset, image_id, radiograph)), None)


def _same(dataset: FracAtlas, image_id: str, radiograph: Radiograph) -> bool:
    return hashlib.sha256(dataset.path(image_id).read_bytes()).hexdigest() == radiograph.sha256


@lru_cache(maxsize=2)
def _by_length(dataset: FracAtlas) -> dict[int, list[str]]:
    # Hashing every file would take seconds; few share a length, and only those have to be read.
    found: dict[int, list[str]] = {}
    for image_id, path in dataset.table["path"].items():
        found.setdefault((dataset.root / path).stat().st_size, []).append(image_id)
    return found
