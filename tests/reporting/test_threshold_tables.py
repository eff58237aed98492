"""The tables of the threshold page: scikit-learn's figures, and sums that add up."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from fracture_core.evaluation.predictions import Predictions
from fracture_core.metrics.confusion import MetricsError
from fracture_core.reporting.threshold_live import live_table
from fracture_core.reporting.threshold_tables import figures_csv, in_1000, rows_table
from tests.support.predictions import like_the_test_set
from tests.support.sklearn_figures import as_shown, of_sklearn


@pytest.fixture(scope="module")
def test_split() -> Predictions:
    return like_the_test_set()


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.5, 0.8, 0.0, 1.0])
def test_the_table_is_scikit_learns_on_a_full_test_set(test_split, threshold):
    expected = of_sklearn(test_split.labels, test_split.probabilities, threshold)
    rows = live_table(test_split.confusion(threshold))["rows"]
    assert {row["name"]: row["value"] for row in rows} == as_shown(expected)
    exact = pd.read_csv(io.StringIO(figures_csv(test_split, threshold, "a bundle")))
    assert exact["value"].to_numpy() == pytest.approx(list(expected.values()), nan_ok=True)


def test_rows_of_a_cell_begin_with_the_surest(test_split):
    missed = test_split.in_cell("FN", 0.3)
    assert missed["probability"].is_monotonic_increasing
    assert test_split.in_cell("FP", 0.3)["probability"].is_monotonic_decreasing
    assert rows_table(missed)["View"].unique().tolist() == ["frontal, lateral"]
    with pytest.raises(MetricsError, match="no cell"):
        test_split.in_cell("XX", 0.3)


def test_in_1000_adds_up(test_split):
    matrix = test_split.confusion(0.3)
    for prevalence in (0, 0.013, 0.2, 1):
        cells = in_1000(matrix, prevalence)
        assert sum(cells.values()) == 1000
        assert cells["TP"] + cells["FN"] == round(1000 * prevalence)
        assert cells["TP"] == pytest.approx(1000 * prevalence * matrix.sensitivity, abs=1)
