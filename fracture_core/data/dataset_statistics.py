"""Statistics of FracAtlas: image and box sizes, box locations, classes by body part, view and split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fracture_core.data.catalogue import PARTS, SPLITS, VIEWS, choice_name
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.imaging.exif import orientation_and_sizes
from fracture_core.metrics.intervals import IntervalEstimate, wilson
from fracture_core.metrics.localisation import PointingRow, pointing_by_size

#: Below this many fractured images a rate says nothing, so none is given.
LEAST_POSITIVES = 10
_CELLS = 24


@dataclass(frozen=True, eq=False)
class Survey:
    """What headers and annotations tell, without decoding an image.

    `images`: by image_id, `width` and `height` (pixels, upright), `orientation` (EXIF 1..8) and `box_size`, the
    side of the largest box as a share of the image's (nan without boxes). `boxes`: one row per box, `image_id`, `x`,
    `y` (its middle) and `width`, `height`, all as shares 0..1 of the image's sides.
    """

    images: pd.DataFrame
    boxes: pd.DataFrame


def survey(dataset: FracAtlas) -> Survey:
    """Read the header of every image; about a second for all of FracAtlas.

    Args:
        dataset: FracAtlas.

    Returns:
        Image and box sizes.

    Raises:
        DatasetError: A file is not an image.
    """
    images, boxes = [], []
    for image_id in dataset.table.index:
        orientation, _, (width, height) = orientation_and_sizes(dataset.path(image_id))
        drawn = dataset.boxes(image_id)
        size = float(np.sqrt((drawn[:, 2] * drawn[:, 3]).max() / (width * height))) if len(drawn) else np.nan
        images.append((width, height, orientation, size))
        for x, y, w, h in (drawn / [width, height, width, height]).tolist():
            boxes.append((image_id, x + w / 2, y + h / 2, w, h))
    return Survey(
        pd.DataFrame(images, columns=["width", "height", "orientation", "box_size"], index=dataset.table.index),
        pd.DataFrame(boxes, columns=["image_id", "x", "y", "width", "height"]),
    )


def classes_by(table: pd.DataFrame, groups: tuple[str, ...]) -> pd.DataFrame:
    """Count classes in each flag column of a catalogue; an image may be in several.

    Args:
        table: A catalogue.
        groups: Names of 0/1 columns.

    Returns:
        group, fractured, not fractured, n, and the fractured `share` (0..1) with its 95 % interval `low`..`high`, nan
            if fewer than LEAST_POSITIVES are fractured.
    """
    return pd.DataFrame([_classes(name, table.loc[table[name] > 0, "label"]) for name in groups])


def classes_by_part(table: pd.DataFrame) -> pd.DataFrame:
    """Count classes by body part.

    Args:
        table: A catalogue.

    Returns:
        As `classes_by`.
    """
    return classes_by(table, PARTS)


def classes_by_view(table: pd.DataFrame) -> pd.DataFrame:
    """Count classes by view, hardware, and images with several views.

    Args:
        table: A catalogue.

    Returns:
        As `classes_by`.
    """
    return classes_by(table, (*VIEWS, "hardware", "multiscan"))


def classes_by_split(table: pd.DataFrame) -> pd.DataFrame:
    """Count classes in each split.

    Args:
        table: A catalogue.

    Returns:
        As `classes_by`, in the order of SPLITS.
    """
    return pd.DataFrame([_classes(name, table.loc[table["split"] == name, "label"]) for name in SPLITS])


def _classes(name: str, labels: pd.Series) -> dict[str, object]:
    positives, n = int(labels.sum()), len(labels)
    enough = positives >= LEAST_POSITIVES
    rate = wilson(positives, n) if enough else IntervalEstimate(np.nan, np.nan, np.nan)
    counts = {"group": name, "fractured": positives, "not fractured": n - positives, "n": n}
    return counts | {"share": rate.value, "low": rate.low, "high": rate.high}


def classes_table(classes: pd.DataFrame) -> pd.DataFrame:
    """Tabulate counts of classes for reading.

    Args:
        classes: What `classes_by` returned.

    Returns:
        Group, Fractured, Not fractured, Radiographs, and the fractured share as a percentage with its 95 % interval.
    """
    shares = [IntervalEstimate(*row) for row in classes[["share", "low", "high"]].itertuples(index=False)]
    return pd.DataFrame(
        {
            "Group": [choice_name(group) for group in classes["group"]],
            "Fractured": classes["fractured"],
            "Not fractured": classes["not fractured"],
            "Radiographs": classes["n"],
            "Fractured, % (95 % CI)": [_percent(share) if share.defined else "too few" for share in shares],
        }
    )


def parts_by_split(table: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each split that shows each body part.

    Args:
        table: A catalogue.

    Returns:
        Shares 0..1; one row per split, one column per part.
    """
    rows = {name: (table.loc[table["split"] == name, list(PARTS)] > 0).mean() for name in SPLITS}
    return pd.DataFrame(rows).T.fillna(0.0)


