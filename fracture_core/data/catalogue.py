"""Looking through FracAtlas: one table of all that is known of each image, and filters over it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import pandas as pd

from fracture_core.data.defects import NAMES, ids_by_defect
from fracture_core.data.split import Split

if TYPE_CHECKING:
    from fracture_core.data.audit import Audit
    from fracture_core.data.fracatlas import FracAtlas

Item = TypeVar("Item")

LABELS = ("fractured", "not fractured")
PARTS = ("hand", "leg", "hip", "shoulder")
VIEWS = ("frontal", "lateral", "oblique")
HARDWARE = ("hardware", "no hardware")
SPLITS = ("train", "val", "test", "left out")
DEFECT_CHOICES = (*NAMES, "none found")
COUNTS = ("0", "1", "2", "3 or more")
ORDERS = ("by id", "highest probability", "lowest probability")


@dataclass(frozen=True)
class Filters:
    """What to show. Within one field any choice will do, across fields all must; an empty field asks nothing.

    `search` is part of an image id, or several of them with commas or blanks between.
    """

    labels: Sequence[str] = ()
    parts: Sequence[str] = ()
    views: Sequence[str] = ()
    hardware: Sequence[str] = ()
    splits: Sequence[str] = ()
    defects: Sequence[str] = ()
    counts: Sequence[str] = ()
    search: str = ""

    def summary_text(self) -> str:
        """Say in words what is asked for; "" where nothing is."""
        counts = [f"{c} fracture{'' if c == '1' else 's'}" for c in self.counts]
        defects = ["no defect found" if d == "none found" else d for d in self.defects]
        fields = (self.labels, self.parts, self.views, self.hardware, self.splits, defects, counts)
        said = [" or ".join(field) for field in fields if field]
        return ", ".join(said + ([f"id with {self.search.strip()!r}"] if self.search.strip() else []))


def catalogue(
    dataset: FracAtlas,
    split: Split | None = None,
    audit: Audit | None = None,
    predictions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Give one row an image, by image_id: FracAtlas's own table and, of each thing given, what it adds.

    `split` and `left_out` (the reason, "" for most) of the split, "" without one; `lost` (share 0..1 of the picture
    that damage took) and a bool column for each name of `defects.NAMES` of the audit; `logit` and `probability` of
    a bundle's `predictions`, nan where they have none: predictions exist for val and test.
    """
    table = dataset.table.copy()
    table["split"], table["left_out"], table["lost"] = "", "", 0.0
    table[["logit", "probability"]] = np.nan
    table[list(NAMES)] = False
    table["conflict"] = dataset.table["conflict"] != ""
    table["conflict_words"] = dataset.table["conflict"]
    if split is not None:
        parts = {i: part for part in ("train", "val", "test") for i in getattr(split, part)}
        table["split"] = table.index.map(parts).fillna("left out")
        table["left_out"] = table.index.map(split.left_out).fillna("")
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
    """Give the ids of the rows of a catalogue that pass, in one of ORDERS; images without a prediction come last."""
    keep = np.ones(len(table), bool)
    keep &= _any_of(filters.labels, LABELS, [table["label"] == 1, table["label"] == 0])
    keep &= _any_of(filters.parts, PARTS, [table[name] > 0 for name in PARTS])
    keep &= _any_of(filters.views, VIEWS, [table[name] > 0 for name in VIEWS])
    keep &= _any_of(filters.hardware, HARDWARE, [table["hardware"] > 0, table["hardware"] == 0])
    keep &= _any_of(filters.splits, SPLITS, [table["split"] == name for name in SPLITS])
    defects = [table[name] for name in NAMES]
    keep &= _any_of(filters.defects, DEFECT_CHOICES, [*defects, ~table[list(NAMES)].any(axis=1)])
    count = table["fracture_count"]
    keep &= _any_of(filters.counts, COUNTS, [count == 0, count == 1, count == 2, count >= 3])
    keep &= _found(table.index, filters.search)
    chosen = table.loc[keep, "probability"]
    if order != "by id":
        chosen = chosen.sort_values(ascending=order == "lowest probability", na_position="last", kind="stable")
    return list(chosen.index)


def _any_of(wanted: Sequence[str], choices: Sequence[str], masks: Sequence[pd.Series]) -> np.ndarray | bool:
    chosen = [mask.to_numpy() for name, mask in zip(choices, masks, strict=True) if name in wanted]
    return np.logical_or.reduce(chosen) if chosen else True


def _found(ids: pd.Index, search: str) -> np.ndarray | bool:
    words = [word.removesuffix(".jpg") for word in re.split(r"[\s,;]+", search.strip().lower()) if word]
    if not words:
        return True
    lower = ids.str.lower()
    return np.logical_or.reduce([lower.str.contains(word, regex=False) for word in words])


@dataclass(frozen=True)
class Page(Generic[Item]):
    """One page of a list: `number` counts from 1 to `pages`, `first` and `last` count what it holds from 1."""

    ids: tuple[Item, ...]
    number: int
    pages: int
    first: int
    last: int


def page_of(ids: Sequence[Item], number: int, size: int) -> Page[Item]:
    """Cut page `number` out of `ids`; a number past either end gives the page at that end."""
    pages = max(1, -(-len(ids) // size))
    number = min(max(number, 1), pages)
    start = (number - 1) * size
    shown = tuple(ids[start : start + size])
    return Page(shown, number, pages, start + bool(shown), start + len(shown))


def neighbours(ids: Sequence[str], image_id: str) -> tuple[str | None, str | None, int]:
    """Give the ids before and after one in a list, and its place counted from 1; (None, None, 0) if it is not in."""
    if image_id not in ids:
        return None, None, 0
    place = list(ids).index(image_id)
    return ids[place - 1] if place else None, ids[place + 1] if place + 1 < len(ids) else None, place + 1


def tags(row: pd.Series) -> list[str]:
    """What of an image is worth a word under its thumbnail: parts, split, hardware, defects."""
    said = [name for name in PARTS if row[name]]
    said += [row["split"]] if row["split"] else []
    said += ["hardware"] if row["hardware"] else []
    return said + [name for name in NAMES if row[name]]


def facts(table: pd.DataFrame, image_id: str) -> list[tuple[str, str]]:
    """Give all that a catalogue has of one image as (name, value) pairs in words."""
    row = table.loc[image_id]
    label, csv_label = (LABELS[1 - int(row[name])] for name in ("label", "csv_label"))
    views = [name for name in VIEWS if row[name]]
    said = [
        ("Label", label if label == csv_label else f"{label} (dataset.csv says {csv_label})"),
        ("Fractures", str(int(row["fracture_count"]))),
        ("Body part", ", ".join(name for name in PARTS if row[name]) or "not given"),
        ("View", ", ".join(views) or "not given"),
        ("Several body parts", "yes" if row["mixed"] else "no"),
        ("Several views on one film", "yes" if row["multiscan"] else "no"),
        ("Hardware", "yes" if row["hardware"] else "no"),
        ("Split", (row["split"] or "none") + (f" ({row['left_out']})" if row["left_out"] else "")),
        ("File", row["path"]),
    ]
    defects = [name for name in NAMES if row[name]]
    if defects:
        said.append(("Defects", ", ".join(defects)))
    if row["lost"]:
        said.append(("Picture lost", f"{row['lost']:.0%} of it, at the bottom"))
    if row["conflict_words"]:
        said.append(("Sources", row["conflict_words"]))
    return said
