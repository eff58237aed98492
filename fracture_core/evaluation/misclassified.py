"""Where a bundle is wrong, the worst first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fracture_core.data.thumbnails import PictureStore, shrink, to_jpeg
from fracture_core.explain.overlay import overlay
from fracture_core.imaging.radiograph import read_radiograph

if TYPE_CHECKING:
    from fracture_core.inference.predictor import Predictor
    from fracture_core.metrics.operating_points import OperatingPoint

MISSES, FALSE_ALARMS = "Missed fractures", "False positives"
WORST_FIRST, NEAREST_FIRST = "Largest error first", "Nearest to the threshold first"
_VERSION = 1


@dataclass(frozen=True)
class Mistakes:
    """Image ids of one kind of mistake, in order, of `of` images that could have been one."""

    ids: tuple[str, ...]
    of: int


def mistakes(
    table: pd.DataFrame,
    kind: str,
    rule_out: OperatingPoint,
    rule_in: OperatingPoint,
    *,
    split: str = "test",
    order: str = WORST_FIRST,
) -> Mistakes:
    """Give what a catalogue's predictions get wrong on `split`, as far as they are sure of it.

    MISSES are fractured images below `rule_out`'s threshold, FALSE_ALARMS others from `rule_in`'s on; what lies
    between is indeterminate, and no mistake. How wrong: by how far the probability is on the wrong side.
    """
    wanted = int(kind == MISSES)
    asked = table[(table["split"] == split) & (table["label"] == wanted) & table["probability"].notna()]
    if kind == MISSES:
        wrong = (rule_out.threshold - asked["probability"])[asked["probability"] < rule_out.threshold]
    else:
        wrong = (asked["probability"] - rule_in.threshold)[asked["probability"] >= rule_in.threshold]
    wrong = wrong.sort_values(ascending=order == NEAREST_FIRST, kind="stable")
    return Mistakes(tuple(wrong.index), len(asked))


def evidence_thumbnail(
    reader: Predictor, path: Path, boxes: np.ndarray, method: str, side: int, store: PictureStore | None = None
) -> bytes:
    """Give a JPEG of a radiograph with the evidence and the dataset's `boxes` (n, 4) on it, its longer side `side`.

    Made once for each file, bundle and method. Where the picture is unlike the training data no evidence is drawn.
    Raises UnreadableRadiograph where the file is none.
    """
    store = store or PictureStore()
    status = path.stat()
    parts = (_VERSION, reader.bundle.sha256, method, path.parent.name, path.name, status.st_size, status.st_mtime_ns)
    key = " ".join(map(str, (*parts, np.asarray(boxes, np.float32).tobytes().hex(), side)))
    kept = store.get([key])
    if key not in kept:
        kept[key] = to_jpeg(_drawn(reader, path, boxes, method, side))
        store.put(kept)
    return kept[key]


def _drawn(reader: Predictor, path: Path, boxes: np.ndarray, method: str, side: int) -> np.ndarray:
    finding = reader.predict(read_radiograph(path, accept_cut_short=True))
    pixels = shrink(finding.radiograph.pixels, side)
    scale = np.tile(np.array(pixels.shape[::-1]) / finding.radiograph.pixels.shape[::-1], 2)
    evidence = shrink(finding.heatmap(method), side) if finding.assessed else np.zeros(pixels.shape, np.float32)
    return overlay(pixels, evidence, method, boxes=np.asarray(boxes).reshape(-1, 4) * scale)
