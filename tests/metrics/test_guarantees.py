"""The promises hold as often as they say, on simulated sites whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm

from fracture_core.metrics import guarantees as module
from fracture_core.metrics.confusion import MetricsError, checked, sigmoid
from fracture_core.metrics.guarantees import Promise, consistent_pair, lower_bound, promise, upper_bound

SITES = 2000


@given(n=st.integers(1, 400), share=st.floats(0, 1), confidence=st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_bounds_are_clopper_and_pearsons(n, share, confidence):
    k = round(share * n)
    # SciPy's two-sided interval at 2c - 1 has the one-sided bounds at c.
    interval = binomtest(k, n).proportion_ci(2 * confidence - 1, method="exact")
    assert upper_bound(k, n, confidence) == pytest.approx(interval.high, abs=1e-9)
    assert lower_bound(k, n, confidence) == pytest.approx(interval.low, abs=1e-9)


class Site:
    """Scores of two normal distributions: what is fractured below any threshold is known exactly."""

    def __init__(self, prevalence: float, separation: float):
        self.prevalence, self.separation = prevalence, separation

    def films(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        labels = (rng.random(n) < self.prevalence).astype(int)
        return labels, sigmoid(rng.normal(labels * self.separation, 1.0) - 2)

    def fractured_share(self, group: str, threshold: float) -> float:
        logit = np.log(threshold) - np.log1p(-threshold) + 2
        tail = norm.cdf if group == "unlikely" else norm.sf
        fractured = self.prevalence * tail(logit, self.separation)
        return fractured / (fractured + (1 - self.prevalence) * tail(logit, 0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "share", "prevalence", "separation", "films"),
    [
        ("unlikely", 0.02, 0.2, 2.5, 600),
        ("unlikely", 0.05, 0.3, 1.5, 300),
        ("unlikely", 0.10, 0.1001, 0.0, 400),  # scores that say nothing, at the very edge of the promise
        ("likely", 0.80, 0.2, 2.5, 600),
        ("likely", 0.60, 0.3, 1.5, 300),
        ("likely", 0.30, 0.2999, 0.0, 400),
    ],
)
def test_promises_are_broken_no_oftener_than_promised(group, share, prevalence, separation, films):
    confidence, site = 0.9, Site(prevalence, separation)
    rng = np.random.default_rng(7)
    broken = 0
    for _ in range(SITES):
        kept = promise(group, share, confidence, site.films(films // 2, rng), site.films(films // 2, rng))
        if kept.threshold is not None and kept.threshold < 1:
            true = site.fractured_share(group, kept.threshold)
            broken += true > share if group == "unlikely" else true < share
    # At most 1 - confidence, but for the simulation's own binomial error (one in a thousand).
    assert broken <= binom.ppf(0.999, SITES, 1 - confidence)


def test_a_useful_model_is_given_a_useful_threshold():
    site, rng = Site(0.2, 3.0), np.random.default_rng(1)
    kept = promise("unlikely", 0.02, 0.95, site.films(1000, rng), site.films(1000, rng))
    assert kept.holds and kept.bound <= 0.02 and kept.n > 500
    assert site.fractured_share("unlikely", kept.threshold) < 0.02
    assert kept.films_needed is None


def test_too_few_films_say_how_many_more_it_takes():
    site, rng = Site(0.2, 3.0), np.random.default_rng(2)
    few = promise("unlikely", 0.01, 0.95, site.films(60, rng), site.films(60, rng))
    assert not few.holds and few.bound > 0.01
    assert few.films_needed is not None and few.films_needed > 100
    n = 120 + few.films_needed
    # With that many the promise is kept in most draws.
    kept = [promise("unlikely", 0.01, 0.95, site.films(n // 2, rng), site.films(n // 2, rng)).holds for _ in range(40)]
    assert np.mean(kept) > 0.5


def test_a_hopeless_model_is_told_so():
    site, rng = Site(0.4, 0.0), np.random.default_rng(3)
    kept = promise("unlikely", 0.01, 0.95, site.films(400, rng), site.films(400, rng))
    assert not kept.holds and kept.films_needed is None


def test_thresholds_that_cross_are_replaced_by_accepted_ones_that_do_not():
    unlikely = Promise("unlikely", 0.05, 0.9, 0.6, 10, 0, 0.01, accepted=(0.2, 0.4, 0.6))
    likely = Promise("likely", 0.8, 0.9, 0.3, 10, 9, 0.9, accepted=(0.9, 0.45, 0.3))
    assert consistent_pair(unlikely, likely) == (0.4, 0.45)
    assert consistent_pair(unlikely, Promise("likely", 0.8, 0.9, 0.1, 9, 9, 0.9, accepted=(0.15, 0.1))) == (0.6, None)


@pytest.mark.parametrize(("share", "confidence"), [(0, 0.9), (1, 0.9), (0.1, 0), (0.1, 1)])
def test_senseless_wishes_are_refused(share, confidence):
    films = (np.array([0, 1]), np.array([0.1, 0.9]))
    with pytest.raises(MetricsError, match="between 0 and 1"):
        promise("unlikely", share, confidence, films, films)


def test_no_films_are_refused():
    films, none = (np.array([0, 1]), np.array([0.1, 0.9])), (np.empty(0, int), np.empty(0))
    with pytest.raises(MetricsError, match="needs films"):
        promise("likely", 0.8, 0.9, films, none)


def _certified_by_mapie(group: str, share: float, confidence: float, films, thresholds: list[float]) -> list[float]:
    """Return the thresholds that MAPIE certifies, tested in this order on these films."""
    risk_control = pytest.importorskip("mapie.risk_control")
    labels, probabilities = films
    if group == "likely":
        scores, risk, predicted = probabilities, "precision", thresholds
    else:  # of the films predicted positive by 1 - p > 1 - threshold, at least 1 - share are not fractured
        labels, scores, share, risk = 1 - labels, 1 - probabilities, 1 - share, "precision"
        predicted = [float(np.nextafter(1 - threshold, 2)) for threshold in thresholds]
    controller = risk_control.BinaryClassificationController(
        predict_function=lambda x: np.column_stack([1 - x[:, 0], x[:, 0]]),
        risk=risk,
        target_level=share,
        confidence_level=confidence,
        list_predict_params=np.array(predicted),
        fwer_method="fixed_sequence",
    )
    controller.calibrate(scores[:, None], labels)
    return [thresholds[predicted.index(kept)] for kept in controller.valid_predict_params]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("group", "share"), [("unlikely", 0.05), ("unlikely", 0.15), ("likely", 0.6), ("likely", 0.8)])
def test_what_mapie_certifies_is_promised_too(group, share):
    """MAPIE tests the same sequence with Hoeffding's and Bentkus's bound, which is wider than the exact test here."""
    site, certified, promised = Site(0.3, 2.5), 0, 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        tuning, testing = site.films(700, rng), site.films(700, rng)
        kept = promise(group, share, 0.9, tuning, testing)
        proposals = module._proposals(module._Films(group, *checked(*tuning)), 700, share)
        theirs = _certified_by_mapie(group, share, 0.9, testing, proposals)
        assert theirs == proposals[: len(theirs)]  # a sequence that is tested in order
        assert theirs == list(kept.accepted[: len(theirs)])
        certified, promised = certified + len(theirs), promised + len(kept.accepted)
    assert 0 < certified <= promised <= 2.5 * certified + 12
