"""Order films by what a reader's verdict on them would teach most."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

#: Probabilities are kept this far from 0 and 1 before they become log-odds.
_EDGE = 1e-6
#: What novelty weighs beside uncertainty, and what each film of the same body part before it takes away.
_NOVELTY, _REPEATED = 0.5, 0.7


@dataclass(frozen=True)
class Candidate:
    """A film that waits for a verdict.

    Attributes:
        key: What names the film.
        probability: The model's, 0..1; None if it gave no answer.
        novelty: The out-of-distribution score: about 1 at the edge of what the model knows.
        body_part: As far as it is known, else "".
    """

    key: str
    probability: float | None
    novelty: float = 0.0
    body_part: str = ""


def review_order(candidates: Sequence[Candidate], thresholds: Sequence[float]) -> list[str]:
    """Order films by what a verdict would teach.

    A film counts more the nearer it lies to an operating point, in log-odds, and the less the model has met its like;
    films of body parts that came up already count less, so that a batch of knees does not hide the one wrist.

    Args:
        candidates: The films.
        thresholds: The operating points, as probabilities.

    Returns:
        The keys, the most useful film first.
    """
    parts: dict[str, list[tuple[float, str]]] = {}
    for candidate in candidates:
        worth = _uncertainty(candidate.probability, thresholds) + _NOVELTY * min(1.0, candidate.novelty)
        parts.setdefault(candidate.body_part, []).append((worth, candidate.key))
    # Within a body part the most useful film comes first; each film taken lowers its part's priority.
    queues = {part: deque(sorted(films, key=lambda film: -film[0])) for part, films in parts.items()}
    ordered, met = [], Counter[str]()
    while queues:
        part = max(queues, key=lambda name: queues[name][0][0] * _REPEATED ** met[name])
        ordered.append(queues[part].popleft()[1])
        met[part] += 1
        if not queues[part]:
            del queues[part]
    return ordered


def _uncertainty(probability: float | None, thresholds: Sequence[float]) -> float:
    """Return 1 on an operating point or without an answer, falling with the distance in log-odds."""
    if probability is None or not thresholds:
        return 1.0
    return math.exp(-min(abs(_log_odds(probability) - _log_odds(threshold)) for threshold in thresholds))


def _log_odds(probability: float) -> float:
    clipped = min(1 - _EDGE, max(_EDGE, probability))
    return math.log(clipped) - math.log1p(-clipped)
