"""The words of an answer never contradict its figures, and what was not read is never called normal."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fracture_core.formatting import format_percent
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.assessment import UNFAMILIAR, not_read
from fracture_core.inference.cautions import unlike_validated
from fracture_core.inference.predictor import load_predictor
from fracture_core.metrics.operating_points import ABOVE, BELOW, FINDINGS, OperatingPoint, answer
from fracture_core.reporting.finding_text import (
    explain_finding,
    kind_of,
    points_in_words,
    probability_in_words,
    thresholds_in_words,
)
from fracture_core.reporting.worklist import Entry

shares = st.floats(0, 1)


def point(threshold: float, name: str = "single") -> OperatingPoint:
    return OperatingPoint(name, threshold, "", "val", 0.9, 0.6)


@pytest.fixture(scope="module")
def predictor(small_models):
    return load_predictor("small", small_models)


@pytest.fixture(scope="module")
def finding(predictor, radiograph):
    return dataclasses.replace(predictor.predict(radiograph), unfamiliarity=0.5)


@pytest.fixture(scope="module")
def radiograph(small_models):
    return read_radiograph(sorted((small_models.parent / "data" / "images" / "Fractured").iterdir())[0])


@given(shares, shares)
def test_one_threshold_never_says_that_a_fracture_is_likely(probability, threshold):
    said = answer(probability, threshold, threshold)
    assert said in (BELOW, ABOVE)
    assert (kind_of(said) == "above") == (probability >= threshold)


@given(shares, shares, shares)
def test_two_thresholds_give_three_answers(probability, low, high):
    said = answer(probability, low, high)
    assert (said in FINDINGS) == (low != high)


def test_the_card_says_one_probability_and_counts_the_test_set_apart(predictor, radiograph):
    finding = dataclasses.replace(predictor.predict(radiograph), unfamiliarity=0.5)
    words = explain_finding(finding, predictor.bundle)
    test = predictor.bundle.predictions().query("split == 'test'")
    far = (test["probability"] - finding.probability).abs()
    count = min(100, max(20, (far <= 0.1).sum()))
    nearest = test.assign(far=far).nsmallest(count, "far", keep="all")
    found = re.search(r"In the test set, (\d+) of (\d+) films with a similar score", words.like_this)
    assert [int(n) for n in found.groups()] == [int(nearest["label"].sum()), len(nearest)]
    assert "95 % CI" in words.like_this
    assert format_percent(finding.probability) not in words.headline


def test_an_image_unlike_those_of_the_validation_is_answered_with_caution(predictor, radiograph):
    finding = dataclasses.replace(predictor.predict(radiograph), unfamiliarity=0.5)
    assert explain_finding(dataclasses.replace(finding, warnings=()), predictor.bundle).caution == ""
    warned = dataclasses.replace(finding, warnings=("Another one.", unlike_validated(["dark"], {})))
    words = explain_finding(warned, predictor.bundle)
    assert words.caution == "With caution: unusual image"
    assert words.headline == explain_finding(finding, predictor.bundle).headline
    assert Entry.of(warned).doubted
    assert not Entry.of(finding).doubted


def test_what_is_outside_the_scope_is_not_read_and_gets_no_figure(predictor, radiograph):
    words = explain_finding(dataclasses.replace(predictor.predict(radiograph), unfamiliarity=1.5), predictor.bundle)
    assert words.headline == "Not read: outside the model's scope"
    assert (words.kind, words.reason, words.like_this, words.rate) == ("not-read", UNFAMILIAR, "", None)
    assert kind_of(not_read(UNFAMILIAR)) == kind_of("not read") == "not-read"


@example(0.0, 0.001, 0.5)
@example(1.0, 0.5, 0.999)
@given(shares, shares, shares)
def test_the_printed_probability_lies_on_its_side_of_the_printed_thresholds(finding, probability, low, high):
    low, high = round(low, 3), round(high, 3)
    finding = dataclasses.replace(finding, probability=probability, rule_out=point(low), rule_in=point(high))
    beyond, printed = re.fullmatch(r"([<>]?) ?([\d.]+) %", probability_in_words(finding)).groups()
    # "< 0.1 %" lies below 0.1 %.
    shown = float(printed) + {"<": -1e-6, ">": 1e-6, "": 0}[beyond]
    for threshold in (low, high):
        if abs(probability - threshold) > 0.0006:
            assert (shown >= 100 * threshold - 1e-9) == (probability >= threshold)


def test_the_thresholds_fit_one_line():
    assert thresholds_in_words(point(0.02), point(0.43)) == "Unlikely < 2 %; indeterminate 2 % to 43 %; likely ≥ 43 %."
    assert thresholds_in_words(point(0.022), point(0.022)) == "Look again at 2.2 % or above."
    assert thresholds_in_words(point(0.09), point(0.09)) == "Look again at 9 % or above."
    assert thresholds_in_words(point(0.6), point(0.4)) == "Unlikely < 40 %; likely ≥ 40 %."
    assert points_in_words(point(0.02), point(0.43)).startswith(thresholds_in_words(point(0.02), point(0.43)))
