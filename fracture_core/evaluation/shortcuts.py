"""Measure how much predictions depend on borders, markers, grey bottoms and metal instead of anatomy.

Each probe changes one such thing in a radiograph and leaves the rest as it is. A network that reads bone answers as
before; one that learned where fractured radiographs come from does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fracture_core.errors import FractureCoreError
from fracture_core.imaging.exposed_field import exposed_field
from fracture_core.imaging.letterbox import shrink
from fracture_core.imaging.radiograph import Radiograph, read_radiograph
from fracture_core.inference.scorer import Scorer
from fracture_core.metrics.operating_points import triage
from fracture_core.metrics.paired_tests import AucDifference, auc_difference

if TYPE_CHECKING:
    import pandas as pd

    from fracture_core.bundle.bundle import Bundle
    from fracture_core.data.fracatlas import FracAtlas

#: What a decoder leaves where a JPEG file ends early.
DECODERS_GREY = 128
#: Share of the rows to cut off: about one in twenty of FracAtlas' truncated files lacks more.
MISSING_SHARE = 0.25

_BATCH = 32  # radiographs between two calls of the network
_WORKING = 640  # pixels along the longer side, at which markers are looked for
_LARGEST_MARKER, _SMALLEST_MARKER = 0.09, 0.012  # of the longer side: a letter with its frame, and a letter
_STROKE = 0.025  # of the longer side: letters are lines, bones are wider
_BRIGHT = 0.45  # of the way from air to white that a marker stands out from what surrounds it
_AIR_AROUND = 0.15  # of the same way: a ring darker than this is not bone


def without_borders(radiograph: Radiograph) -> np.ndarray | None:
    """Black out everything outside the exposed field.

    Args:
        radiograph: The radiograph.

    Returns:
        uint8 (H, W); None if the field is the whole image.
    """
    pixels = radiograph.pixels
    x, y, width, height = exposed_field(pixels)
    if (width, height) == pixels.shape[::-1]:
        return None
    changed = np.zeros_like(pixels)
    changed[y : y + height, x : x + width] = pixels[y : y + height, x : x + width]
    return changed


def without_markers(radiograph: Radiograph) -> np.ndarray | None:
    """Replace lead letters beside the limb by the air around them.

    Args:
        radiograph: The radiograph.

    Returns:
        uint8 (H, W); None if there are none.
    """
    letters = markers(radiograph.pixels)
    if not len(letters):
        return None
    changed = radiograph.pixels.copy()
    for x, y, width, height in letters:
        ring = _ring(changed, x, y, width, height)
        changed[y : y + height, x : x + width] = int(np.median(ring))
    return changed


def markers(pixels: np.ndarray) -> np.ndarray:
    """Find bright compact marks surrounded by air.

    These are the letters L and R, numbers, and small metal; a mark that overlaps the limb cannot be told from bone.

    Args:
        pixels: uint8 (H, W).

    Returns:
        int (n, 4), x, y, width, height in pixels.
    """
    scale = min(1.0, _WORKING / max(pixels.shape))
    small = shrink(pixels, _WORKING)
    longer = max(small.shape)
    air, white = np.percentile(small, [10, 99.5])
    stroke = _ellipse(_STROKE * longer)
    lines = cv2.morphologyEx(small, cv2.MORPH_TOPHAT, stroke) > _BRIGHT * (white - air)
    joined = cv2.morphologyEx(lines.astype(np.uint8), cv2.MORPH_CLOSE, _ellipse(_STROKE * longer / 2))
    _, _, parts, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    pad = max(1, round(0.006 * longer))
    candidates = []
    for x, y, w, h, _area in parts[1:]:
        inside = x >= pad and y >= pad and x + w <= small.shape[1] - pad and y + h <= small.shape[0] - pad
        if not inside or not _SMALLEST_MARKER * longer <= max(w, h) <= _LARGEST_MARKER * longer:
            continue
        box = x - pad, y - pad, w + 2 * pad, h + 2 * pad
        ring = _ring(small, *box)
        # Nearly all of the ring must be air: a fingertip has its finger, a screw its bone.
        if ring.size and np.percentile(ring, 95) <= air + _AIR_AROUND * (white - air):
            candidates.append([*np.floor(np.array(box[:2]) / scale), *np.ceil(np.array(box[2:]) / scale)])
    return np.array(candidates, int).reshape(-1, 4)


def _ellipse(diameter: float) -> np.ndarray:
    side = 2 * round(diameter / 2) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _ring(pixels: np.ndarray, x: int, y: int, width: int, height: int) -> np.ndarray:
    """Return the pixels within a third of a box's size around it, inside the image."""
    reach = max(2, round(max(width, height) / 3))
    top, left = max(0, y - reach), max(0, x - reach)
    around = np.ones((min(pixels.shape[0], y + height + reach) - top, min(pixels.shape[1], x + width + reach) - left))
    around[max(0, y - top) : y - top + height, max(0, x - left) : x - left + width] = 0
    return pixels[top : top + around.shape[0], left : left + around.shape[1]][around > 0]


def with_grey_bottom(radiograph: Radiograph) -> np.ndarray | None:
    """Truncate a complete radiograph as decoders show it, with a mid-grey bottom.

    Args:
        radiograph: The radiograph.

    Returns:
        uint8 (H, W); None if it is truncated already.
    """
    return None if radiograph.missing else _filled(radiograph, MISSING_SHARE, DECODERS_GREY)


