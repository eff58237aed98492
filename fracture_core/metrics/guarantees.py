"""Choose triage thresholds whose promises hold with a stated confidence, for any distribution of scores.

Two promises are made of a site's own films: of those called *unlikely* at most a share alpha is fractured, and of
those called *likely* at least a share beta. Whether one threshold keeps its promise is an exact binomial test
(Clopper and Pearson 1934): given how many films fall into the group, the fractured ones among them are binomial.

A threshold that is chosen because its test came out well would break that guarantee. So the films are divided: one
part proposes thresholds and the order in which to test them, the other part tests them in that order and stops at the
first that fails. Fixed-sequence testing keeps the probability that any accepted threshold breaks its promise below
1 - confidence, whatever the number of thresholds (Angelopoulos et al. 2022, "Learn then Test").

Films of one patient resemble each other and are not independent: pass one film per patient to the testing part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.metrics.confusion import MetricsError, checked
from fracture_core.metrics.thresholds import midway_thresholds

Group = Literal["unlikely", "likely"]

#: At most this many thresholds are proposed for each promise.
_PROPOSED = 40
#: The search for the number of films that would be needed ends here.
_MOST_FILMS = 1_000_000
#: By what share of itself the lower of two equal thresholds is lowered; no film lies between.
_APART = 1e-9


@dataclass(frozen=True)
class Promise:
    """A promise about one group of films: what was requested, and whether it holds.

    Attributes:
        group: "unlikely" (scores below `threshold`) or "likely" (scores at or above it).
        share: The greatest fractured share asked of *unlikely*, the least one asked of *likely*, 0..1.
        confidence: The confidence that was asked for, 0..1.
        threshold: The accepted threshold that decides the most films; None if nothing can be promised.
        n: Films of the testing part in the group at `threshold`; at the most promising proposal if it is None.
        fractured: How many of those are fractured.
        bound: The one-sided Clopper-Pearson bound of the fractured share at that confidence.
        accepted: Every accepted threshold; all of them keep the promise together.
        films_needed: How many labelled films more would probably do, None if the promise holds already or if the
            model's own error is too large for any number of films.
    """

    group: Group
    share: float
    confidence: float
    threshold: float | None
    n: int
    fractured: int
    bound: float
    accepted: tuple[float, ...] = ()
    films_needed: int | None = None

    @property
    def holds(self) -> bool:
        """Whether there is a threshold that keeps the promise."""
        return self.threshold is not None


def upper_bound(fractured: int, n: int, confidence: float) -> float:
    """Compute the one-sided Clopper-Pearson upper bound of a share.

    Args:
        fractured: Count, 0..n.
        n: Number of trials.
        confidence: 0..1.

    Returns:
        0..1; 1 if `n` is 0.
    """
    from scipy.special import betaincinv  # half a second to import, and diagnosing needs none of it

    return 1.0 if fractured >= n else float(betaincinv(fractured + 1, n - fractured, confidence))


def lower_bound(fractured: int, n: int, confidence: float) -> float:
    """Compute the one-sided Clopper-Pearson lower bound of a share.

    Args:
        fractured: Count, 0..n.
        n: Number of trials.
        confidence: 0..1.

    Returns:
        0..1; 0 if `n` is 0.
    """
    from scipy.special import betaincinv

    return 0.0 if fractured <= 0 else float(betaincinv(fractured, n - fractured + 1, 1 - confidence))


def promise(
    group: Group,
    share: float,
    confidence: float,
    tuning: tuple[ArrayLike, ArrayLike],
    testing: tuple[ArrayLike, ArrayLike],
) -> Promise:
    """Find the threshold that decides the most films and keeps a promise with the confidence asked for.

    Args:
        group: "unlikely" or "likely".
        share: The greatest fractured share of *unlikely*, or the least one of *likely*, between 0 and 1.
        confidence: The confidence, between 0 and 1.
        tuning: Labels 0/1 (n,) and probabilities 0..1 (n,) of the films that propose thresholds.
        testing: The same of the films that test them, independent of the first and of each other.

    Returns:
        The promise, kept or not.

    Raises:
        MetricsError: A share or the confidence is not between 0 and 1, or there are no films to tune or to test on.
    """
    check_shares(share, confidence)
    tune = _Films(group, *checked(*tuning))
    test = _Films(group, *checked(*testing))
    if not tune.n or not test.n:
        raise MetricsError("Calibrating to a site needs films to choose thresholds on and others to test them on.")
    proposals = _proposals(tune, test.n, share)
    accepted: list[float] = []
    for threshold in proposals:
        if not _passes(group, *test.within(threshold), share, confidence):
            break
        accepted.append(threshold)
    shown = accepted[-1] if accepted else proposals[0]
    n, fractured = test.within(shown)
    bound = upper_bound if group == "unlikely" else lower_bound
    return Promise(
        group=group,
        share=share,
        confidence=confidence,
        threshold=accepted[-1] if accepted else None,
        n=n,
        fractured=fractured,
        bound=bound(fractured, n, confidence),
        accepted=tuple(accepted),
        films_needed=None if accepted else _films_needed(tune, test, share, confidence),
    )


def check_shares(*shares: float) -> None:
    """Raise MetricsError unless every share, or confidence, lies between 0 and 1.

    Args:
        *shares: What was asked for.

    Raises:
        MetricsError: One does not.
    """
    if not all(0 < share < 1 for share in shares):
        raise MetricsError("Shares and the confidence must lie between 0 and 1.")


def consistent_pair(unlikely: Promise, likely: Promise) -> tuple[float | None, float | None]:
    """Return the two thresholds to use together: the widest accepted ones of which the first is not above the second.

    Where both promises hold at thresholds that cross, a film between them would belong to both groups; the pair that
    leaves the fewest films without an answer and does not cross is taken from the accepted thresholds, so both
    promises stay.

    Args:
        unlikely: The promise of *unlikely*.
        likely: The promise of *likely*.

    Returns:
        (threshold below which films are *unlikely*, threshold from which they are *likely*); None where nothing can
        be promised. If all accepted thresholds cross, *likely* gives way.
    """
    if unlikely.threshold is None or likely.threshold is None or unlikely.threshold <= likely.threshold:
        return unlikely.threshold, likely.threshold
    pairs = [(low, high) for low in unlikely.accepted for high in likely.accepted if low <= high]
    if not pairs:
        return unlikely.threshold, None
    low, high = min(pairs, key=lambda pair: pair[1] - pair[0])
    # Twice the same threshold would read as a single one, which gives two answers of other words.
    return (low * (1 - _APART) if low == high else low), high


class _Films:
    """Films sorted so that each threshold's group is a prefix, which makes counting a group one look-up."""

    def __init__(self, group: Group, truth: NDArray[np.bool_], probabilities: NDArray[np.float64]):
        self.group, self.n = group, int(truth.size)
        self._rising = np.sort(probabilities)
        self._fractured = np.concatenate([[0], np.cumsum(truth[np.argsort(probabilities, kind="stable")])])

    def within(self, threshold: float) -> tuple[int, int]:
        """Return (films, fractured ones) of the group at a threshold."""
        below = int(np.searchsorted(self._rising, threshold, side="left"))
        fractured = int(self._fractured[below])
        if self.group == "unlikely":
            return below, fractured
        return self.n - below, int(self._fractured[-1]) - fractured

    def thresholds(self) -> NDArray[np.float64]:
        """Return some thresholds between the films' scores, the smallest group first."""
        middle = midway_thresholds(np.unique(self._rising)[::-1])
        middle = middle[::-1] if self.group == "unlikely" else middle
        places = np.unique(np.linspace(0, len(middle) - 1, _PROPOSED).round().astype(int))
        return middle[places]


