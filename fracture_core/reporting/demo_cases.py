"""Example radiographs of FracAtlas for the Diagnose page, and their reference labels.

Eight radiographs travel with the program; with FracAtlas on disk there are more. All come from the test split of the
reference study, so no shipped model was trained on one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from fracture_core.bundle.bundle import Bundle
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.imaging.radiograph import Radiograph


@dataclass(frozen=True, eq=False)
class ReferenceLabel:
    """The reference label of an image of FracAtlas.

    Attributes:
        image_id: FracAtlas's name of it.
        fractured: the reference label.
        boxes: float32 (n, 4): x, y, width, height in upright pixels.
        seen_note: a sentence if the model was, or may have been, trained or calibrated on it; "" for a test image.
    """

    image_id: str
    fractured: bool
    boxes: np.ndarray
    seen_note: str

    def summary_text(self) -> str:
        """Describe the reference label in a sentence.

        Returns:
            Such as "Reference label (FracAtlas): fracture, 2 outlines."
        """
        boxes = {0: "nothing outlined", 1: "one fracture outlined"}.get(len(self.boxes), f"{len(self.boxes)} outlines")
        return f"Reference label (FracAtlas): {'fracture' if self.fractured else 'no fracture'}, {boxes}."


@dataclass(frozen=True, eq=False)
class BundledExample:
    """A radiograph that travels with the program: FracAtlas's id, its file, and the reference."""

    image_id: str
    path: Path
    sha256: str
    fractured: bool
    boxes: np.ndarray


def bundled_examples(folder: Path) -> list[BundledExample]:
    """Return the radiographs that `examples.json` lists.

    Args:
        folder: The folder of examples.json.

    Returns:
        The examples.
    """
    listed = json.loads((folder / "examples.json").read_text("utf-8"))
    return [
        BundledExample(
            image_id=entry["image_id"],
            path=folder / entry["file"],
            sha256=entry["sha256"],
            fractured=entry["fractured"],
            boxes=np.asarray(entry["boxes"], np.float32).reshape(-1, 4),
        )
        for entry in listed
    ]


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


def recognise(
    dataset: FracAtlas | None, bundle: Bundle, radiograph: Radiograph, bundled: Sequence[BundledExample] = ()
) -> ReferenceLabel | None:
    """Look up an uploaded file in FracAtlas by its bytes, under any name.

    Args:
        dataset: FracAtlas, if it is installed.
        bundle: The bundle, whose split is reported.
        radiograph: The uploaded file.
        bundled: The examples that ship with the app.

    Returns:
        What FracAtlas records about it; None if it is not one of its images.
    """
    for example in bundled:
        if example.sha256 == radiograph.sha256:
            return ReferenceLabel(
                example.image_id, example.fractured, example.boxes, _seen_note(bundle, example.image_id)
            )
    if dataset is None or (image_id := _identify(dataset, radiograph)) is None:
        return None
    fractured = bool(dataset.table.at[image_id, "label"])
    return ReferenceLabel(image_id, fractured, dataset.boxes(image_id), _seen_note(bundle, image_id))


def _seen_note(bundle: Bundle, image_id: str) -> str:
    texts = {
        "test": "",
        "val": "Calibration image: the thresholds were chosen with this very radiograph. Its answer says little about "
        "new patients.",
    }
    return texts.get(
        bundle.splits.get(image_id, ""),
        "Training image: the model may have learned from this very radiograph. Its answer says nothing about new "
        "patients.",
    )


def _identify(dataset: FracAtlas, radiograph: Radiograph) -> str | None:
    """Return the image with the same bytes; among several the one of the same name."""
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
    by_label: dict[int, list[str]] = {}
    for image_id, path in dataset.table["path"].items():
        by_label.setdefault((dataset.root / path).stat().st_size, []).append(image_id)
    return by_label
