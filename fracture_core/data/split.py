"""Train, val and test: the reference study's own partition of FracAtlas, made leak-free; a user's own; or both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fracture_core.data.combined.dataset import CombinedDataset, is_site
from fracture_core.data.duplicates import group as group_pairs
from fracture_core.data.duplicates import leaders
from fracture_core.data.user_dataset import OwnDataset
from fracture_core.errors import FractureCoreError

if TYPE_CHECKING:
    import pandas as pd

    from fracture_core.data.audit import Audit
    from fracture_core.data.dataset import Dataset

_SEED = 42


class SplitError(FractureCoreError):
    """A dataset that cannot be divided, for instance because one class has too few images."""


@dataclass(frozen=True)
class Split:
    """Three disjoint tuples of image ids, and what was taken out: id -> the reason in words."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    left_out: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the three lists in order; equal digests mean equal splits."""
        text = "\n".join(f"{name}:{','.join(getattr(self, name))}" for name in ("train", "val", "test"))
        return hashlib.sha256(text.encode()).hexdigest()

    def part_of(self, image_id: str) -> str:
        """Return the part that an image is in.

        Args:
            image_id: The image.

        Returns:
            "train", "val", "test" or "left out".
        """
        return self._parts.get(image_id, "left out")

    @property
    def _parts(self) -> dict[str, str]:
        return {i: name for name in ("train", "val", "test") for i in getattr(self, name)}


def reference_split(image_ids: Sequence[str], labels: Sequence[int]) -> Split:
    """Split as the reference study did: 70 % train, 10 % val, 20 % test, stratified, seed 42.

    Args:
        image_ids: In the order of dataset.csv; this gives the study's own 2,858 / 408 / 817.
        labels: 0 or 1, from its `fractured` column.

    Returns:
        The split.

    Raises:
        SplitError: A class is too small to be in each part.
    """
    from sklearn.model_selection import train_test_split  # seconds to import, and most users of a split draw none

    ids, y = np.asarray(image_ids), np.asarray(labels)
    try:
        if len(set(y.tolist())) < 2:
            raise ValueError("one class only")
        train, rest, _, y_rest = train_test_split(ids, y, test_size=0.3, random_state=_SEED, stratify=y)
        val, test = train_test_split(rest, test_size=0.6667, random_state=_SEED, stratify=y_rest)
    except ValueError as error:
        raise SplitError(
            "This dataset cannot be split into train, val and test: it needs at least ten images of each class."
        ) from error
    train, val, test = (tuple(map(str, part)) for part in (train, val, test))
    return Split(train=train, val=val, test=test, left_out={})


def leak_free(split: Split, duplicate_groups: Iterable[Sequence[str]], damaged: Iterable[str]) -> Split:
    """Remove from train and val what would let the network recognise rather than read.

    Whatever in train duplicates something in val or test leaves train; whatever in val duplicates something in test
    leaves val. Damaged images (truncated, or overwritten with one repeated block) leave train, because in FracAtlas the
    damage reveals the label. Test stays complete.

    Args:
        split: The original split.
        duplicate_groups: Ids that show the same image.
        damaged: Ids of damaged images.

    Returns:
        The new split.
    """
    part = {i: name for name in ("train", "val", "test") for i in getattr(split, name)}
    left_out = dict(split.left_out)
    for group in duplicate_groups:
        parts = {part.get(i) for i in group}
        for image_id in group:
            if part.get(image_id) == "train" and parts & {"val", "test"}:
                left_out[image_id] = "duplicates an image of val or test"
            elif part.get(image_id) == "val" and "test" in parts:
                left_out[image_id] = "duplicates an image of test"
    for image_id in damaged:
        if part.get(image_id) == "train":
            left_out.setdefault(image_id, "damaged file")
    train, val = (tuple(i for i in ids if i not in left_out) for ids in (split.train, split.val))
    return Split(train, val, split.test, left_out)


def project_split(dataset: Dataset, audit: Audit | None) -> Split:
    """Return the split that this project trains and tests on.

    For FracAtlas the reference study's, made leak-free by the audit; without an audit as published, leaks included. For
    a user's own radiographs `own_split`, for both together `combined_split`.

    Args:
        dataset: The dataset.
        audit: Its audit, or None.

    Returns:
        The split.

    Raises:
        SplitError: The dataset is too small to be split.
    """
    if isinstance(dataset, CombinedDataset):
        return combined_split(dataset, audit)
    if isinstance(dataset, OwnDataset):
        return own_split(dataset, audit)
    return _fracatlas_split(dataset.table, *_defects(audit))


def own_split(dataset: OwnDataset, audit: Audit | None) -> Split:
    """Split a user's own radiographs: as their split column says, else 70 % train, 10 % val, 20 % test.

    Images of one patient, and with an audit those that show the same image, stay together. If the column says
    otherwise, or names no val, duplicates leave train as in `leak_free` and val is taken from train. Damaged images
    leave train with an audit.

    Args:
        dataset: The dataset.
        audit: Its audit, or None.

    Returns:
        The split.

    Raises:
        SplitError: A part would lack a class.
    """
    return _own_split(dataset.table, dataset.name, *_defects(audit))


