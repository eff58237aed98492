"""Make predictions.csv: score a split with a network, one row per image; and the features that packaging fits on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fracture_core.data.dataset import Dataset, short_digest
from fracture_core.evaluation.detection import boxes_text
from fracture_core.explain.boxes import BOXES_FROM, LEAST_EVIDENCE, regions
from fracture_core.explain.evidence_head import EvidenceHead
from fracture_core.explain.heatmap_methods import METHODS, heatmap
from fracture_core.imaging.letterbox import Placement
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.scorer import Scorer
from fracture_core.metrics.localisation import centre_in_box, hottest_point_in_box

if TYPE_CHECKING:
    from fracture_core.data.split import Split

#: The dataset's columns that predictions carry along, for subgroups.
COLUMNS = ("hand", "leg", "hip", "shoulder", "mixed", "hardware", "multiscan", "frontal", "lateral", "oblique")
#: The heatmaps whose hottest point is held against the boxes, as far as the network gives them.
POINTING_METHODS = ("grad-cam", "localiser")
_COUNTS = (*COLUMNS, "fracture_count")
_CHUNK = 32


def predict_split(
    scorer: Scorer,
    head: EvidenceHead,
    dataset: Dataset,
    split: Split,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Score validation and test.

    Args:
        scorer: The network, giving its evidence layer.
        head: Its last part, for the heatmaps.
        dataset: Where the images, labels and boxes are.
        split: Which of them are validation and test.
        progress: Called as `progress(done, total)` now and then.

    Returns:
        The table of predictions.csv: image_id, split, label, logit, the dataset's own columns, `fracture_count`,
        `film` (the short digest of a user's own film, blank for FracAtlas), and for images with boxes whether the
        hottest point of each heatmap method lies in one (`hit_<method>`, 1 or 0) beside the image's centre
        (`hit_centre`); blank without boxes. With a localiser, `boxes` and `found_boxes` as
        `detection.boxes_text` writes them, the latter with their scores. Then, in the table's order, `embedding` and
        `appearance`, float32 (n, C), and `peak_<method>`, the strongest evidence of each heatmap, float32 (n,).
    """
    rows: list[dict[str, Any]] = []
    features: dict[str, list[np.ndarray]] = {"embedding": [], "appearance": []}
    peaks: dict[str, list[float]] = defaultdict(list)
    ids = [(i, part) for part in ("val", "test") for i in getattr(split, part)]
    for chunk, shapes, placements, squares in _loaded(scorer, dataset, ids):
        outputs, views = scorer.score_views(squares)
        for k, (image_id, part) in enumerate(chunk):
            record = dataset.table.loc[image_id]
            row: dict[str, Any] = {"image_id": image_id, "split": part, "label": int(record["label"])}
            row["logit"] = round(float(outputs["logit"][k]), 6)
            row |= {c: int(record[c]) for c in _COUNTS if c in record and pd.notna(record[c])}
            row |= {"film": digest} if (digest := short_digest(dataset, image_id)) else {}
            own = [{name: values[k] for name, values in view.items()} for view in views]
            maps = {
                method: heatmap(method, own, head, placements[k], shapes[k])
                for method, way in METHODS.items()
                if way.available(own[0], head)
            }
            for method, evidence in maps.items():
                peaks[f"peak_{method}"].append(float(evidence.max()))
            rows.append(row | _localised(maps, dataset.boxes(image_id)))
        for name, parts in features.items():
            parts.append(outputs[name])
        if progress:
            progress(len(rows), len(ids))
    table = pd.DataFrame(rows)
    # Blank where the dataset says nothing; as floats, these counts would be written with decimals.
    for name in [c for c in table if c.startswith("hit_") or (c in _COUNTS and table[c].isna().any())]:
        table[name] = table[name].astype("Int16")
    arrays = {name: np.concatenate(parts) for name, parts in features.items()}
    return table, arrays | {name: np.array(values, np.float32) for name, values in peaks.items()}


def _loaded(
    scorer: Scorer, dataset: Dataset, ids: Sequence[tuple[str, str]]
) -> Iterator[tuple[Sequence[tuple[str, str]], list[tuple[int, int]], list[Placement], np.ndarray]]:
    """Decode the images chunk by chunk: (id, split), shapes (H, W), placements and letterboxed uint8 (n, S, S)."""
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        images = [read_radiograph(dataset.path(i), accept_cut_short=True).pixels for i, _ in chunk]
        fitted = [scorer.fit(pixels) for pixels in images]
        yield chunk, [p.shape for p in images], [p for _, p in fitted], np.stack([square for square, _ in fitted])


def _localised(maps: Mapping[str, np.ndarray], boxes: np.ndarray) -> dict[str, Any]:
    """Return the columns that compare one image's heatmaps, float32 (H, W), with its boxes, float (n, 4)."""
    row: dict[str, Any] = {}
    if BOXES_FROM in maps:
        predicted = regions(maps[BOXES_FROM], LEAST_EVIDENCE)
        row = {
            "boxes": boxes_text(boxes.tolist()),
            "found_boxes": boxes_text([(*region.box, region.score) for region in predicted]),
        }
    if len(boxes):
        for method in POINTING_METHODS:
            if method in maps:
                row[f"hit_{method}"] = int(hottest_point_in_box(maps[method], boxes))
        row["hit_centre"] = int(centre_in_box(next(iter(maps.values())).shape, boxes))
    return row
