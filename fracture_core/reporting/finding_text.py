"""Put a finding into words for the page, the report and the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.saved_points import pair_name, usable_points
from fracture_core.formatting import format_percent, short_percent
from fracture_core.inference.assessment import NOT_READ
from fracture_core.inference.cautions import doubted
from fracture_core.inference.predictor import Finding
from fracture_core.metrics.calibration import LocalRate, local_rate
from fracture_core.metrics.operating_points import ABOVE, BELOW, LIKELY, UNLIKELY, OperatingPoint
from fracture_core.metrics.score_scale import SiteRecord

DISCLAIMER = "Research demonstrator. Not a medical device; not for diagnosis."
COLOURS_MEAN = "Colour: evidence for a fracture, on one fixed scale for all radiographs."
BOXES_MEAN = "Boxes: regions to look at, solid where a fracture is likely."
COLOURS_DO_NOT_MEAN = "It does not follow the fracture's edges, and an area without marks is not cleared."
LIMITS = (
    "Validated on FracAtlas only: limb, hip and shoulder radiographs, with few hip and shoulder fractures.",
    "It assesses one image, without history, prior studies or a second view, and it misses fractures.",
    "The clinician reading the original decides.",
)
#: What a worklist says of a file that gave no image.
UNOPENED = f"{NOT_READ}: the file could not be opened"
#: The same of a file that can be read as far as it goes.
TRUNCATED = f"{NOT_READ}: part of the image is missing or wrong"
#: Shown in a worklist for a radiograph without a result.
NEEDS_YOU = "Needs you"
#: What a person at the screen may find.
READER_FINDINGS = ("Fracture", "No fracture", "Cannot tell")
#: What to do with a radiograph that the model did not read.
WAYS_FORWARD = (
    "Read it yourself. If it is a limb radiograph, crop away borders, labels or other views, or turn it upright, "
    "and have it read again; or try another model."
)
#: What each kind of answer means, in a sentence for whoever sees it for the first time.
MEANINGS = {
    "likely": "The model sees signs of a fracture.",
    "indeterminate": "Between the two thresholds: neither likely nor unlikely. Your own reading decides.",
    "unlikely": "The model sees few signs of a fracture; this does not rule one out.",
    "above": "The score is at or above the threshold.",
    "below": "The score is below the threshold, but the model misses some fractures.",
}
#: Stands with the answer of an image that does not look like those the model was validated on.
WITH_CAUTION = "With caution: unusual image"
#: Only test films whose probability differs by no more than this are called similar, unless they would be too few.
_SIMILAR = 0.1
#: The kinds of answer, by their words.
_KINDS = {LIKELY: "likely", UNLIKELY: "unlikely", ABOVE: "above", BELOW: "below"}


@dataclass(frozen=True)
class FindingText:
    """A finding in words.

    Attributes:
        kind: "likely", "indeterminate" or "unlikely" with two thresholds, "above" or "below" with one, or "not-read".
        headline: the answer, capitalised.
        detail: the thresholds and what they reached.
        like_this: how often radiographs of the test set with a similar score were fractured; "" if not read.
        reason: why the radiograph was not read; "" if it was.
        rate: the figures behind `like_this`, None if not read.
        caution: `WITH_CAUTION` if the image does not look like those the model was validated on, else "".
    """

    kind: str
    headline: str
    detail: str
    like_this: str = ""
    reason: str = ""
    rate: LocalRate | None = None
    caution: str = ""


def explain_finding(finding: Finding, bundle: Bundle) -> FindingText:
    """Explain a finding, with counts from the test predictions of the bundle that made it.

    Args:
        finding: The finding.
        bundle: The bundle that made it.

    Returns:
        The finding in words.
    """
    detail = points_in_words(finding.rule_out, finding.rule_in)
    words = finding.triage
    if not finding.assessed:
        return FindingText("not-read", capitalised(words), detail, reason=finding.not_assessed_reason)
    own = float(finding.own_scale.probability(finding.logit)) if finding.rule_in.scale else finding.probability
    rate = local_rate(*bundle.test_scores, own, reach=_SIMILAR)
    caution = WITH_CAUTION if doubted(finding.warnings) else ""
    like_this = _like_this(rate, finding)
    return FindingText(kind_of(words), capitalised(words), detail, like_this, rate=rate, caution=caution)


def kind_of(words: str) -> str:
    """Return the kind of a finding.

    Args:
        words: The finding in words.

    Returns:
        "likely", "indeterminate", "unlikely", "above", "below" or "not-read".
    """
    return "not-read" if words.startswith(NOT_READ) else _KINDS.get(words, "indeterminate")


def capitalised(words: str) -> str:
    """Return a text with a capital first letter and the rest unchanged.

    Args:
        words: The text.

    Returns:
        The new text.
    """
    return words[:1].upper() + words[1:]


def thresholds_in_words(
    rule_out: OperatingPoint, rule_in: OperatingPoint, number: Callable[[float], str] = short_percent
) -> str:
    """Describe two thresholds in one short line.

    Args:
        rule_out: The lower operating point.
        rule_in: The upper one; the same for a single threshold.
        number: How a threshold is written.

    Returns:
        The line.
    """
    low, high = number(rule_out.threshold), number(rule_in.threshold)
    if rule_out.threshold <= 0 or rule_in.threshold > 1:  # a site's, where something cannot be promised
        parts = [f"unlikely < {low}" if rule_out.threshold > 0 else "never “unlikely”"]
        parts.append(f"likely ≥ {high}" if rule_in.threshold <= 1 else "never “likely”")
        return f"{capitalised('; '.join(parts))}; otherwise indeterminate."
    if rule_out.threshold == rule_in.threshold:
        return f"Look again at {high} or above."
    if rule_out.threshold > rule_in.threshold:
        return f"Unlikely < {high}; likely ≥ {high}."
    return f"Unlikely < {low}; indeterminate {low} to {high}; likely ≥ {high}."


def points_in_words(rule_out: OperatingPoint, rule_in: OperatingPoint) -> str:
    """Describe two thresholds, and what they reached on the split they were chosen on.

    Args:
        rule_out: The lower operating point.
        rule_in: The upper one; the same for a single threshold.

    Returns:
        One or two sentences.
    """
    short = thresholds_in_words(rule_out, rule_in)
    if rule_in.site is not None:
        return f"{short} {site_in_words(rule_out, rule_in)}"
    if rule_out == rule_in:
        return (
            f"{short} {capitalised(rule_in.name.replace('_', '-'))}: sensitivity {rule_in.sensitivity:.2f}, "
            f"specificity {rule_in.specificity:.2f} {_on(rule_in.split)}."
        )
    return (
        f"{short} Rule-out: sensitivity {rule_out.sensitivity:.2f} {_on(rule_out.split)}; rule-in: specificity "
        f"{rule_in.specificity:.2f} {_on(rule_in.split)}."
    )


def site_in_words(rule_out: OperatingPoint, rule_in: OperatingPoint) -> str:
    """Say whose films two points were calibrated on, and what can be promised of their groups.

    Args:
        rule_out: The lower operating point.
        rule_in: The upper operating point.

    Returns:
        Some sentences; "" for points that were not calibrated to a site.
    """
    if rule_out.site is None or rule_in.site is None:
        return ""
    site = rule_in.site
    head = (
        f"Calibrated to {pair_name(rule_in)}, {date_in_words(rule_in.created)}: {site.films} labelled films, "
        f"{site.fractured} fractured (list {site.digest[:12]})."
    )
    return f"{head} {_promised(rule_out.site, 'unlikely')} {_promised(site, 'likely')}"


def sites_in_words(bundle: Bundle) -> list[str]:
    """Describe the calibrations to sites that were saved with a bundle.

    Args:
        bundle: The bundle.

    Returns:
        One text a calibration, oldest first.

    Raises:
        BundleError: The file of saved points is damaged.
    """
    return [points_in_words(*pair) for pair in usable_points(bundle).values() if pair[1].site is not None]


def _promised(site: SiteRecord, group: str) -> str:
    bound = "at most" if group == "unlikely" else "at least"
    share = short_percent(site.share)
    if not site.holds:
        return f"“{capitalised(group)}” is never said: {bound} {share} fractured cannot be promised."
    return (
        f"Of films called {group}, {bound} {format_percent(site.bound, 1)} are fractured with "
        f"{short_percent(site.confidence)} confidence "
        f"(promised {share}; {site.group_fractured} of {site.group} in the testing films)."
    )


def probability_in_words(finding: Finding) -> str:
    """Return the probability, and whose scale it is on if that is a site's.

    Args:
        finding: The finding.

    Returns:
        For example "43 %", or "31 %, calibrated to Ward 7".
    """
    share = _percent_on_its_side(finding.probability, (finding.rule_out.threshold, finding.rule_in.threshold))
    return share if finding.rule_in.scale is None else f"{share}, calibrated to {pair_name(finding.rule_in)}"


def _percent_on_its_side(probability: float, thresholds: Sequence[float]) -> str:
    """Format a probability with as few decimals as put it on the side of each threshold, as printed, where it lies."""
    for decimals in range(4):
        shown = round(100 * probability, decimals)
        if all((shown >= round(100 * threshold, 1)) == (probability >= threshold) for threshold in thresholds):
            return format_percent(probability, decimals)
    return format_percent(probability, 1)


def date_in_words(when: str) -> str:
    """Return the date of a time in words.

    Args:
        when: ISO 8601.

    Returns:
        For example "26 November 2026"; what is no such time unchanged.
    """
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        return when
    return f"{moment.day} {moment:%B %Y}"


def _like_this(rate: LocalRate, finding: Finding) -> str:
    if not rate.n:
        return "There are no test radiographs to compare with."
    low, high = (f"{100 * bound:.0f}" for bound in (rate.rate.low, rate.rate.high))
    first, last = rate.lowest, rate.highest
    if (scale := finding.rule_in.scale) is not None:
        first, last = (scale.threshold_from(finding.own_scale, end) for end in (first, last))
    return (
        f"In the test set, {rate.fractured} of {rate.n} films with a similar score ({format_percent(first)} to "
        f"{format_percent(last)}) were fractured (95 % CI {low} to {high} %)."
    )


def _on(split: str) -> str:
    names = {"val": "validation", "test": "the test set", "train": "the training set"}
    return f"on {names.get(split, split or 'an unnamed split')}"