def with_black_bottom(radiograph: Radiograph) -> np.ndarray | None:
    """Truncate a complete radiograph as truncated files are shown here, with a black bottom.

    Args:
        radiograph: The radiograph.

    Returns:
        uint8 (H, W); None if it is truncated already.
    """
    return None if radiograph.missing else _filled(radiograph, MISSING_SHARE, 0)


def with_own_grey_bottom(radiograph: Radiograph) -> np.ndarray | None:
    """Give the missing rows of a truncated radiograph, read as black, the grey of a decoder.

    Args:
        radiograph: The radiograph.

    Returns:
        uint8 (H, W); None if it is complete.
    """
    return _filled(radiograph, radiograph.missing, DECODERS_GREY) if radiograph.missing else None


def _filled(radiograph: Radiograph, share: float, grey: int) -> np.ndarray:
    changed = radiograph.pixels.copy()
    changed[round(len(changed) * (1 - share)) :] = grey
    return changed


@dataclass(frozen=True)
class Probe:
    """One change: what it is called, and the function that makes it (None: nothing to change in this one).

    `beside` makes what the changed image is compared with, where that is not the radiograph as it is.
    """

    name: str
    words: str
    change: Callable[[Radiograph], np.ndarray | None]
    beside: Callable[[Radiograph], np.ndarray | None] | None = None


PROBES = (
    Probe("borders", "all outside the exposed field black", without_borders),
    Probe("markers", "letters beside the limb painted over", without_markers),
    Probe(
        "grey bottom added",
        f"the lowest {MISSING_SHARE:.0%} of a whole image mid-grey, beside the same rows black",
        with_grey_bottom,
        with_black_bottom,
    ),
    Probe("grey bottom restored", "a truncated image's missing rows mid-grey, not black", with_own_grey_bottom),
)


@dataclass(frozen=True)
class ProbeResult:
    """What one change did to the calibrated probabilities of a split.

    `changed` images were altered, `fractured` of them fractured; `before` and `after` are their probabilities, 0..1,
    and `moved` how many got another of the three findings. `auc` compares the whole split, altered images and
    others, after with before (positive: better without what was taken away).
    """

    probe: Probe
    changed: int
    fractured: int
    before: np.ndarray
    after: np.ndarray
    moved: int
    auc: AucDifference

    @property
    def change(self) -> np.ndarray:
        """Change of probability of each altered image, -1..1."""
        return self.after - self.before


class ShortcutError(FractureCoreError):
    """Predictions that the network does not repeat, so that nothing can be compared with them."""


def probe_split(
    bundle: Bundle,
    scorer: Scorer,
    dataset: FracAtlas,
    table: pd.DataFrame,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[ProbeResult]:
    """Score every altered image, and compare with the original predictions.

    Args:
        bundle: The bundle.
        scorer: Its scorer.
        dataset: The dataset that the predictions were made on.
        table: Rows of the bundle's predictions.
        progress: Called with (done, total) images.

    Returns:
        One result per alteration.

    Raises:
        ShortcutError: The dataset's images do not give the logits of the predictions.
    """
    own = table["logit"].to_numpy(np.float64)
    before, after = ({probe.name: own.copy() for probe in PROBES} for _ in range(2))
    altered = {probe.name: np.zeros(len(table), bool) for probe in PROBES}
    for start in range(0, len(table), _BATCH):
        rows = range(start, min(start + _BATCH, len(table)))
        radiographs = [read_radiograph(dataset.path(table["image_id"].iloc[k]), accept_cut_short=True) for k in rows]
        if not start:
            _check(scorer, radiographs, own[: len(rows)])
        for probe in PROBES:
            for change, logits in ((probe.beside, before), (probe.change, after)):
                changed = [None if change is None else change(radiograph) for radiograph in radiographs]
                fitted = {k: scorer.fit(pixels)[0] for k, pixels in enumerate(changed) if pixels is not None}
                results = list(fitted)
                if results:
                    scored = scorer.score(np.stack(list(fitted.values())))["logit"]
                    logits[probe.name][[rows[k] for k in results]] = scored
                altered[probe.name][[rows[k] for k in results]] = True
        if progress:
            progress(rows.stop, len(table))
    return [_effect(p, bundle, table, before[p.name], after[p.name], altered[p.name]) for p in PROBES]


def _check(scorer: Scorer, radiographs: list[Radiograph], expected: np.ndarray) -> None:
    logits = scorer.score(np.stack([scorer.fit(radiograph.pixels)[0] for radiograph in radiographs]))["logit"]
    if np.abs(logits - expected).max() > 0.05:
        raise ShortcutError("The images do not give the logits of the bundle's predictions: is this its dataset?")


def _effect(
    probe: Probe, bundle: Bundle, table: pd.DataFrame, before: np.ndarray, after: np.ndarray, altered: np.ndarray
) -> ProbeResult:
    labels = table["label"].to_numpy()
    probabilities = [np.asarray(bundle.probability(logits)) for logits in (before, after)]
    thresholds = bundle.points["rule_out"].threshold, bundle.points["rule_in"].threshold
    findings = [[triage(float(p), *thresholds) for p in values] for values in probabilities]
    moved = sum(original != other for original, other in zip(*findings, strict=True))
    old, new = (values[altered] for values in probabilities)
    auc = auc_difference(labels, after, before)
    return ProbeResult(probe, int(altered.sum()), int(labels[altered].sum()), old, new, moved, auc)
