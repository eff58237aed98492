"""Calibrate a bundle to a site: its score scale, and triage thresholds with a guarantee.

The site's labelled films are divided by patient into three parts. The first fits the scale and proposes thresholds,
the second tests them (see `fracture_core.metrics.guarantees`), the third takes no part and shows before and after.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fracture_core.errors import FractureCoreError
from fracture_core.formatting import format_percent, short_percent
from fracture_core.metrics.calibration import ReliabilityBin, expected_calibration_error, reliability
from fracture_core.metrics.confusion import checked
from fracture_core.metrics.guarantees import Promise, consistent_pair, lower_bound, promise, upper_bound
from fracture_core.metrics.operating_points import OperatingPoint, TriageGroup, operating_point, triage_groups
from fracture_core.metrics.score_scale import ScoreScale, SiteRecord

if TYPE_CHECKING:
    from fracture_core.bundle.bundle import Bundle

#: The name of the split that a site's operating points belong to.
SITE = "site"
#: Shares of the films that tune and that test; the rest reports.
_TUNING, _TESTING = 0.4, 0.4
#: Fewer films of a class than this say too little to fit a scale to.
_FEWEST = 10
#: Bins of the reliability diagram of the reporting part, which is small.
_BINS = 5
_SLOPES, _OFFSETS = (0.05, 20.0), (-10.0, 10.0)


class SiteCalibrationError(FractureCoreError):
    """A site's films do not suffice for a calibration, and why."""


@dataclass(frozen=True)
class SiteCalibration:
    """A bundle calibrated to a site.

    Attributes:
        name: The user's name for it.
        bundle: The bundle's version.
        created: ISO 8601 in UTC.
        films: Labelled films in all, and of each part: "all", "tuning", "testing" (one film per patient), "report".
        fractured: How many of them are fractured, by the same names.
        digest: SHA-256 of the list of films and labels.
        scale: The site's score scale.
        unlikely: The promise of *unlikely*.
        likely: The promise of *likely*.
        points: The rule-out and the rule-in point, on the bundle's own scale of probability.
        ece: Expected calibration error on the reporting part, before and after.
        reliability: The reliability diagram of the reporting part, before and after.
        before: The triage groups of the reporting part at the bundle's own points.
        after: The same at the site's.
    """

    name: str
    bundle: str
    created: str
    films: dict[str, int]
    fractured: dict[str, int]
    digest: str
    scale: ScoreScale
    unlikely: Promise
    likely: Promise
    points: tuple[OperatingPoint, OperatingPoint]
    ece: tuple[float, float]
    reliability: tuple[list[ReliabilityBin], list[ReliabilityBin]]
    before: list[TriageGroup]
    after: list[TriageGroup]

    def to_json(self) -> dict[str, Any]:
        """Return the calibration as plain data.

        Returns:
            A dict that `json.dumps` accepts.
        """
        return asdict(self)


def calibrate_site(
    bundle: Bundle,
    ids: list[str],
    labels: ArrayLike,
    logits: ArrayLike,
    patients: list[str],
    *,
    name: str,
    alpha: float = 0.02,
    beta: float = 0.8,
    confidence: float = 0.95,
    seed: int = 0,
) -> SiteCalibration:
    """Calibrate a bundle to a site's labelled films.

    Args:
        bundle: The bundle; its own points are the ones compared with.
        ids: What names each film; only their digest is kept.
        labels: 0 or 1, shape (n,).
        logits: The bundle's logits of the films, shape (n,).
        patients: Whose film each is; "" counts as a patient of its own.
        name: The user's name for the calibration.
        alpha: The greatest share of fractured films that *unlikely* may hold.
        beta: The least share of fractured films that *likely* must hold.
        confidence: The confidence of each of the two promises.
        seed: Seed of the division into parts.

    Returns:
        The calibration, whether the promises hold or not.

    Raises:
        SiteCalibrationError: There are too few films of a class, or of patients.
        MetricsError: A share or the confidence is not between 0 and 1.
    """
    truth, scores = checked(labels, logits)
    parts = _divide(truth, patients, seed)
    probability = np.asarray(bundle.probability(scores))
    tuning, testing, report = ((truth[places], probability[places]) for places in parts.values())
    scale = _fit_scale(tuning[0], scores[parts["tuning"]])
    unlikely = promise("unlikely", alpha, confidence, tuning, testing)
    likely = promise("likely", beta, confidence, tuning, testing)
    digest = _digest(ids, truth)
    rule_out, rule_in = _points(unlikely, likely, testing, truth, digest, scale)
    scaled = report[0], scale.probability(scores[parts["report"]])
    counted = {"all": np.arange(truth.size), **parts}
    return SiteCalibration(
        name=name,
        bundle=bundle.version,
        created=rule_out.created,
        films={part: int(places.size) for part, places in counted.items()},
        fractured={part: int(truth[places].sum()) for part, places in counted.items()},
        digest=digest,
        scale=scale,
        unlikely=unlikely,
        likely=likely,
        points=(rule_out, rule_in),
        ece=(expected_calibration_error(*report), expected_calibration_error(*scaled)),
        reliability=(reliability(*report, _BINS), reliability(*scaled, _BINS)),
        before=triage_groups(*report, *(bundle.points[name].threshold for name in ("rule_out", "rule_in"))),
        after=triage_groups(*report, rule_out.threshold, rule_in.threshold),
    )


