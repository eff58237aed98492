"""Train, val and test: the reference study's own partition, made leak-free."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import train_test_split

from fracture_core.errors import FractureCoreError

if TYPE_CHECKING:
    from fracture_core.audit import Audit
    from fracture_core.fracatlas import FracAtlas

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
        """'train', 'val', 'test', or 'left out'."""
        return self._parts.get(image_id, "left out")

    @property
    def _parts(self) -> dict[str, str]:
        return {i: name for name in ("train", "val", "test") for i in getattr(self, name)}


def reference_split(image_ids: Sequence[str], labels: Sequence[int]) -> Split:
    """Divide as the reference study did: 70 % train, 10 % val, 20 % test, stratified, seed 42.

    `image_ids` in dataset.csv's order and `labels` (0 / 1) from its `fractured` column give the study's own 2,858 /
    408 / 817. Raises SplitError where a class is too small to be in each part.
    """
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
    return Split(*(tuple(map(str, part)) for part in (train, val, test)), left_out={})


def leak_free(split: Split, duplicate_groups: Iterable[Sequence[str]], damaged: Iterable[str]) -> Split:
    """Take out of train and val what would let the network recognise rather than read.

    What is in train and duplicates something in val or test leaves train; what is in val and duplicates something
    in test leaves val. Damaged images (cut short, or overwritten with one repeated block) leave train, because in
    FracAtlas the damage tells the label. Test stays whole.
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


def project_split(dataset: FracAtlas, audit: Audit | None) -> Split:
    """The split that everything here is trained and tested on: the reference study's, made leak-free by the audit.

    Without an audit it is the reference study's as it was, leaks and all. Raises SplitError where the dataset is too
    small to be divided.
    """
    split = reference_split(list(dataset.table.index), dataset.table["csv_label"].to_numpy())
    if audit is None:
        return split
    return leak_free(split, audit.duplicate_groups, (*audit.cut_short, *audit.overwritten))
