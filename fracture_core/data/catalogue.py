"""Browse FracAtlas: one table with everything that is known about each image, and filters on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fracture_core.data.defects import NAMES, ids_by_defect
from fracture_core.data.split import Split
from fracture_core.formatting import format_percent

if TYPE_CHECKING:
    from fracture_core.data.audit import Audit
    from fracture_core.data.fracatlas import FracAtlas

LABELS = ("fractured", "not fractured")
PARTS = ("hand", "leg", "hip", "shoulder")
#: What FracAtlas's words for body parts mean: an elbow is "hand" there, a foot is "leg".
PART_NAMES = {"hand": "upper limb", "leg": "lower limb", "hip": "hip", "shoulder": "shoulder"}
VIEWS = ("frontal", "lateral", "oblique")
SPLITS = ("train", "val", "test", "left out")
COUNTS = ("0", "1", "2", "3 or more")
#: Whether the model's answer agrees with the reference label.
OUTCOMES = ("correct", "wrong", "indeterminate")
#: What is shown for a choice whose own name, which addresses keep, is short or FracAtlas's.
CHOICE_NAMES = {
    **PART_NAMES,
    "train": "training",
    "val": "validation",
    "multiscan": "several views",
    "conflict": "conflicting sources",
    "overwritten": "repeated block",
}
ORDERS = ("by id", "highest probability", "lowest probability")


@dataclass(frozen=True)
class Filters:
    """What to show: within a field any choice may match, and every field must; an empty field matches everything.

    `search` is part of an image id, or several ids with commas or blanks between; of several, those that name an image
    exactly find that image alone. `probability` is a range from 0 to 1: its upper end belongs to it only where it is 1.
    """

    labels: Sequence[str] = ()
    parts: Sequence[str] = ()
    views: Sequence[str] = ()
    hardware: Sequence[str] = ()
    splits: Sequence[str] = ()
    defects: Sequence[str] = ()
    counts: Sequence[str] = ()
    search: str = ""
    outcomes: Sequence[str] = ()
    probability: tuple[float, float] = (0.0, 1.0)

    def summary_text(self) -> str:
        """Describe the filters in words.

        Returns:
            The active filters, separated by commas; "" if there are none.
        """
        counts = [f"{c} fracture{'' if c == '1' else 's'}" for c in self.counts]
        defects = ["no defect found" if d == "none found" else d for d in self.defects]
        fields = (self.labels, self.parts, self.views, self.hardware, self.splits, defects, counts, self.outcomes)
        texts = [" or ".join(map(choice_name, field)) for field in fields if field]
        if self.probability != (0.0, 1.0):
            texts.append(f"probability {self.probability[0]:.3g} to {self.probability[1]:.3g}")
        return ", ".join(texts + ([f"id with {self.search.strip()!r}"] if self.search.strip() else []))


def choice_name(choice: str) -> str:
    """Return what is shown for a choice of a filter, or for a group of images.

    Args:
        choice: Its name in `Filters`, in the address and in tables.

    Returns:
        The words.
    """
    return CHOICE_NAMES.get(choice, choice)


def catalogue(
    dataset: FracAtlas,
    split: Split | None = None,
    audit: Audit | None = None,
    predictions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Tabulate the dataset, with what is known about each image.

    Args:
        dataset: FracAtlas.
        split: Adds `split` and `left_out` (the reason, "" for most).
        audit: Adds `lost` (the share of the image that damage took, 0..1) and a bool column per defect.
        predictions: Adds `logit` and `probability`, nan for images other than val and test.

    Returns:
        One row per image, by image_id.
    """
    table = dataset.table.copy()
    table["split"], table["left_out"], table["lost"] = "", "", 0.0
    table[["logit", "probability"]] = np.nan
    table[list(NAMES)] = False
    table["conflict"] = dataset.table["conflict"] != ""
    table["conflict_words"] = dataset.table["conflict"]
    if split is not None:
        parts = {i: part for part in ("train", "val", "test") for i in getattr(split, part)}
        table["split"] = table.index.map(lambda image_id: parts.get(image_id, "left out"))
        table["left_out"] = table.index.map(lambda image_id: split.left_out.get(image_id, ""))
    if audit is not None:
        for name, ids in ids_by_defect(audit).items():
            table[name] |= table.index.isin(ids)
        table["lost"] = table.index.map(audit.missing | audit.overwritten).fillna(0.0)
    if predictions is not None:
        predicted = predictions.drop_duplicates("image_id").set_index("image_id")
        table["logit"] = predicted["logit"].reindex(table.index)
        table["probability"] = predicted["probability"].reindex(table.index)
    return table


def select(table: pd.DataFrame, filters: Filters, order: str = "by id") -> list[str]:
    """Select images from a catalogue.

    Args:
        table: A catalogue.
        filters: What to keep.
        order: One of ORDERS; images without a prediction come last.

    Returns:
        Their ids, in order.
    """
    keep = _others(table, filters)
    for field, masks in _masks(table).items():
        keep &= _any_of(getattr(filters, field), masks)
    chosen = table.loc[keep, "probability"]
    if order != "by id":
        chosen = chosen.sort_values(ascending=order == "lowest probability", na_position="last", kind="stable")
    return list(chosen.index)


