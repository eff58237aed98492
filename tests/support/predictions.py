"""Wild prediction tables for the tests of everything that scores them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from fracture_core.evaluation.predictions import Predictions

#: Half of them coarse, so that ties are common; 0 and 1 among them.
_probability = st.one_of(st.integers(0, 8).map(lambda k: k / 8), st.floats(0, 1, allow_subnormal=False).map(float))


@st.composite
def predictions(draw, min_size: int = 1, max_size: int = 40, both: bool = False):
    """(labels int64 (n,), probabilities float64 (n,)); with `both`, at least one of each class."""
    n = draw(st.integers(max(min_size, 2 if both else min_size), max_size))
    labels = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    if both:
        labels[0], labels[1] = 0, 1
    probabilities = draw(st.lists(_probability, min_size=n, max_size=n))
    return np.array(labels), np.array(probabilities)


def model_like(n: int = 817, prevalence: float = 0.175, skill: float = 1.8, seed: int = 0):
    """(labels, logits) such as a fair network gives on the test set: overlapping normals, n rows."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(n, dtype=np.int64)
    labels[: round(prevalence * n)] = 1
    rng.shuffle(labels)
    return labels, rng.normal(skill * labels - 2.0, 1.2)


def like_the_test_set() -> Predictions:
    """Predictions such as a fair network gives on the test set, at temperature 1.3: hands in two views."""
    labels, logits = model_like(seed=3)
    table = pd.DataFrame({"image_id": [f"IMG{n:07}" for n in range(len(labels))], "label": labels, "logit": logits})
    table["probability"] = 1 / (1 + np.exp(-logits / 1.3))
    table["hand"], table["leg"], table["frontal"], table["lateral"] = 1, 0, 1, 1
    return Predictions("test", table, 1.3)
