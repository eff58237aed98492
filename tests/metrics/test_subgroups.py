"""Subgroups against the same figures computed on the rows alone, and their silence where they are small."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

from fracture_core.metrics.confusion import MetricsError, confusion, sigmoid
from fracture_core.metrics.subgroups import FEWEST, subgroup_row, subgroup_table
from tests.support.predictions import model_like


@pytest.fixture
def table():
    labels, logits = model_like(600, seed=1)
    rng = np.random.default_rng(1)
    part = rng.choice(["hand", "leg", "hip", "shoulder", "mixed"], 600, p=[0.4, 0.4, 0.1, 0.05, 0.05])
    columns = {name: (part == name).astype(int) for name in ("hand", "leg", "hip", "shoulder", "mixed")}
    columns |= {name: rng.integers(0, 2, 600) for name in ("frontal", "lateral", "oblique")}
    # As in FracAtlas: what has hardware is nearly always fractured.
    columns["hardware"] = np.where(labels == 1, rng.random(600) < 0.2, rng.random(600) < 0.003).astype(int)
    return pd.DataFrame({"label": labels, "probability": sigmoid(logits), **columns})


def test_each_row_is_its_own_radiographs(table):
    rows = {row.name: row for row in subgroup_table(table, 0.2)}
    assert next(iter(rows)) == "all"
    assert "one view on the film" not in rows
    for name, column, value in (("hand", "hand", 1), ("oblique", "oblique", 1), ("without hardware", "hardware", 0)):
        inside = table[table[column] == value]
        row = rows[name]
        assert row.confusion == confusion(inside["label"], inside["probability"], 0.2)
        assert row.auc.value == pytest.approx(sk.roc_auc_score(inside["label"], inside["probability"]))
        assert row.sensitivity.value == pytest.approx(sk.recall_score(inside["label"], inside["probability"] >= 0.2))
        assert row.specificity.low < row.specificity.value < row.specificity.high


def test_a_small_subgroup_gets_counts_and_no_rate(table):
    row = {row.name: row for row in subgroup_table(table, 0.2)}["with hardware"]
    assert row.confusion.negatives < FEWEST <= row.fractured
    assert row.n == int(table["hardware"].sum())
    assert (row.auc, row.sensitivity, row.specificity) == (None, None, None)
    assert row.too_small


@pytest.mark.parametrize(
    ("positives", "negatives", "small"), [(10, 10, False), (9, 10, True), (10, 9, True), (0, 50, True)]
)
def test_ten_of_each_is_enough(positives, negatives, small):
    labels = np.repeat([1, 0], [positives, negatives])
    row = subgroup_row("body part", "hip", labels, np.linspace(0, 1, labels.size), 0.5)
    assert row.too_small == small
    assert (row.sensitivity is None) == small
    assert row.n == positives + negatives


def test_a_plain_mapping_will_do_and_damage_is_refused():
    columns = {"label": [0, 1], "probability": [0.1, 0.9], "hand": [1, 0]}
    assert [row.name for row in subgroup_table(columns, 0.5)] == ["all", "hand"]
    with pytest.raises(MetricsError):
        subgroup_table(columns | {"label": [0, 3]}, 0.5)