def facet_counts(table: pd.DataFrame, filters: Filters) -> dict[str, dict[str, int]]:
    """Return how many images each choice of each field would show, the other fields standing as they are.

    Args:
        table: A catalogue.
        filters: What is asked for now.

    Returns:
        By name of the field in `Filters` and by choice.
    """
    masks = _masks(table)
    passed = {field: _any_of(getattr(filters, field), choices) for field, choices in masks.items()}
    counts = {}
    for field, choices in masks.items():
        rest = _others(table, filters)
        for other, mask in passed.items():
            rest &= mask if other != field else True
        counts[field] = {name: int((rest & mask).sum()) for name, mask in choices.items()}
    return counts


def with_outcomes(table: pd.DataFrame, rule_out: float, rule_in: float) -> pd.DataFrame:
    """Return the catalogue with a column "outcome", one of OUTCOMES, "" for images without a prediction.

    Args:
        table: A catalogue.
        rule_out: Probability below which a fracture is unlikely.
        rule_in: Probability at or above which a fracture is likely.

    Returns:
        The new table.
    """
    probability, fractured = table["probability"].to_numpy(), table["label"].to_numpy() == 1
    likely, unlikely = probability >= rule_in, probability < min(rule_out, rule_in)
    right = (likely & fractured) | (unlikely & ~fractured)
    decided = np.select([np.isnan(probability), right, likely | unlikely], ["", "correct", "wrong"], "indeterminate")
    return table.assign(outcome=decided)


def _masks(table: pd.DataFrame) -> dict[str, dict[str, np.ndarray]]:
    """Return the images of each choice of each field, by the field's name in `Filters`."""
    count, outcome = table["fracture_count"], table["outcome"] if "outcome" in table else pd.Series("", table.index)
    masks_of = {
        "labels": {"fractured": table["label"] == 1, "not fractured": table["label"] == 0},
        "outcomes": {name: outcome == name for name in OUTCOMES},
        "parts": {name: table[name] > 0 for name in PARTS},
        "views": {name: table[name] > 0 for name in VIEWS},
        "counts": dict(zip(COUNTS, (count == 0, count == 1, count == 2, count >= 3), strict=True)),
        "hardware": {"hardware": table["hardware"] > 0, "no hardware": table["hardware"] == 0},
        "splits": {name: table["split"] == name for name in SPLITS},
        "defects": {name: table[name] for name in NAMES} | {"none found": ~table[list(NAMES)].any(axis=1)},
    }
    return {field: {name: mask.to_numpy(bool) for name, mask in masks.items()} for field, masks in masks_of.items()}


def _any_of(wanted: Sequence[str], masks: Mapping[str, np.ndarray]) -> np.ndarray | bool:
    chosen = [mask for name, mask in masks.items() if name in wanted]
    return np.logical_or.reduce(chosen) if chosen else True


def _others(table: pd.DataFrame, filters: Filters) -> np.ndarray:
    """Return which images pass the search and the range of probabilities."""
    keep = np.ones(len(table), bool)
    low, high = filters.probability
    if (low, high) != (0.0, 1.0):
        probability = table["probability"].to_numpy()
        keep &= (probability >= low) & ((probability < high) | (high >= 1))
    return keep & _matching(table.index, filters.search)


def _matching(ids: pd.Index, search: str) -> np.ndarray | bool:
    words = [word.removesuffix(".jpg") for word in re.split(r"[\s,;]+", search.strip().lower()) if word]
    if not words:
        return True
    lower = ids.str.lower()
    matches = []
    for word in words:
        named = lower.isin([word, f"img{word:0>7}"]) if len(words) > 1 else np.zeros(len(ids), bool)
        matches.append(named if named.any() else lower.str.contains(word, regex=False))
    return np.logical_or.reduce(matches)


def tags(row: pd.Series) -> list[str]:
    """Return what is shown under an image's thumbnail: parts, split, hardware, defects.

    Args:
        row: A row of a catalogue.

    Returns:
        Short texts.
    """
    texts = [PART_NAMES[name] for name in PARTS if row[name]]
    texts += [choice_name(row["split"])] if row["split"] else []
    texts += ["hardware"] if row["hardware"] else []
    return texts + [choice_name(name) for name in NAMES if row[name]]


def facts(table: pd.DataFrame, image_id: str) -> list[tuple[str, str]]:
    """Return everything that a catalogue knows about one image, in words.

    Args:
        table: A catalogue.
        image_id: The image.

    Returns:
        (name, value) pairs.
    """
    row = table.loc[image_id]
    label, csv_label = (LABELS[1 - int(row[name])] for name in ("label", "csv_label"))
    views = [name for name in VIEWS if row[name]]
    texts = [
        ("Label", label if label == csv_label else f"{label} (dataset.csv says {csv_label})"),
        ("Fractures", str(int(row["fracture_count"]))),
        ("Body part", ", ".join(PART_NAMES[name] for name in PARTS if row[name]) or "not given"),
        ("View", ", ".join(views) or "not given"),
        ("Several body parts", "yes" if row["mixed"] else "no"),
        ("Several views on one film", "yes" if row["multiscan"] else "no"),
        ("Hardware", "yes" if row["hardware"] else "no"),
        ("Split", choice_name(row["split"] or "none") + (f" ({row['left_out']})" if row["left_out"] else "")),
        ("File", row["path"]),
    ]
    defects = [choice_name(name) for name in NAMES if row[name]]
    if defects:
        texts.append(("Defects", ", ".join(defects)))
    if row["lost"]:
        texts.append(("Missing", f"{format_percent(row['lost'])} of the image, at the bottom"))
    if row["conflict_words"]:
        texts.append(("Sources", row["conflict_words"]))
    return texts
