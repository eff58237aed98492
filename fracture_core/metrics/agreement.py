"""Measure how far two readers agree: Cohen's kappa with its interval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from fracture_core.metrics.confusion import MetricsError
from fracture_core.metrics.intervals import UNDEFINED, IntervalEstimate, Z


@dataclass(frozen=True)
class Agreement:
    """How two readers' verdicts on the same films compare.

    Attributes:
        n: Films that both read.
        agreed: Films on which they gave the same verdict.
        kappa: Cohen's kappa with its 95 % interval; undefined without films, or if both always said the same one thing.
    """

    n: int
    agreed: int
    kappa: IntervalEstimate


def agreement(first: Sequence[Hashable], second: Sequence[Hashable]) -> Agreement:
    """Compare two readers' verdicts, film by film.

    The interval uses the large-sample standard error of Fleiss, Cohen and Everitt (1969).

    Args:
        first: The first reader's verdicts.
        second: The second reader's, of the same films in the same order.

    Returns:
        Counts and Cohen's kappa (1960).

    Raises:
        MetricsError: The two are of different lengths.
    """
    if len(first) != len(second):
        raise MetricsError("Two readers can be compared only on the same films.")
    n, agreed = len(first), sum(a == b for a, b in zip(first, second, strict=True))
    if not n:
        return Agreement(n=0, agreed=0, kappa=UNDEFINED)
    classes = {verdict: place for place, verdict in enumerate(dict.fromkeys([*first, *second]))}
    table = np.zeros((len(classes), len(classes)))
    for a, b in zip(first, second, strict=True):
        table[classes[a], classes[b]] += 1 / n
    rows, columns = table.sum(1), table.sum(0)
    observed, expected = float(np.trace(table)), float(rows @ columns)
    if np.isclose(expected, 1):
        return Agreement(n=n, agreed=agreed, kappa=UNDEFINED)
    kappa = (observed - expected) / (1 - expected)
    sums = rows[None, :] + columns[:, None]  # at (i, j): p_.i + p_j.
    on = float((np.diag(table) * (1 - (rows + columns) * (1 - kappa)) ** 2).sum())
    off = float(((table - np.diag(np.diag(table))) * sums**2).sum()) * (1 - kappa) ** 2
    variance = (on + off - (kappa - expected * (1 - kappa)) ** 2) / (n * (1 - expected) ** 2)
    reach = Z * float(np.sqrt(max(0.0, variance)))
    return Agreement(
        n=n, agreed=agreed, kappa=IntervalEstimate(kappa, max(-1.0, kappa - reach), min(1.0, kappa + reach))
    )
