"""List what a bundle gets wrong, the largest error first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fracture_core.data.thumbnails import ThumbnailStore, to_jpeg
from fracture_core.explain.overlay import overlay
from fracture_core.files import file_stamp
from fracture_core.imaging.letterbox import shrink
from fracture_core.imaging.radiograph import read_radiograph

if TYPE_CHECKING:
    from fracture_core.inference.predictor import Predictor
    from fracture_core.metrics.operating_points import OperatingPoint

MISSES, FALSE_ALARMS = "Missed fractures", "False positives"
WORST_FIRST, NEAREST_FIRST = "Largest error first", "Nearest to the threshold first"
_VERSION = 1


@dataclass(frozen=True)
class Mistakes:
    """Image ids of one kind of mistake, in order, of `of` images that could have been one.

    `indeterminate` counts the fractures between the two thresholds, which neither are found nor classed as unlikely; it
    is 0 for false positives, which need the upper threshold.
    """

    ids: tuple[str, ...]
    of: int
    indeterminate: int = 0
    kind: str = MISSES

    @property
    def sentence(self) -> str:
        """How many there are, in words; Markdown."""
        asked = (
            "fractures classed as unlikely" if self.kind == MISSES else "images without a fracture classed as likely"
        )
        rest = f"; {self.indeterminate} more are indeterminate, which the matrix counts as missed"
        return f"**{len(self.ids)}** of {self.of} {asked}{rest if self.indeterminate else ''}."


def mistakes(
    table: pd.DataFrame,
    kind: str,
    rule_out: OperatingPoint,
    rule_in: OperatingPoint,
    *,
    split: str = "test",
    order: str = WORST_FIRST,
) -> Mistakes:
    """List what a model gets clearly wrong.

    MISSES are fractures below the threshold of `rule_out`, FALSE_ALARMS images without a fracture at or above that of
    `rule_in`; what lies between is indeterminate and not an error. The size of an error is how far the probability is
    on the wrong side.

    Args:
        table: A catalogue with predictions.
        kind: MISSES or FALSE_ALARMS.
        rule_out: The lower operating point.
        rule_in: The upper operating point.
        split: The split to list.
        order: One of the orders.

    Returns:
        The images and how many there are.
    """
    wanted = int(kind == MISSES)
    asked = table[(table["split"] == split) & (table["label"] == wanted) & table["probability"].notna()]
    if kind == MISSES:
        wrong = (rule_out.threshold - asked["probability"])[asked["probability"] < rule_out.threshold]
    else:
        wrong = (asked["probability"] - rule_in.threshold)[asked["probability"] >= rule_in.threshold]
    wrong = wrong.sort_values(ascending=order == NEAREST_FIRST, kind="stable")
    missed = int((asked["probability"] < rule_in.threshold).sum()) if kind == MISSES else len(wrong)
    return Mistakes(tuple(wrong.index), len(asked), max(missed - len(wrong), 0), kind)


def evidence_thumbnail(
    reader: Predictor, path: Path, boxes: np.ndarray, method: str, side: int, store: ThumbnailStore | None = None
) -> bytes:
    """Return a thumbnail of a radiograph with the evidence and the reference boxes drawn on it.

    Computed once per file, bundle and method. No evidence is drawn if the image is outside the model's scope.

    Args:
        reader: The predictor.
        path: The file.
        boxes: x, y, width, height in pixels, shape (n, 4).
        method: The heatmap method.
        side: Longer side of the thumbnail, in pixels.
        store: Cache of thumbnails, or None.

    Returns:
        A JPEG.

    Raises:
        UnreadableRadiograph: The file is not a readable image.
    """
    store = store or ThumbnailStore()
    parts = (_VERSION, reader.bundle.sha256, method, path.parent.name, path.name, file_stamp(path))
    key = " ".join(map(str, (*parts, np.asarray(boxes, np.float32).tobytes().hex(), side)))
    cached = store.get([key])
    if key not in cached:
        cached[key] = to_jpeg(_drawn(reader, path, boxes, method, side))
        store.put(cached)
    return cached[key]


def _drawn(reader: Predictor, path: Path, boxes: np.ndarray, method: str, side: int) -> np.ndarray:
    finding = reader.predict(read_radiograph(path, accept_cut_short=True))
    pixels = shrink(finding.radiograph.pixels, side)
    scale = np.tile(np.array(pixels.shape[::-1]) / finding.radiograph.pixels.shape[::-1], 2)
    evidence = shrink(finding.heatmap(method), side) if finding.assessed else np.zeros(pixels.shape, np.float32)
    return overlay(pixels, evidence, finding.full_colour(method), boxes=np.asarray(boxes).reshape(-1, 4) * scale)
