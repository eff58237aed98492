"""Put a finding into words for the page, the report and the tables."""

from __future__ import annotations

from dataclasses import dataclass

from fracture_core.bundle.bundle import Bundle
from fracture_core.formatting import format_percent
from fracture_core.inference.assessment import NOT_READ
from fracture_core.inference.predictor import Finding
from fracture_core.metrics.calibration import LocalRate, local_rate
from fracture_core.metrics.operating_points import ABOVE, BELOW, LIKELY, UNLIKELY, OperatingPoint

DISCLAIMER = "Research demonstrator. Not a medical device; not for diagnosis."
COLOURS_MEAN = "Colour: evidence for a fracture, on one fixed scale for all radiographs."
COLOURS_DO_NOT_MEAN = "It does not outline the fracture, and an area without colour is not cleared."
LIMITS = (
    "Validated on FracAtlas only: hand, leg, hip and shoulder radiographs, with few hip and shoulder fractures.",
    "It assesses one image, without history, prior studies or a second view, and it misses fractures.",
    "The clinician reading the original decides.",
)
#: What a worklist says of a file that gave no image.
UNOPENED = f"{NOT_READ}: the file could not be opened"
#: Shown in a worklist for a radiograph without a result.
NEEDS_YOU = "Needs you"
#: What a person at the screen may find.
READER_FINDINGS = ("Fracture", "No fracture", "Cannot tell")
#: What to do with a radiograph that the model did not read.
WAYS_FORWARD = (
    "Read it yourself. If it is a limb radiograph, crop away borders, labels or other views, or turn it upright, "
    "and have it read again; or try another model."
)
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
    """

    kind: str
    headline: str
    detail: str
    like_this: str = ""
    reason: str = ""
    rate: LocalRate | None = None


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
    test = bundle.predictions().query("split == 'test'")
    rate = local_rate(test["label"].to_numpy(), test["probability"].to_numpy(), finding.probability)
    return FindingText(kind_of(words), capitalised(words), detail, _like_this(rate), rate=rate)


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


def thresholds_in_words(rule_out: OperatingPoint, rule_in: OperatingPoint) -> str:
    """Describe two thresholds in one short line.

    Args:
        rule_out: The lower operating point.
        rule_in: The upper one; the same for a single threshold.

    Returns:
        The line.
    """
    low, high = format_percent(rule_out.threshold), format_percent(rule_in.threshold)
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
    if rule_out == rule_in:
        return (
            f"{short} {capitalised(rule_in.name.replace('_', '-'))}: sensitivity {rule_in.sensitivity:.2f}, "
            f"specificity {rule_in.specificity:.2f} {_on(rule_in.split)}."
        )
    return (
        f"{short} Rule-out: sensitivity {rule_out.sensitivity:.2f} {_on(rule_out.split)}; rule-in: specificity "
        f"{rule_in.specificity:.2f} {_on(rule_in.split)}."
    )


def _like_this(rate: LocalRate) -> str:
    if not rate.n:
        return "There are no test radiographs to compare with."
    low, high = (f"{100 * bound:.0f}" for bound in (rate.rate.low, rate.rate.high))
    return (
        f"In the test set, {rate.fractured} of {rate.n} films with a similar score ({format_percent(rate.lowest)} to "
        f"{format_percent(rate.highest)}) were fractured (95 % CI {low} to {high} %)."
    )


def _on(split: str) -> str:
    names = {"val": "validation", "test": "the test set", "train": "the training set"}
    return f"on {names.get(split, split or 'an unnamed split')}"
