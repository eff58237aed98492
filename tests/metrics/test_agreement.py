"""Cohen's kappa equals scikit-learn's, and its interval covers as it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from fracture_core.metrics.agreement import agreement
from fracture_core.metrics.confusion import MetricsError

VERDICTS = ("fracture", "no fracture", "cannot tell")


@given(st.lists(st.tuples(st.sampled_from(VERDICTS), st.sampled_from(VERDICTS)), min_size=1, max_size=60))
def test_kappa_is_scikit_learns(pairs):
    first, second = zip(*pairs, strict=True)
    found = agreement(first, second)
    assert (found.n, found.agreed) == (len(pairs), sum(a == b for a, b in pairs))
    if len({*first, *second}) == 1:
        assert not found.kappa.defined
    else:
        assert found.kappa.value == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)
        assert found.kappa.low <= found.kappa.value <= found.kappa.high


def test_the_interval_covers_the_true_kappa():
    joint = np.array([[0.2, 0.05], [0.1, 0.65]])
    expected = joint.sum(1) @ joint.sum(0)
    kappa = (np.trace(joint) - expected) / (1 - expected)
    rng, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        places = rng.choice(4, 300, p=joint.ravel())
        interval = agreement((places // 2).tolist(), (places % 2).tolist()).kappa
        covered += interval.low <= kappa <= interval.high
    assert 0.93 <= covered / 1000 <= 0.97


def test_readers_of_different_films_are_not_compared():
    with pytest.raises(MetricsError, match="same films"):
        agreement(["fracture"], [])
    assert agreement([], []).n == 0
