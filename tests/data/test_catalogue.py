"""The catalogue and its filters, against a plain loop over rows; what the dataset is made of; what its defects are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fracture_core.data.audit import Audit
from fracture_core.data.catalogue import (
    COUNTS,
    LABELS,
    ORDERS,
    PARTS,
    SPLITS,
    VIEWS,
    Filters,
    catalogue,
    choice_name,
    facet_counts,
    facts,
    select,
    tags,
    with_outcomes,
)
from fracture_core.data.dataset_statistics import classes_by_view
from fracture_core.data.defects import DEFECTS, NAMES, defect_text, ids_by_defect, pair_words, summary
from fracture_core.data.duplicates import DuplicatePair
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.data.split import project_split
from tests.support.miniature import Entry, build

FLAGS = (*PARTS, *VIEWS, "hardware", *NAMES)


def random_table(seed: int, n: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: rng.integers(0, 2, n) for name in FLAGS})
    table[list(NAMES)] = table[list(NAMES)].astype(bool)
    table["label"] = rng.integers(0, 2, n)
    table["fracture_count"] = rng.integers(0, 6, n)
    table["split"] = rng.choice(SPLITS, n)
    table["probability"] = np.where(rng.random(n) < 0.5, rng.random(n).round(1), np.nan)
    table.index = pd.Index([f"IMG{i:07}" for i in rng.permutation(n)], name="image_id")
    return table


def passes(row: pd.Series, filters: Filters) -> bool:
    """The same question asked of one row, in other words."""
    defects = [name for name in NAMES if row[name]] or ["none found"]
    count = int(row["fracture_count"])
    asked = [
        (filters.labels, ["fractured" if row["label"] else "not fractured"]),
        (filters.parts, [name for name in PARTS if row[name]]),
        (filters.views, [name for name in VIEWS if row[name]]),
        (filters.hardware, ["hardware" if row["hardware"] else "no hardware"]),
        (filters.splits, [row["split"]]),
        (filters.defects, defects),
        (filters.counts, [str(count) if count < 3 else "3 or more"]),
    ]
    words = filters.search.lower().replace(",", " ").split()
    found = not words or any(word in row.name.lower() for word in words)
    return found and all(set(wanted) & set(has) for wanted, has in asked if wanted)


def some(options):
    return st.lists(st.sampled_from(options), max_size=2).map(tuple)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 999),
    st.builds(
        Filters,
        some(LABELS),
        some(PARTS),
        some(VIEWS),
        some(("hardware", "no hardware")),
        some(SPLITS),
        some((*NAMES, "none found")),
        some(COUNTS),
        st.sampled_from(["", "  ", "1", "img000000", "0000003, 0000007", "nothing", "("]),
    ),
)
def test_filters_give_what_a_loop_over_the_rows_gives(seed, filters):
    table = random_table(seed, 40)
    expected = [image_id for image_id, row in table.iterrows() if passes(row, filters)]
    assert select(table, filters) == expected
    assert sorted(select(table, filters, "highest probability")) == sorted(expected)


@given(st.integers(0, 999), st.sampled_from(ORDERS[1:]))
def test_orders_sort_by_probability_and_put_unpredicted_images_last(seed, order):
    table = random_table(seed, 30)
    values = table.loc[select(table, Filters(), order), "probability"].tolist()
    known = [value for value in values if not np.isnan(value)]
    assert known == sorted(known, reverse=order == "highest probability")
    assert np.isnan(values[len(known) :]).all()


@pytest.mark.parametrize("seed", range(5))
def test_choices_are_counted_as_pressing_them_would_show(seed):
    table = with_outcomes(random_table(seed, 200), 0.3, 0.6)
    asked = Filters(labels=["fractured"], parts=["hand"], probability=(0.1, 0.9))
    for field, counts in facet_counts(table, asked).items():
        for choice, n in counts.items():
            assert n == len(select(table, replace(asked, **{field: [choice]})))


def test_outcomes_and_ranges_are_numpys():
    table = with_outcomes(random_table(1, 300), 0.3, 0.6)
    p, fractured = table["probability"].to_numpy(), table["label"].to_numpy() == 1
    right = set(table.index[((p >= 0.6) & fractured) | ((p < 0.3) & ~fractured)])
    wrong = set(table.index[((p >= 0.6) & ~fractured) | ((p < 0.3) & fractured)])
    assert set(select(table, Filters(outcomes=["correct"]))) == right
    assert set(select(table, Filters(outcomes=["wrong"]))) == wrong
    assert set(select(table, Filters(outcomes=["indeterminate"]))) == set(table.index[(p >= 0.3) & (p < 0.6)])
    assert set(select(table, Filters(probability=(0.5, 1.0)))) == set(table.index[p >= 0.5])
    assert set(select(table, Filters(probability=(0.0, 0.5)))) == set(table.index[p < 0.5])


def test_several_ids_find_those_images_alone():
    table = random_table(2, 60)
    table.index = [f"IMG{number:07}" for number in range(60)]
    assert select(table, Filters(search="5, 12 IMG0000031")) == ["IMG0000005", "IMG0000012", "IMG0000031"]
    assert select(table, Filters(search="0000031.jpg")) == ["IMG0000031"]
    assert len(select(table, Filters(search="5"))) == 15  # one word alone is any part of an id


def test_what_is_shown_of_an_image_is_words():
    table = random_table(3, 40)
    shown = {word for _, row in table.iterrows() for word in tags(row)}
    shown |= {choice_name(choice) for counts in facet_counts(table, Filters()).values() for choice in counts}
    shown |= {choice_name(name) for name in classes_by_view(table.assign(multiscan=1))["group"]}
    assert {"training", "validation", "upper limb", "several views", "conflicting sources"} <= shown
    assert not shown & {"train", "val", "hand", "leg", "multiscan", "conflict", "nan", "None", ""}
    assert Filters(splits=["val", "test"]).summary_text() == "validation or test"


def test_filters_say_what_they_ask_for():
    assert Filters().summary_text() == ""
    asked = Filters(labels=["fractured"], parts=["hand", "leg"], counts=["1"], defects=["none found"], search=" 32 ")
    assert asked.summary_text() == "fractured, upper limb or lower limb, no defect found, 1 fracture, id with '32'"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> FracAtlas:
    boxes = ((10.0, 20.0, 30.0, 12.0),)
    entries = [Entry(f"IMG{n:07}") for n in range(40)]
    entries += [Entry(f"IMG{n:07}", ("Fractured",), 1, boxes=boxes) for n in range(40, 60)]
    entries[3] = Entry("IMG0000003", ("Fractured",), 0, boxes=boxes)
    return FracAtlas(build(tmp_path_factory.mktemp("browse"), entries))


def findings(split) -> Audit:
    """An audit with one of everything; its pair reaches from train into test."""
    pair = DuplicatePair(split.train[0], split.test[0], "near", 0.9, 5)
    return Audit(
        images=60,
        missing={split.train[1]: 0.25},
        overwritten={split.test[1]: 0.5},
        duplicate_pairs=(pair,),
        opposite_labels=((split.train[0], split.test[0]),),
        conflicts={"IMG0000003": "dataset.csv says otherwise."},
        exif_turns=(),
    )


def test_the_catalogue_joins_what_is_known(dataset):
    bare = catalogue(dataset)
    assert list(bare.index) == list(dataset.table.index)
    assert not bare["split"].any()
    assert bare["probability"].isna().all()
    before = project_split(dataset, None)
    audit = findings(before)
    split = project_split(dataset, audit)
    table = catalogue(dataset, split, audit)
    assert table["split"].value_counts().to_dict() == {
        "train": len(before.train) - 2,
        "val": len(before.val),
        "test": len(before.test),
        "left out": 2,
    }
    assert table.at[before.train[0], "left_out"] == "duplicates an image of val or test"
    assert table.at[before.train[1], "left_out"] == "damaged file"
    assert table.at[before.train[1], "lost"] == 0.25
    for name, ids in ids_by_defect(audit).items():
        assert set(table.index[table[name]]) == set(ids) or name == "conflict"
    assert table.at["IMG0000003", "conflict"]


def test_predictions_are_joined_where_there_are_any(small_models):
    from fracture_core.bundle.loading import load_bundle

    bundle = load_bundle("small", small_models)
    dataset = FracAtlas(small_models.parent / "data")
    table = catalogue(dataset, predictions=bundle.predictions())
    predicted = bundle.predictions().set_index("image_id")
    assert table["probability"].notna().sum() == len(predicted)
    some_id = predicted.index[3]
    assert table.at[some_id, "probability"] == predicted.at[some_id, "probability"]
    assert table.loc[table.index.difference(predicted.index), "probability"].isna().all()


def test_one_image_in_words(dataset):
    split = project_split(dataset, None)
    audit = findings(split)
    table = catalogue(dataset, project_split(dataset, audit), audit)
    said = dict(facts(table, "IMG0000003"))
    assert said["Label"] == "fractured (dataset.csv says not fractured)"
    assert said["Body part"] == "upper limb"
    assert "dataset.csv says not fractured" in said["Sources"]
    assert dict(facts(table, split.train[1]))["Missing"].startswith("25 %")
    assert "truncated" in tags(table.loc[split.train[1]])


def test_every_defect_is_told_in_figures(dataset):
    split = project_split(dataset, None)
    audit = findings(split)
    table = catalogue(dataset, project_split(dataset, audit), audit)
    assert "**1** of 60 images" in summary(table, audit, "truncated")
    assert "1 left out of the split" in summary(table, audit, "truncated")
    assert "0 of 1 pairs are identical" in summary(table, audit, "duplicate")
    assert summary(table, audit, "EXIF rotation") == "None found."
    assert defect_text(audit, "truncated", split.train[1]) == "25 % of the image lost"
    assert defect_text(audit, "conflict", "IMG0000003") == "dataset.csv says otherwise."
    assert pair_words(audit.duplicate_pairs[0]).endswith("the second rotated by 90 degrees and mirrored.")
    assert pair_words(DuplicatePair("a", "b", "exact", 1.0, 0)) == "Identical pixels."
    assert {defect.name for defect in DEFECTS} == set(ids_by_defect(audit))


def test_the_real_dataset_in_its_published_figures(fracatlas_dir):
    table = catalogue(FracAtlas(fracatlas_dir), project_split(FracAtlas(fracatlas_dir), None))
    assert len(select(table, Filters())) == 4083
    assert len(select(table, Filters(labels=["fractured"]))) == 717
    assert len(select(table, Filters(splits=["test"]))) == 817
    assert len(select(table, Filters(hardware=["hardware"]))) == 99
    assert select(table, Filters(search="img0003298.jpg")) == ["IMG0003298"]
