"""Score a split with a network: the table of predictions.csv, and the features that packaging fits on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fracture_core.explain.evidence_head import EvidenceHead
from fracture_core.explain.gradcam import METHODS, heatmap
from fracture_core.imaging.letterbox import Placement
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.scorer import Scorer
from fracture_core.metrics.localisation import centre_in_box, hottest_point_in_box

if TYPE_CHECKING:
    from fracture_core.data.dataset import Dataset
    from fracture_core.data.split import Split

#: The dataset's columns that predictions carry along, for subgroups.
COLUMNS = ("hand", "leg", "hip", "shoulder", "mixed", "hardware", "multiscan", "frontal", "lateral", "oblique")
#: The heatmaps whose hottest point is held against the boxes, as far as the network gives them.
POINTING_METHODS = ("grad-cam", "localiser")
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
        The table of predictions.csv: image_id, split, label, logit, the dataset's own columns, `fracture_count`, and
        for images with boxes whether the hottest point of each heatmap method lies in one (`hit_<method>`, 1 or 0)
        beside the image's centre (`hit_centre`); blank without boxes. And `embedding` and `appearance`,
        float32 (n, C), in the table's order.
    """
    rows: list[dict[str, Any]] = []
    features: dict[str, list[np.ndarray]] = {"embedding": [], "appearance": []}
    ids = [(i, part) for part in ("val", "test") for i in getattr(split, part)]
    for chunk, shapes, placements, squares in _loaded(scorer, dataset, ids):
        outputs, views = scorer.score_views(squares)
        for k, (image_id, part) in enumerate(chunk):
            record = dataset.table.loc[image_id]
            row: dict[str, Any] = {"image_id": image_id, "split": part, "label": int(record["label"])}
            row["logit"] = round(float(outputs["logit"][k]), 6)
            row |= {c: int(record[c]) for c in (*COLUMNS, "fracture_count") if c in record}
            own = [{name: values[k] for name, values in view.items()} for view in views]
            rows.append(row | _pointing(own, head, placements[k], shapes[k], dataset.boxes(image_id)))
        for name, parts in features.items():
            parts.append(outputs[name])
        if progress:
            progress(len(rows), len(ids))
    table = pd.DataFrame(rows)
    for name in [c for c in table if c.startswith("hit_")]:
        table[name] = table[name].astype("Int8")
    return table, {name: np.concatenate(parts) for name, parts in features.items()}


def _loaded(
    scorer: Scorer, dataset: Dataset, ids: Sequence[tuple[str, str]]
) -> Iterator[tuple[Sequence[tuple[str, str]], list[tuple[int, int]], list[Placement], np.ndarray]]:
    """Decode the images chunk by chunk: (id, split), shapes (H, W), placements and letterboxed uint8 (n, S, S)."""
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        images = [read_radiograph(dataset.path(i), accept_cut_short=True).pixels for i, _ in chunk]
        fitted = [scorer.fit(pixels) for pixels in images]
        yield chunk, [p.shape for p in images], [p for _, p in fitted], np.stack([square for square, _ in fitted])


def _pointing(
    views: list[dict[str, np.ndarray]], head: EvidenceHead, placement: Placement, shape: tuple[int, int], boxes: Any
) -> dict[str, int]:
    """The columns of one image with boxes: whether each heatmap's hottest point, and the centre, lie in one."""
    if not len(boxes):
        return {}
    row = {}
    for method in POINTING_METHODS:
        if METHODS[method].available(views[0], head):
            shown = heatmap(method, views, head, placement, shape)
            row[f"hit_{method}"] = int(hottest_point_in_box(shown, boxes))
    return row | {"hit_centre": int(centre_in_box(shape, boxes))}