def sizes(images: pd.DataFrame, most: int = 12) -> pd.DataFrame:
    """Count images by size, most frequent first.

    Args:
        images: Sizes of the images.
        most: Number of sizes to list; the others are one row.

    Returns:
        `size` as "width x height", and n.
    """
    names = images["width"].astype(str) + " x " + images["height"].astype(str)
    counts = names.value_counts(sort=True)
    rows = list(counts.iloc[:most].items())
    if len(counts) > most:
        rows.append((f"{len(counts) - most} other sizes", int(counts.iloc[most:].sum())))
    return pd.DataFrame(rows, columns=["size", "n"])


def box_size_table(box_sizes: pd.Series) -> pd.DataFrame:
    """Tabulate the sizes of the largest boxes for reading.

    Args:
        box_sizes: Shares 0..1 of the image's side; nan without boxes.

    Returns:
        One row: how many radiographs have boxes, and the smallest, the quartiles and the largest, as percentages.
    """
    shares = 100 * box_sizes.dropna()
    quantiles = {"Smallest": 0, "Lower quartile": 0.25, "Median": 0.5, "Upper quartile": 0.75, "Largest": 1}
    sides = {name: f"{shares.quantile(q):.1f} %" if len(shares) else "–" for name, q in quantiles.items()}
    return pd.DataFrame([{"Radiographs": len(shares)} | sides])


def box_places(boxes: pd.DataFrame) -> np.ndarray:
    """Count how many boxes cover each cell of the image.

    Args:
        boxes: All boxes, relative to their images.

    Returns:
        int64 (24, 24), top row first.
    """
    middles = (np.arange(_CELLS) + 0.5) / _CELLS
    covers = []
    for place, extent in (("y", "height"), ("x", "width")):
        centre, half = boxes[place].to_numpy()[:, None], boxes[extent].to_numpy()[:, None] / 2
        # A box thinner than a cell still lies in one.
        covers.append(np.abs(middles - centre) <= np.maximum(half, 0.5 / _CELLS))
    down, across = (cover.astype(np.int64) for cover in covers)
    return down.T @ across


def pointing(predictions: pd.DataFrame, images: pd.DataFrame, split: str) -> dict[str, list[PointingRow]]:
    """Summarise, for each heatmap method of a bundle's predictions, its pointing game by box size.

    Radiographs without boxes, or without a recorded hit, are not counted.

    Args:
        predictions: The bundle's predictions.
        images: Sizes of the images.
        split: "val" or "test".

    Returns:
        Rows by method.
    """
    table = predictions[predictions["split"] == split].set_index("image_id")
    table["box_size"] = images["box_size"].reindex(table.index)
    counts = {}
    for column in table.columns:
        if not column.startswith("hit_") or column == "hit_centre":
            continue
        scored = table.dropna(subset=[column, "hit_centre", "box_size"])
        rows = pointing_by_size(scored[column], scored["hit_centre"], scored["box_size"])
        counts[column.removeprefix("hit_")] = rows
    return counts


def pointing_table(rows: list[PointingRow]) -> pd.DataFrame:
    """Tabulate a pointing game for reading.

    Args:
        rows: The rows of one method.

    Returns:
        Boxes, n, their sizes, and both rates as percentages with 95 % intervals.
    """

    def words(rate: IntervalEstimate) -> str:
        return _percent(rate) if rate.defined else "undefined"

    return pd.DataFrame(
        {
            "Boxes": [row.name for row in rows],
            "n": [row.n for row in rows],
            "Side, % of the image's": [
                f"{100 * row.smallest:.1f} to {100 * row.largest:.1f}" if row.n else "" for row in rows
            ],
            "Heatmap's hottest point in a box": [words(row.pointing) for row in rows],
            "Image centre in a box": [words(row.centre_pointing) for row in rows],
        }
    )


def _percent(rate: IntervalEstimate) -> str:
    return f"{100 * rate.value:.0f} % ({100 * rate.low:.0f} to {100 * rate.high:.0f})"
