"""A site's calibration is divided by patient, says what it cannot promise, and is offered once saved."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.linear_model import LogisticRegression

from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.saved_points import offered
from fracture_core.bundle.validation import BundleError
from fracture_core.evaluation import site_calibration as module
from fracture_core.evaluation.saved_site_calibrations import load_site_calibrations, save_site_calibration
from fracture_core.evaluation.site_calibration import SiteCalibrationError, calibrate_site, promise_text


def films(n: int, rng: np.random.Generator, *, a_patient: int = 1, separation: float = 4.0):
    """Ids, labels, logits and patients of a simulated site."""
    owner = np.arange(n) // a_patient
    labels = (rng.random(owner.max() + 1) < 0.25).astype(int)[owner]
    logits = rng.normal(labels * separation, 1.0) - 3
    return [f"film{k}" for k in range(n)], labels, logits, [f"patient{k}" for k in owner]


@pytest.fixture
def bundle(own_models):
    return load_bundle("small", own_models)


def test_patients_stay_on_one_side_and_testing_has_one_film_each():
    rng = np.random.default_rng(0)
    _, labels, _, patients = films(900, rng, a_patient=3)
    parts = module._divide(labels.astype(bool), patients, 0)
    owners = {name: [patients[k] for k in places] for name, places in parts.items()}
    assert not set(owners["tuning"]) & set(owners["testing"]) | set(owners["tuning"]) & set(owners["report"])
    assert not set(owners["testing"]) & set(owners["report"])
    assert len(set(owners["testing"])) == len(owners["testing"]) == 120
    assert (len(owners["tuning"]), len(owners["report"])) == (360, 180)


@pytest.mark.parametrize(("n", "separation"), [(3000, 1.5), (60, 3.0), (16, 12.0)])
def test_the_scale_is_logistic_regressions_towards_platts_targets(n: int, separation: float):
    rng = np.random.default_rng(1)
    _, labels, logits, _ = films(n, rng, separation=separation)
    fractured, sound = int(labels.sum()), int((1 - labels).sum())
    scale = module._fit_scale(labels.astype(bool), logits)
    target = np.where(labels == 1, (fractured + 1) / (fractured + 2), 1 / (sound + 2))
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(
        np.tile(logits, 2)[:, None], np.repeat([1, 0], n), sample_weight=np.concatenate([target, 1 - target])
    )
    assert 1 / scale.temperature == pytest.approx(reference.coef_[0, 0], rel=1e-2)
    assert scale.offset == pytest.approx(reference.intercept_[0], abs=1e-2)
    assert np.allclose(scale.probability(logits), reference.predict_proba(logits[:, None])[:, 1], atol=2e-3)

    def loss(values):
        scaled = logits * values[0] + values[1]
        return (np.logaddexp(0, scaled) - target * scaled).mean()

    assert np.abs(approx_fprime([1 / scale.temperature, scale.offset], loss)).max() < 1e-3


def test_a_few_films_that_are_easily_told_apart_give_no_certainty():
    labels = np.repeat([False, True], 8)
    logits = np.where(labels, 4.0, -4.0) + np.linspace(-0.5, 0.5, 16)
    probabilities = module._fit_scale(labels, logits).probability(logits)
    assert 0.05 < probabilities[:8].mean() < 0.15 and 0.85 < probabilities[8:].mean() < 0.95


def test_before_and_after_are_of_films_that_took_no_part(bundle):
    rng = np.random.default_rng(2)
    made = calibrate_site(bundle, *films(1500, rng), name="St Mary's", alpha=0.02, beta=0.8)
    assert made.films["all"] == sum(made.films[part] for part in ("tuning", "testing", "report")) == 1500
    for groups in (made.before, made.after):
        assert sum(group.n for group in groups) == made.films["report"]
        assert sum(group.fractured for group in groups) == made.fractured["report"]
    assert made.unlikely.holds and made.likely.holds
    unlikely, _, likely = made.after
    assert unlikely.n > 100 and unlikely.fractured / unlikely.n < 0.05 and likely.fractured / likely.n > 0.7
    assert made.ece[1] < made.ece[0]
    again = calibrate_site(bundle, *films(1500, np.random.default_rng(2)), name="St Mary's", alpha=0.02, beta=0.8)
    assert again.points[0].threshold == made.points[0].threshold and again.digest == made.digest


def test_what_cannot_be_promised_calls_no_film_by_it(bundle):
    rng = np.random.default_rng(3)
    made = calibrate_site(bundle, *films(150, rng), name="few", alpha=0.001, beta=0.999, confidence=0.99)
    assert not made.unlikely.holds and not made.likely.holds
    assert [group.n for group in made.after] == [0, made.films["report"], 0]
    assert "Cannot be promised" in promise_text(made.unlikely) and "more" in promise_text(made.unlikely)


def test_a_criterion_counts_at_the_threshold_that_is_saved(bundle):
    """Where scores separate well, the widest thresholds often cross, and another pair of accepted ones is used."""
    moved = []
    for seed in range(6):
        made = calibrate_site(bundle, *films(1500, np.random.default_rng(seed), separation=6.0), name="x", alpha=0.02)
        moved += [p.threshold != q.threshold for p, q in zip(made.points, (made.unlikely, made.likely), strict=True)]
        for point in made.points:
            site = point.site
            assert site.holds and f"({site.group_fractured} of {site.group} in the testing films;" in point.criterion
    assert any(moved)


def test_a_group_that_gives_way_is_promised_nothing(bundle, monkeypatch):
    monkeypatch.setattr(module, "consistent_pair", lambda unlikely, likely: (unlikely.threshold, None))
    made = calibrate_site(bundle, *films(1500, np.random.default_rng(2)), name="x", alpha=0.02)
    assert made.points[1].threshold > 1 and made.points[1].criterion.startswith("No film is called likely")


def test_it_is_offered_among_the_operating_points_once_saved(bundle, own_models):
    rng = np.random.default_rng(4)
    made = calibrate_site(bundle, *films(800, rng), name="St Mary's", alpha=0.05)
    for _ in range(2):  # what is pressed twice is saved once
        save_site_calibration(bundle, made)
    fresh = load_bundle("small", own_models)
    rule_out, rule_in = offered(fresh.chosen_points())["St Mary's"]
    assert (rule_out.threshold, rule_in.threshold) == tuple(point.threshold for point in made.points)
    assert rule_out.split == "site" and "800 films" in rule_out.note and made.digest[:12] in rule_in.note
    (entry,) = load_site_calibrations(fresh)
    assert entry == json.loads(json.dumps(made.to_json()))
    with pytest.raises(BundleError, match="already"):
        save_site_calibration(bundle, replace(made, digest="0" * 64))
    assert len(load_site_calibrations(bundle)) == 1


def test_too_few_films_are_said(bundle):
    with pytest.raises(SiteCalibrationError, match="at least 10 fractured"):
        calibrate_site(bundle, *films(20, np.random.default_rng(0)), name="x")
    ids, labels, logits, _ = films(100, np.random.default_rng(0))
    with pytest.raises(SiteCalibrationError, match="too few patients"):
        calibrate_site(bundle, ids, labels, logits, ["one" if label else "two" for label in labels], name="x")
