"""Evaluate a bundle on radiographs from other sources, and on images that are not limb radiographs.

The folder holds `limbs/`, `outside/` and `list.csv` (file, fractured: 1, 0, 0? if presumed, or blank, boxes_xywh,
body_part, source, licence). Nothing in it trains, fits or tunes what ships unless its licence allows that; here it is
only measured on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from fracture_core.errors import FractureCoreError
from fracture_core.inference.predictor import Failure, Predictor
from fracture_core.metrics.curves import roc_auc
from fracture_core.metrics.formatting import share_text
from fracture_core.metrics.localisation import hottest_point_in_box

#: Names the folder of other sources' images.
EXTERNAL_SETTING = "FRACTURE_ELSEWHERE_DIR"
ANSWERS = ("likely", "uncertain", "unlikely")
_COLUMNS = {"file", "fractured", "boxes_xywh", "body_part", "source", "licence"}


class ExternalValidationError(FractureCoreError):
    """A folder of external images that is missing or not as described."""


def external_folder() -> Path:
    """Return the folder that FRACTURE_ELSEWHERE_DIR names.

    Returns:
        The folder, which contains list.csv.

    Raises:
        ExternalValidationError: The variable is not set, or its folder has no list.csv.
    """
    named = os.environ.get(EXTERNAL_SETTING, "").strip()
    if not named:
        raise ExternalValidationError(f"Set {EXTERNAL_SETTING} to the folder with the images of other sources.")
    if not (Path(named) / "list.csv").is_file():
        raise ExternalValidationError(f"There is no list.csv in {named}; set {EXTERNAL_SETTING} to the right folder.")
    return Path(named)


def validate_externally(
    predictor: Predictor, folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Assess every image of the folder as if it were uploaded.

    Args:
        predictor: The bundle.
        folder: As the module describes it.
        progress: Called as `progress(done, total)` after each.

    Returns:
        One row an image: `group` (the folder and the file name's first part, such as "limbs/rfsci"), `source`,
        `body_part`, `fractured` (1, 0 or missing), `read` (whether it could be read), `assessed`, `caution` (whether
        it is said to differ from what was validated), `answer` (one of ANSWERS, "" where none is given),
        `probability`, `flagged` (at the single threshold; never without an answer), `hit` (whether the hottest point
        lies in a box; missing without boxes, false without an answer) and `fill`, the share 0..1 of the image that
        anatomy takes up.

    Raises:
        ExternalValidationError: list.csv cannot be read.
    """
    try:
        listed = pd.read_csv(folder / "list.csv", dtype={"file": str, "fractured": str, "boxes_xywh": str})
        if lacking := _COLUMNS - set(listed):
            raise ValueError(f"it has no column {min(lacking)!r}")
    except (OSError, ValueError) as error:
        raise ExternalValidationError(f"list.csv in {folder} cannot be read ({error}).") from error
    single = predictor.bundle.points["single"].threshold
    rows = []
    for number, entry in enumerate(listed.to_dict("records"), 1):
        boxes = np.array(json.loads(entry["boxes_xywh"]), np.float32) if isinstance(entry["boxes_xywh"], str) else None
        rows.append(_row(predictor, folder, entry, boxes, single))
        if progress:
            progress(number, len(listed))
    return pd.DataFrame(rows)


def _row(
    predictor: Predictor, folder: Path, entry: dict[str, Any], boxes: np.ndarray | None, single: float
) -> dict[str, Any]:
    row = {
        "group": entry["file"].split("_")[0],
        **{name: entry[name] for name in ("source", "body_part")},
        # "0?" is presumed sound.
        "fractured": int(entry["fractured"][0]) if isinstance(entry["fractured"], str) else np.nan,
        "read": True,
        "assessed": False,
        "caution": False,
        "answer": "",
        "probability": np.nan,
        "flagged": False,
        "hit": None if boxes is None else False,
        "fill": np.nan,
    }
    (finding,) = predictor.predict_many([folder / entry["file"]], accept_cut_short=True)
    if isinstance(finding, Failure):
        return row | {"read": False}
    row["fill"] = fill(finding.radiograph.pixels)
    if not finding.assessed:
        return row
    row |= {
        "assessed": True,
        "caution": finding.unfamiliarity > 1,
        "probability": finding.probability,
        "answer": next((name for name in ANSWERS if name in finding.triage.split()), "uncertain"),
        "flagged": finding.probability >= single,
    }
    if boxes is not None:
        row["hit"] = hottest_point_in_box(finding.heatmap(), boxes)
    return row


def fill(pixels: np.ndarray) -> float:
    """Return how much of a radiograph is anatomy rather than air, by Otsu's threshold.

    It shows how close up the radiograph is: a whole limb fills little of it, a joint most.

    Args:
        pixels: uint8 (H, W).

    Returns:
        0..1.
    """
    threshold, _ = cv2.threshold(pixels, 0, 255, cv2.THRESH_OTSU)
    return float((pixels > 0.6 * threshold).mean())