def _p_value(group: Group, n: float, fractured: float, share: float) -> float:
    """Return the probability of so good a group, or a better one, if the promise were just broken."""
    from scipy.special import betainc

    if n <= 0:
        return 1.0
    if group == "unlikely":  # P(Binomial(n, share) <= fractured)
        return 1.0 if fractured >= n else float(betainc(n - fractured, fractured + 1, 1 - share))
    return 1.0 if fractured <= 0 else float(betainc(fractured, n - fractured + 1, share))


def _passes(group: Group, n: int, fractured: int, share: float, confidence: float) -> bool:
    return _p_value(group, n, fractured, share) <= 1 - confidence


def _proposals(tune: _Films, testing_films: int, share: float) -> list[float]:
    """Return thresholds in the order of testing: the most promising first, then ever larger groups."""
    scale = testing_films / tune.n
    thresholds = tune.thresholds()
    expected = []
    for threshold in thresholds:
        n, fractured = tune.within(float(threshold))
        # Half a fracture more (or less) than was seen: an empty count says little about the next films.
        cautious = fractured + 0.5 if tune.group == "unlikely" else fractured - 0.5
        expected.append(_p_value(tune.group, n * scale, max(0.0, cautious) * scale, share))
    start = int(np.argmin(expected))
    return [float(threshold) for threshold in thresholds[start:]]


def _films_needed(tune: _Films, test: _Films, share: float, confidence: float) -> int | None:
    """Return how many films more would do if the shares seen so far are the true ones; None if none would."""
    best: int | None = None
    total = tune.n + test.n
    for threshold in tune.thresholds():
        (n, fractured), (more, also) = tune.within(float(threshold)), test.within(float(threshold))
        n, fractured = n + more, fractured + also
        if not n:
            continue
        rate = (fractured + 0.5) / (n + 1)
        needed = _least_group(tune.group, rate, share, confidence)
        if needed is not None:
            films = math.ceil(needed / (n / total) * total / test.n)
            best = films if best is None else min(best, films)
    return None if best is None else max(1, best - total)


def _least_group(group: Group, rate: float, share: float, confidence: float) -> int | None:
    """Return the smallest group of this fractured rate that would pass the test."""
    if (rate >= share) if group == "unlikely" else (rate <= share):
        return None
    low, high = 0, 8
    while not _passes_at_rate(group, high, rate, share, confidence):
        low, high = high, high * 2
        if high > _MOST_FILMS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if _passes_at_rate(group, middle, rate, share, confidence):
            high = middle
        else:
            low = middle
    return high


def _passes_at_rate(group: Group, n: int, rate: float, share: float, confidence: float) -> bool:
    fractured = math.ceil(rate * n) if group == "unlikely" else math.floor(rate * n)
    return _passes(group, n, fractured, share, confidence)
