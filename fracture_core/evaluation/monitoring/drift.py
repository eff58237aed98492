"""Compare two samples of films by their scores, and by a few numbers on what they look like to the network."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Two tests a feature: has it shifted, has its spread changed.
TESTS_A_FEATURE = 2
#: Fewer films than this are not compared.
FEWEST = 20
#: Interquartile range of a normal distribution, in standard deviations.
_IQR = 1.349


def population_stability_index(reference: ArrayLike, values: ArrayLike, bins: int = 10) -> float:
    """Compute the population stability index of values against a reference.

    Bins hold equal shares of the reference; half a film is added to each, so that an empty one does not give infinity.
    By convention, below 0.1 is stable and above 0.25 has shifted; with few films chance alone reaches that.

    Args:
        reference: Values, shape (n,).
        values: Values, shape (m,).
        bins: Number of bins.

    Returns:
        The index; nan if either is empty.
    """
    reference, values = np.asarray(reference, float), np.asarray(values, float)
    if not reference.size or not values.size:
        return float("nan")
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = []
    for sample in (reference, values):
        counts = np.bincount(np.searchsorted(edges, sample, side="right"), minlength=len(edges) + 1) + 0.5
        shares.append(counts / counts.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def feature_stability(reference: ArrayLike, features: ArrayLike) -> NDArray[np.float64]:
    """Compute the population stability index of each feature.

    Args:
        reference: Features of the reference films, shape (n, K).
        features: Features, shape (m, K).

    Returns:
        float64 (K,); nan where either is empty.
    """
    before, now = (np.asarray(sample, float) for sample in (reference, features))
    return np.array([population_stability_index(a, b) for a, b in zip(before.T, now.T, strict=True)])


class ShiftTest:
    """Mann and Whitney's test of samples against one reference, sorted once: a log is looked at thousands of times.

    With the normal approximation, corrected for ties and continuity, as `scipy.stats.mannwhitneyu` has it.

    Args:
        reference: Columns to test, shape (n, K).
    """

    def __init__(self, reference: ArrayLike) -> None:
        columns = np.asarray(reference, float)
        self._sorted = [np.sort(column) for column in columns.T]
        self._ties = [float((counts**3 - counts).sum()) for counts in map(_counts, self._sorted)]
        self.films = len(columns)

    def p_values(self, values: ArrayLike) -> NDArray[np.float64]:
        """Test each column.

        Args:
            values: Shape (m, K).

        Returns:
            float64 (K,); 1 if either sample has fewer than FEWEST films.
        """
        from scipy.special import ndtr

        columns = np.asarray(values, float)
        n, m = self.films, len(columns)
        if min(n, m) < FEWEST:
            return np.ones(len(self._sorted))
        excess, spread = np.empty(len(self._sorted)), np.empty(len(self._sorted))
        for k, (known, ties) in enumerate(zip(self._sorted, self._ties, strict=True)):
            distinct, counts = np.unique(columns[:, k], return_counts=True)
            below, up_to = np.searchsorted(known, distinct), np.searchsorted(known, distinct, side="right")
            equal = up_to - below
            excess[k] = (counts * (below + equal / 2)).sum() - n * m / 2
            ties += float(((equal + counts) ** 3 - (equal + counts) - (equal**3 - equal)).sum())
            spread[k] = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
        certain = spread > 0
        z = np.zeros(len(spread))
        z[certain] = (np.abs(excess[certain]) - 0.5) / np.sqrt(spread[certain])
        return np.minimum(1.0, 2 * ndtr(-z))


class FeatureTest:
    """Test of each feature whether it has shifted, and whether its spread has changed.

    Both tests are Mann and Whitney's: of the values, and of their distances from the reference's median.

    Args:
        reference: Features of the reference films, shape (n, K).
    """

    def __init__(self, reference: ArrayLike) -> None:
        features = np.asarray(reference, float)
        self._middle = np.median(features, axis=0) if len(features) else np.zeros(features.shape[1])
        self._test = ShiftTest(self._both(features))

    def p_values(self, features: ArrayLike) -> NDArray[np.float64]:
        """Test films.

        Args:
            features: Shape (m, K).

        Returns:
            float64 (K,), the smaller p-value of each feature's two tests; 1 if too few films have features.
        """
        p = self._test.p_values(self._both(np.asarray(features, float)))
        return np.asarray(p.reshape(TESTS_A_FEATURE, -1).min(axis=0))

    def _both(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.hstack([features, np.abs(features - self._middle)])


class ScoreTest:
    """Test of scores, for a shift (Mann and Whitney) and for any other difference (Kolmogorov and Smirnov).

    With the asymptotic distribution, as `scipy.stats.ks_2samp` has it.

    Args:
        reference: Scores of the reference films, shape (n,).
    """

    def __init__(self, reference: ArrayLike) -> None:
        self._sorted = np.sort(np.asarray(reference, float))
        self._shift = ShiftTest(self._sorted[:, None])

    def p_value(self, scores: ArrayLike) -> float:
        """Test films.

        Args:
            scores: Shape (m,).

        Returns:
            The smaller p-value of the two tests; 1 if too few films were scored.
        """
        from scipy.stats import kstwo

        values = np.sort(np.asarray(scores, float))
        n, m = self._sorted.size, values.size
        if min(n, m) < FEWEST:
            return 1.0
        both = np.concatenate([self._sorted, values])
        apart = np.searchsorted(self._sorted, both, side="right") / n - np.searchsorted(values, both, side="right") / m
        shift = float(self._shift.p_values(values[:, None])[0])
        return min(shift, float(kstwo.sf(np.abs(apart).max(), round(n * m / (n + m)))))


def _counts(ordered: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.unique(ordered, return_counts=True)[1]


def shifts(reference: ArrayLike, features: ArrayLike) -> NDArray[np.float64]:
    """Return how far the median of each feature has moved.

    Args:
        reference: Features of the reference films, shape (n, K), at least one film.
        features: Features, shape (m, K), at least one film.

    Returns:
        float64 (K,), in standard deviations of the reference, estimated from its quartiles.
    """
    low, middle, high = np.quantile(np.asarray(reference, float), (0.25, 0.5, 0.75), axis=0)
    return (np.median(np.asarray(features, float), axis=0) - middle) / np.maximum((high - low) / _IQR, 1e-9)