def by_group(measured: pd.DataFrame, column: str = "group") -> pd.DataFrame:
    """Count what `validate_externally` returned, by a column.

    Args:
        measured: One row per image.
        column: The column to group by.

    Returns:
        One row per value: n, `not assessed`, `caution`, the three categories, `fractured`, `flagged` of them (no result
            is a miss), `AUC` (nan unless both classes have results), `boxed` and `hits` of them.
    """
    rows = []
    for value, part in measured.groupby(column, sort=False, observed=True):
        fractured, boxed = part[part["fractured"] == 1], part[part["hit"].notna()]
        known = part[part["fractured"].isin([0, 1]) & part["assessed"]]
        both = known["fractured"].nunique() == 2
        rows.append(
            {
                column: value,
                "n": len(part),
                "not assessed": int((~part["assessed"]).sum()),
                "caution": int(part["caution"].sum()),
                **{answer: int((part["answer"] == answer).sum()) for answer in ANSWERS},
                "fractured": len(fractured),
                "flagged": int(fractured["flagged"].sum()),
                "AUC": roc_auc(known["fractured"], known["probability"]) if both else np.nan,
                "boxed": len(boxed),
                "hits": int(boxed["hit"].astype(bool).sum()),
            }
        )
    return pd.DataFrame(rows)


def by_fill(measured: pd.DataFrame) -> pd.DataFrame:
    """Count the limb films as `by_group` does, in thirds of how much of the film is anatomy.

    Args:
        measured: One row per image.

    Returns:
        Three rows.
    """
    limbs = measured[measured["group"].str.startswith("limbs") & measured["fill"].notna()]
    edges = limbs["fill"].quantile([0, 1 / 3, 2 / 3, 1]).to_numpy()
    names = [f"{low:.0%} to {high:.0%}" for low, high in pairwise(edges)]
    thirds = pd.cut(limbs["fill"], np.unique(edges), include_lowest=True, labels=names[: len(np.unique(edges)) - 1])
    return by_group(limbs.assign(fill=thirds), "fill")


def summary(measured: pd.DataFrame) -> dict[str, int]:
    """Return the counts that a bundle keeps: limb films and those not assessed, others and those caught, fractures.

    `sound` are the limb films that are presumed to be, `flagged_sound` those of them flagged all the same.
    `fractured_close` and `flagged_close` are those of the third of the limb films with most anatomy, `..._far` those of
    the third with least.

    Args:
        measured: One row per image.

    Returns:
        Counts by name.
    """
    limbs = measured["group"].str.startswith("limbs")
    fractured = measured[limbs & (measured["fractured"] == 1)]
    sound = measured[limbs & (measured["fractured"] == 0)]
    boxed = measured[measured["hit"].notna()]
    far, close = measured.loc[limbs, "fill"].quantile([1 / 3, 2 / 3])
    scales = {"far": fractured[fractured["fill"] <= far], "close": fractured[fractured["fill"] > close]}
    return {
        "limbs": int(limbs.sum()),
        "limbs_not_assessed": int((limbs & ~measured["assessed"]).sum()),
        "others": int((~limbs).sum()),
        "others_not_assessed": int((~limbs & ~measured["assessed"]).sum()),
        "fractured": len(fractured),
        "flagged": int(fractured["flagged"].sum()),
        "sound": len(sound),
        "flagged_sound": int(sound["flagged"].sum()),
        "boxed": len(boxed),
        "hits": int(boxed["hit"].astype(bool).sum()),
        **{f"fractured_{scale}": len(films) for scale, films in scales.items()},
        **{f"flagged_{scale}": int(films["flagged"].sum()) for scale, films in scales.items()},
    }


def markdown_table(counts: pd.DataFrame) -> str:
    """Format counts as a Markdown table, shares with 95 % intervals.

    Args:
        counts: What `by_group` returned.

    Returns:
        The table.
    """
    first = counts.columns[0]
    answers = " / ".join(ANSWERS)
    lines = [
        f"| {first} | n | not assessed | caution | {answers} | fractures flagged | hottest point in a box |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in counts.to_dict("records"):
        answers = " / ".join(str(row[answer]) for answer in ANSWERS)
        flagged = share_text(row["flagged"], row["fractured"]) if row["fractured"] else ""
        hits = share_text(row["hits"], row["boxed"]) if row["boxed"] else ""
        refused = share_text(row["not assessed"], row["n"])
        lines.append(f"| {row[first]} | {row['n']} | {refused} | {row['caution']} | {answers} | {flagged} | {hits} |")
    return "\n".join(lines)
