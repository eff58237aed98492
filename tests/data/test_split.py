"""The split: the reference study's own sizes, and no image that lets the network recognise instead of read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fracture_core.data.split import Split, SplitError, leak_free, reference_split


def many(n: int = 4083, fractured: int = 717) -> tuple[list[str], list[int]]:
    labels = np.zeros(n, int)
    labels[np.random.default_rng(0).permutation(n)[:fractured]] = 1
    return [f"IMG{i:07}" for i in range(n)], labels.tolist()


def test_the_reference_split_has_the_studys_sizes() -> None:
    ids, labels = many()
    split = reference_split(ids, labels)
    label = dict(zip(ids, labels, strict=True))
    assert [len(part) for part in (split.train, split.val, split.test)] == [2858, 408, 817]
    fractured = [sum(label[i] for i in part) for part in (split.train, split.val, split.test)]
    assert fractured[2] == 143 and sum(fractured) == 717
    assert set(split.train) | set(split.val) | set(split.test) == set(ids) and split.left_out == {}


def test_the_reference_split_of_the_real_dataset(fracatlas_dir) -> None:
    from fracture_core.data.fracatlas import FracAtlas

    table = FracAtlas(fracatlas_dir).table
    split = reference_split(list(table.index), table["csv_label"].to_numpy())
    assert len(split.test) == 817 and table.loc[list(split.test), "csv_label"].sum() == 143


def test_the_split_depends_on_order_and_labels_alone_and_its_digest_on_the_split() -> None:
    ids, labels = many(200, 60)
    first, again = reference_split(ids, labels), reference_split(tuple(ids), np.array(labels))
    other = reference_split(ids[::-1], labels[::-1])
    assert first == again and first.digest == again.digest and len(first.digest) == 64
    assert other.digest != first.digest


@pytest.mark.parametrize(("n", "fractured"), [(5, 2), (40, 0), (100, 1), (0, 0)])
def test_too_few_to_divide_is_said(n: int, fractured: int) -> None:
    with pytest.raises(SplitError, match="at least ten"):
        reference_split(*many(n, fractured))


IDS = [f"IMG{i:07}" for i in range(60)]
GROUPS = st.lists(st.lists(st.sampled_from([*IDS, "elsewhere"]), min_size=2, max_size=5, unique=True), max_size=15)


@given(GROUPS, st.lists(st.sampled_from([*IDS, "elsewhere"]), max_size=10))
def test_nothing_in_train_or_val_is_known_from_what_it_is_judged_on(groups: list[list[str]], cut: list[str]) -> None:
    split = Split(tuple(IDS[:40]), tuple(IDS[40:48]), tuple(IDS[48:]), {})
    clean = leak_free(split, groups, cut)
    train, val, test = set(clean.train), set(clean.val), set(clean.test)
    for group in map(set, groups):
        assert not (group & train and group & (set(split.val) | test))
        assert not (group & val and group & test)
    assert not train & set(cut)
    assert clean.test == split.test
    # What is kept keeps its order, and what is gone is gone for a reason.
    assert clean.train == tuple(i for i in split.train if i in train)
    assert train | val | test | set(clean.left_out) == set(IDS) and not (train | val | test) & set(clean.left_out)
    for image_id, reason in clean.left_out.items():
        groups_of = [set(g) - {image_id} for g in groups if image_id in g]
        others = set().union(*groups_of)
        assert (
            (reason == "damaged file" and image_id in cut)
            or (reason == "duplicates an image of test" and others & test)
            or (reason == "duplicates an image of val or test" and others & (test | set(split.val)))
        )
    assert leak_free(clean, groups, cut) == clean


def test_a_picture_knows_its_part() -> None:
    split = leak_free(Split(("a", "b"), ("c",), ("d",), {}), [("a", "d")], [])
    assert [split.part_of(i) for i in "abcd"] == ["left out", "train", "val", "test"]
    assert split.part_of("nowhere") == "left out"
