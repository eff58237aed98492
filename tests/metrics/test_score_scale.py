"""A site's scale moves probabilities and thresholds together: the same films stay in the same groups."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from fracture_core.metrics.confusion import MetricsError
from fracture_core.metrics.operating_points import OperatingPoint, answer
from fracture_core.metrics.score_scale import ScoreScale, SiteRecord

RECORD = SiteRecord(240, 61, "ab" * 32, 1.7, -0.4, 0.05, 0.95, True, 88, 1, 0.0526)


def point(name: str, threshold: float) -> OperatingPoint:
    return OperatingPoint(name, threshold, "", "site", 0.9, 0.8, site=RECORD)


def test_probabilities_are_those_of_a_logistic_curve():
    logits = np.linspace(-30, 30, 301)
    assert np.allclose(ScoreScale(1.7, -0.4).probability(logits), expit(logits / 1.7 - 0.4), rtol=1e-12)


@given(
    st.floats(0.001, 0.999), st.floats(0.001, 0.999), st.floats(0.05, 20), st.floats(0.05, 20), st.floats(-5, 5),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_the_same_films_get_the_same_answer_on_both_scales(low, high, own, temperature, offset, seed):
    low, high = sorted((low, high))
    if high - low < 1e-6:
        return
    logits = np.random.default_rng(seed).normal(0, 3, 200)
    before, after = ScoreScale(own), ScoreScale(temperature, offset)
    moved = [after.threshold_from(before, threshold) for threshold in (low, high)]
    if moved[1] - moved[0] < 1e-12:  # probabilities so near 0 or 1 that doubles cannot tell them apart
        return
    for p, q in zip(before.probability(logits), after.probability(logits), strict=True):
        if min(abs(p - low), abs(p - high)) > 1e-9 and 1e-12 < q < 1 - 1e-12:
            assert answer(p, low, high) == answer(q, *moved)


@pytest.mark.parametrize("threshold", [0.0, float(np.nextafter(1.0, 2.0))])
def test_a_threshold_that_decides_all_films_alike_stays(threshold):
    assert ScoreScale(0.5, 3).threshold_from(ScoreScale(2), threshold) == threshold


def test_a_saved_point_reads_back_and_is_moved_once():
    saved = point("Ward 7 (rule-out)", 0.2)
    read = OperatingPoint.from_dict(json.loads(json.dumps(saved.to_dict())))
    assert read == saved
    moved = read.on_site_scale(2.0)
    assert moved.threshold == pytest.approx(expit(2.0 * np.log(0.2 / 0.8) / 1.7 - 0.4))
    assert moved.on_site_scale(2.0) is moved
    ordinary = OperatingPoint("mine", 0.3, "", "val", 0.9, 0.8)
    assert ordinary.on_site_scale(2.0) is ordinary and set(ordinary.to_dict()).isdisjoint({"site", "scale"})


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0},
        {"temperature": "1"},
        {"films": None},
        {"holds": 1},
        {"digest": "ab"},
        {"bound": float("nan")},
    ],
)
def test_a_damaged_record_is_refused_in_words(change):
    data = point("x", 0.5).to_dict()
    data["site"] |= change
    with pytest.raises(MetricsError, match="cannot be read"):
        OperatingPoint.from_dict(data)
