"""What the Training page says of runs: times, sizes, the table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fracture_core.jobs.history import (
    history_rows,
)
from fracture_core.reporting.training_text import copies_in_words, duration, size
from tests.support.small import small_dataset


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.4, "0 s"),
        (89, "89 s"),
        (91, "2 min"),
        (5000, "83 min"),
        (5401, "1 h 30 min"),
    ],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_sizes():
    assert (size(1), size(2.5e6), size(2.5e9)) == ("1 MB", "3 MB", "2.5 GB")


def test_copies_are_said_to_be_left_out_only_where_they_are(tmp_path):
    dataset = small_dataset(tmp_path, 20)
    assert "left out of training" in copies_in_words(dataset, True)
    assert copies_in_words(dataset, False).startswith("Copies of test images stay in training")


def test_tables_for_people_hold_what_is_known(interrupted_run, models):
    from fracture_core.reporting.training_text import history_table

    table = history_table(history_rows(root=models), "small")
    assert table["Run"].tolist() == [interrupted_run.name] and table["State"].tolist() == ["interrupted"]
    assert table["Validation AUC"].tolist() == [0.9] and np.isnan(table["Test AUC"][0])
    assert isinstance(table, pd.DataFrame) and table["Time"].tolist() == ["33 s"]
