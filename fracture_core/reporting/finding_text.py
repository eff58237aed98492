"""What a finding means, in the words that the page, the report and the tables share."""

from __future__ import annotations

from dataclasses import dataclass

from fracture_core.bundle.bundle import Bundle
from fracture_core.inference.assessment import NOT_ASSESSED
from fracture_core.inference.predictor import Finding
from fracture_core.metrics.calibration import LocalRate, local_rate
from fracture_core.metrics.operating_points import LIKELY, UNLIKELY, OperatingPoint

DISCLAIMER = "Research demonstrator: a reading aid, not a medical device, and no diagnosis."
COLOURS_MEAN = "Colour: evidence for a fracture, on one scale for every radiograph; stronger is more."
COLOURS_DO_NOT_MEAN = "It does not outline a fracture, and no colour does not mean no fracture."
LIMITS = (
    "Validated on FracAtlas alone: hand, leg, hip and shoulder radiographs, with few fractures of hip and shoulder.",
    "It reads one picture, without history, earlier studies or a second view, and it misses fractures.",
    "A reader who looks at the original decides.",
)


@dataclass(frozen=True)
class FindingText:
    """A finding in words.

    `kind` is "likely", "uncertain", "unlikely" or, for an image that is not assessed, "outside";
    `headline`, `detail` and `like_this` are text; `rate` is what `like_this` tells.
    """

    kind: str
    headline: str
    detail: str
    like_this: str
    rate: LocalRate


def explain_finding(finding: Finding, bundle: Bundle) -> FindingText:
    """Say what `finding` means, counted in the test predictions of the bundle that made it."""
    test = bundle.predictions().query("split == 'test'")
    rate = local_rate(test["label"].to_numpy(), test["probability"].to_numpy(), finding.probability)
    return FindingText(
        kind_of(finding.triage),
        finding.triage,
        points_in_words(finding.rule_out, finding.rule_in),
        _like_this(rate),
        rate,
    )


def kind_of(words: str) -> str:
    """Return "likely", "unlikely", "uncertain" or "outside" for a triage."""
    return {LIKELY: "likely", UNLIKELY: "unlikely", NOT_ASSESSED: "outside"}.get(words, "uncertain")


def points_in_words(rule_out: OperatingPoint, rule_in: OperatingPoint) -> str:
    """Say which thresholds made the finding, and what they reached on the split they were chosen on."""
    if rule_out == rule_in:
        return (
            f"Fracture likely from {percent(rule_in.threshold)} on ({rule_in.name.replace('_', '-')}: sensitivity "
            f"{rule_in.sensitivity:.2f}, specificity {rule_in.specificity:.2f} {_on(rule_in.split)})."
        )
    return (
        f"Unlikely below {percent(rule_out.threshold)} (sensitivity {rule_out.sensitivity:.2f} "
        f"{_on(rule_out.split)}), likely from {percent(rule_in.threshold)} on (specificity "
        f"{rule_in.specificity:.2f} {_on(rule_in.split)}), uncertain between."
    )


def percent(share: float) -> str:
    """Print a share 0..1 as per cent, with a decimal where a whole figure would say none or all."""
    whole = f"{100 * share:.0f}"
    return f"{100 * share:.1f} %" if whole in ("0", "100") else f"{whole} %"


def _like_this(rate: LocalRate) -> str:
    if rate.of_100 is None:
        return "There are no test radiographs to compare with."
    low, high = (f"{100 * bound:.0f}" for bound in (rate.rate.low, rate.rate.high))
    return (
        f"Of 100 radiographs like this in the test set, about {rate.of_100} were fractured "
        f"(95 % interval {low} to {high}; counted on the {rate.n} scored nearest, "
        f"{percent(rate.lowest)} to {percent(rate.highest)})."
    )


def _on(split: str) -> str:
    names = {"val": "validation", "test": "the test set", "train": "the training set"}
    return f"on {names.get(split, split or 'an unnamed split')}"