def promise_text(promised: Promise) -> str:
    """Describe what is promised of a group, or what it would take.

    Args:
        promised: The promise.

    Returns:
        A sentence or two.
    """
    wish = f"{'at most' if promised.group == 'unlikely' else 'at least'} {short_percent(promised.share)}"
    bound = format_percent(promised.bound, 1)
    seen = f"{promised.fractured} of {promised.n} in the testing films"
    if promised.holds:
        return (
            f"Of films called {promised.group}, {wish} are fractured, with "
            f"{short_percent(promised.confidence)} confidence ({seen}; bound {bound})."
        )
    text = f"Cannot be promised: of films called {promised.group}, {wish} fractured ({seen}; bound {bound})."
    if promised.films_needed is None:
        return f"{text} With this model's errors more films will not help; aim lower."
    return f"{text} About {promised.films_needed} more labelled films would probably do."


def _divide(truth: NDArray[np.bool_], patients: list[str], seed: int) -> dict[str, NDArray[np.intp]]:
    """Divide films by patient, stratified by whether the patient has a fracture; testing keeps one film per patient."""
    if min(int(truth.sum()), int((~truth).sum())) < _FEWEST:
        raise SiteCalibrationError(
            f"Calibrating needs at least {_FEWEST} fractured and {_FEWEST} other films; "
            f"there are {int(truth.sum())} and {int((~truth).sum())}."
        )
    owners = np.array([patient or f"\0{place}" for place, patient in enumerate(patients)])
    names, owner = np.unique(owners, return_inverse=True)
    rng = np.random.default_rng(seed)
    fractured = np.bincount(owner, truth) > 0
    part_of = np.empty(len(names), np.intp)
    for kind in (fractured, ~fractured):
        places = rng.permutation(np.flatnonzero(kind))
        cuts = np.round(np.array([_TUNING, _TUNING + _TESTING]) * len(places)).astype(int)
        part_of[places] = np.searchsorted(cuts, np.arange(len(places)), side="right")
    parts = {name: np.flatnonzero(part_of[owner] == k) for k, name in enumerate(("tuning", "testing", "report"))}
    one_each = rng.permutation(parts["testing"])
    parts["testing"] = np.sort(one_each[np.unique(owner[one_each], return_index=True)[1]])
    for places in (parts["tuning"], parts["testing"], parts["report"]):
        if truth[places].all() or not truth[places].any():
            raise SiteCalibrationError("There are too few patients with and without fractures to divide them in three.")
    return parts


def _fit_scale(truth: NDArray[np.bool_], logits: NDArray[np.float64]) -> ScoreScale:
    """Fit temperature and offset by maximum likelihood, towards Platt's targets (1999).

    They stand one film of either kind short of 0 and 1, so that a few films that are easily told apart do not end in
    probabilities next to 0 and 1.
    """
    from scipy.optimize import minimize

    fractured = int(truth.sum())
    sound = len(truth) - fractured
    target = np.where(truth, (fractured + 1) / (fractured + 2), 1 / (sound + 2))

    def loss(values: NDArray[np.float64]) -> float:
        scaled = logits * values[0] + values[1]
        return float((np.logaddexp(0.0, scaled) - target * scaled).mean())

    bounds = [(1 / _SLOPES[1], 1 / _SLOPES[0]), _OFFSETS]
    fitted = minimize(loss, np.array([1.0, 0.0]), bounds=bounds, method="L-BFGS-B").x
    return ScoreScale(temperature=float(1 / fitted[0]), offset=float(fitted[1]))


def _points(
    unlikely: Promise,
    likely: Promise,
    testing: tuple[NDArray[np.bool_], NDArray[np.float64]],
    truth: NDArray[np.bool_],
    digest: str,
    scale: ScoreScale,
) -> tuple[OperatingPoint, OperatingPoint]:
    """Return the rule-out and the rule-in point; a promise that does not hold leaves its group empty."""
    low, high = consistent_pair(unlikely, likely)
    created = datetime.now(UTC).isoformat(timespec="seconds")

    def point(name: str, threshold: float, promised: Promise) -> OperatingPoint:
        record = _record(promised, threshold, testing, truth, digest, scale)
        at = operating_point(
            name=name,
            threshold=threshold,
            criterion=_criterion(promised, record),
            labels=testing[0],
            probabilities=testing[1],
            split=SITE,
            created=created,
        )
        return replace(at, site=record)

    return (
        point("rule-out", 0.0 if low is None else float(low), unlikely),
        point("rule-in", float(np.nextafter(1.0, 2.0)) if high is None else float(high), likely),
    )


def _criterion(promised: Promise, record: SiteRecord) -> str:
    """Return how a point was chosen, with the counts at the threshold that is used beside the other point's."""
    if promised.holds and not record.holds:
        return f"No film is called {promised.group}: every threshold for it would overlap with the other group."
    counted = replace(promised, n=record.group, fractured=record.group_fractured, bound=record.bound)
    return promise_text(counted)


def _record(
    promised: Promise,
    threshold: float,
    testing: tuple[NDArray[np.bool_], NDArray[np.float64]],
    truth: NDArray[np.bool_],
    digest: str,
    scale: ScoreScale,
) -> SiteRecord:
    """Return what a point remembers of the site; its group is counted at the threshold that is used."""
    inside = testing[1] < threshold if promised.group == "unlikely" else testing[1] >= threshold
    group, fractured = (
        (int(inside.sum()), int((testing[0] & inside).sum())) if promised.holds else (promised.n, promised.fractured)
    )
    bound = upper_bound if promised.group == "unlikely" else lower_bound
    return SiteRecord(
        films=int(truth.size),
        fractured=int(truth.sum()),
        digest=digest,
        temperature=scale.temperature,
        offset=scale.offset,
        share=promised.share,
        confidence=promised.confidence,
        holds=promised.holds and group > 0,
        group=group,
        group_fractured=fractured,
        bound=bound(fractured, group, promised.confidence),
    )


def _digest(ids: list[str], truth: NDArray[np.bool_]) -> str:
    lines = sorted(f"{image} {int(label)}" for image, label in zip(ids, truth, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