def combined_split(dataset: CombinedDataset, audit: Audit | None) -> Split:
    """Split FracAtlas and a site's films, each by itself and as it would be alone.

    With an audit a site's film that shows the same image as one of FracAtlas is left out, whichever parts the two
    would be in: FracAtlas's split stays the reference study's, and its figures stay comparable.

    Args:
        dataset: Both.
        audit: Their audit, or None.

    Returns:
        The split.

    Raises:
        SplitError: A part of the site's films would lack a class.
    """
    groups, damaged = _defects(audit)
    of_site = dataset.table.index.map(is_site)
    copies = {
        image_id: f"shows the same image as {next(i for i in group if not is_site(i))} of {dataset.fracatlas.name}"
        for group in groups
        for image_id in group
        if is_site(image_id) and not all(map(is_site, group))
    }
    films = dataset.table[of_site].drop(index=list(copies))
    site = _own_split(films, dataset.site.name, [[i for i in g if i in films.index] for g in groups], damaged)
    # A film of the site may be all that links two images of FracAtlas; alone they are no pair.
    pairs = audit.duplicate_pairs if audit else ()
    own_groups = group_pairs(tuple(p for p in pairs if not is_site(p.first) and not is_site(p.second)))
    fracatlas = _fracatlas_split(dataset.table[~of_site], own_groups, damaged)
    return Split(
        train=fracatlas.train + site.train,
        val=fracatlas.val + site.val,
        test=fracatlas.test + site.test,
        left_out=fracatlas.left_out | copies | site.left_out,
    )


def _defects(audit: Audit | None) -> tuple[Sequence[Sequence[str]], tuple[str, ...]]:
    """Return the groups of duplicates and the damaged images; nothing without an audit."""
    return (audit.duplicate_groups, (*audit.cut_short, *audit.overwritten)) if audit else ((), ())


def _fracatlas_split(table: pd.DataFrame, duplicates: Sequence[Sequence[str]], damaged: Sequence[str]) -> Split:
    return leak_free(reference_split(list(table.index), table["csv_label"].to_numpy()), duplicates, damaged)


def _own_split(table: pd.DataFrame, name: str, duplicates: Sequence[Sequence[str]], damaged: Sequence[str]) -> Split:
    patients = [tuple(ids) for patient, ids in table.groupby("patient", sort=False).groups.items() if patient]
    together = leaders([*([image_id] for image_id in table.index), *patients, *(g for g in duplicates if g)])
    part = _given_parts(table) if (table["split"] != "").any() else _drawn_parts(table["label"], together)
    if "val" not in part:
        part = {**part, **_drawn_val(table["label"], together, part["train"])}
    train, val, test = (tuple(map(str, part[name])) for name in ("train", "val", "test"))
    split = leak_free(Split(train=train, val=val, test=test, left_out={}), duplicates, damaged)
    for part_name in ("train", "val", "test"):
        if table.loc[list(getattr(split, part_name)), "label"].nunique() < 2:
            raise SplitError(
                f"The {part_name} images of {name} would all be of one class: it takes more images, or more "
                "patients, of the rarer class to divide them."
            )
    return split


def _given_parts(table: pd.DataFrame) -> dict[str, list[str]]:
    blank = int((table["split"] == "").sum())
    parts = {str(name): list(rows.index) for name, rows in table.groupby("split") if name}
    if blank:
        raise SplitError(f"{blank} images have no split: give every image train, val or test, or none.")
    if missing := [name for name in ("train", "test") if name not in parts]:
        raise SplitError(
            f"No image has the split {missing[0]}: give train, test and if wanted val, or no split at all."
        )
    return parts


def _drawn_parts(labels: pd.Series, together: Mapping[str, str]) -> dict[str, list[str]]:
    folds = _folds(labels, together, 10)
    return {"test": folds[0] + folds[1], "val": folds[2], "train": [i for fold in folds[3:] for i in fold]}


def _drawn_val(labels: pd.Series, together: Mapping[str, str], train: Sequence[str]) -> dict[str, list[str]]:
    folds = _folds(labels[list(train)], together, 8)
    return {"val": folds[0], "train": [i for fold in folds[1:] for i in fold]}


def _folds(labels: pd.Series, together: Mapping[str, str], n: int) -> list[list[str]]:
    """Divide into `n` folds of like size and classes, and keep groups together."""
    from sklearn.model_selection import StratifiedGroupKFold

    groups = [together[i] for i in labels.index]
    folds = StratifiedGroupKFold(n, shuffle=True, random_state=_SEED)
    try:
        divided = [held for _, held in folds.split(labels, labels, groups)]
    except ValueError as error:
        raise SplitError(
            f"These {len(labels)} images cannot be split into train, val and test: it takes at least {n} of each "
            f"class, and at least {n} patients where patients are named."
        ) from error
    return [[labels.index[k] for k in fold] for fold in divided]
