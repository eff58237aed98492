"""Compare a new bundle with the one in use on each of its test parts, so that any loss shows.

A bundle that was trained on FracAtlas and a site's films has two test parts; any other has one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fracture_core.data.combined.dataset import is_site
from fracture_core.data.dataset import dataset_name
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.evaluation.bundle_comparison import BundleComparison, compare_bundles, compare_scores, stored_scores
from fracture_core.evaluation.leakage import LeakageReport, check_leakage, check_site_leakage
from fracture_core.metrics.formatting import estimate_text, figure, p_text
from fracture_core.metrics.intervals import IntervalEstimate
from fracture_core.metrics.paired_tests import ComparisonError
from fracture_core.metrics.subgroups import FEWEST

if TYPE_CHECKING:
    from fracture_core.bundle.bundle import Bundle


@dataclass(frozen=True, eq=False)
class PartComparison:
    """The comparison on the test part of one dataset, or why there is none: one of `comparison` and `reason`.

    `alone` says that it is the only one: a bundle that was trained on one dataset.
    """

    part: str
    comparison: BundleComparison | None
    reason: str = ""
    alone: bool = False

    @property
    def too_few(self) -> bool:
        """Whether a class of one of two parts has too few test images for an interval to mean anything."""
        if self.comparison is None or self.alone:
            return self.comparison is None
        counts = np.bincount(self.comparison.test.labels, minlength=2)
        return int(counts.min()) < FEWEST

    @property
    def verdict(self) -> str:
        """Which of the two is better on this part, or why that cannot be told, in a sentence."""
        if self.comparison is None:
            return self.reason
        if not self.too_few:
            return self.comparison.verdict
        without, fractured = np.bincount(self.comparison.test.labels, minlength=2)
        return (
            f"Too few test images to tell which is better: {fractured} with a fracture and {without} without; it "
            f"takes at least {FEWEST} of each."
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data for a run's record and the card.

        Returns:
            The part, and its figures or why there are none.
        """
        if self.comparison is None:
            return {"part": self.part, "reason": self.reason}
        comparison, difference = self.comparison, self.comparison.auc.difference
        return {
            "part": self.part,
            "new": comparison.new,
            "against": comparison.current,
            "n": len(comparison.test.labels),
            "fractured": int(comparison.test.labels.sum()),
            "auc": [_number(comparison.auc.first), _number(comparison.auc.second)],
            "difference": [_number(v) for v in (difference.value, difference.low, difference.high)],
            "p_value": _number(comparison.auc.p_value),
            "verdict": self.verdict,
            "too_few": self.too_few,
            "unfair": list(comparison.leakage.unfair),
            "remarks": list(comparison.leakage.remarks),
        }


def compare_parts(
    new: Bundle, current: Bundle, *, trained_on: Collection[str] = (), kept_scores: Path | None = None
) -> list[PartComparison]:
    """Compare two bundles on every test part of the new one.

    Args:
        new: The new bundle.
        current: The bundle in use.
        trained_on: Ids of the images that the new bundle was trained on, where they are known.
        kept_scores: The current bundle's scores of images that it had not read before, as a csv.

    Returns:
        One comparison a test part: FracAtlas's first, then the site's.
    """
    sources = new.manifest.get("provenance", {}).get("sources")
    stored = stored_scores(current, kept_scores)
    if not sources:
        name, theirs = (dataset_name(bundle.manifest.get("provenance", {})) for bundle in (new, current))
        if name == FracAtlas.name and name != theirs and len(_own_fracatlas(current)):
            return [_tried(name, lambda: _on_fracatlas(new, current, stored, trained_on), alone=True)]
        if "film" in new.predictions():
            return [_tried(name, lambda: _on_films(new, current, new.predictions(), stored), alone=True)]
        compare = partial(compare_bundles, new, current, trained_on=trained_on, kept_scores=kept_scores)
        return [_tried(name, compare, alone=True)]
    ours = new.predictions()
    names = [str(source["name"]) for source in sources]
    fracatlas_ids = [image_id for image_id in trained_on if not is_site(image_id)]
    return [
        _tried(names[0], lambda: _on_fracatlas(new, current, stored, fracatlas_ids)),
        _tried(names[1], lambda: _on_films(new, current, ours[ours["image_id"].map(is_site)], stored)),
    ]


def comparison_text(comparison: Sequence[Mapping[str, Any]]) -> str:
    """Word recorded comparisons for a terminal.

    Args:
        comparison: What each part's `PartComparison.to_json` returned.

    Returns:
        A few lines a part.
    """
    lines = []
    for part in comparison:
        if "n" not in part:
            lines.append(f"On the test images of {part['part']}: no comparison. {part['reason']}")
            continue
        new, other, p_value = (_float(value) for value in (*part["auc"], part["p_value"]))
        lines += [
            f"On {part['n']} test images of {part['part']}, {part['fractured']} with a fracture:",
            f"  AUC {figure(new)} ({part['new']}), {figure(other)} ({part['against']}); "
            f"difference {difference_text(part)}" + ("" if part["too_few"] else f", {p_text(p_value)}"),
            f"  {part['verdict']}",
            *(f"  Biased comparison: {remark}" for remark in part["unfair"]),
            *(f"  {remark}" for remark in part["remarks"]),
        ]
    return "\n".join(lines)


def difference_text(part: Mapping[str, Any]) -> str:
    """Format the difference in AUC of a recorded comparison.

    Args:
        part: What `PartComparison.to_json` returned.

    Returns:
        The difference with its interval; "too few" where that means nothing.
    """
    estimate = IntervalEstimate(*map(_float, part["difference"]))
    return estimate_text(None if part["too_few"] else estimate)


def forgetting_text(parts: Sequence[PartComparison]) -> str:
    """Say what training on a site's films has cost on FracAtlas, and gained at the site.

    Args:
        parts: What `compare_parts` returned.

    Returns:
        Two sentences; "" unless there are two parts.
    """
    if len(parts) != 2:
        return ""
    return f"{_change(parts[0], _FORGETTING)} {_change(parts[1], _LEARNING)}"


#: By the sign of the difference: worse, not shown, better, too few images.
_FORGETTING = (
    "{part}: worse than the model in use. It has lost some of what that model had learned.",
    "{part}: no loss is shown; the interval below says how large one could still be.",
    "{part}: better than the model in use.",
    "{part}: it is not possible to say whether it has lost anything.",
)
_LEARNING = (
    "{part}: worse than the model in use.",
    "{part}: no gain is shown.",
    "{part}: better than the model in use.",
    "{part}: too few films to say whether it has gained anything.",
)


def _change(part: PartComparison, words: tuple[str, str, str, str]) -> str:
    if part.comparison is None:
        return f"{part.part}: not compared."
    if part.too_few or not part.comparison.auc.difference.defined:
        return words[3].format(part=part.part)
    difference = part.comparison.auc.difference
    return words[0 if difference.high < 0 else 2 if difference.low > 0 else 1].format(part=part.part)


def unscored(current: Bundle, split_ids: Collection[str]) -> set[str]:
    """Return which of a combined dataset's val and test images a bundle's own predictions do not cover.

    A site's films are always scored afresh: the same name elsewhere means nothing.

    Args:
        current: The bundle.
        split_ids: Ids of the images.

    Returns:
        The ids to score.
    """
    known = set(_own_fracatlas(current)["image_id"])
    return {image_id for image_id in split_ids if is_site(image_id) or image_id not in known}


def _tried(name: str, compare: Callable[[], BundleComparison], *, alone: bool = False) -> PartComparison:
    try:
        return PartComparison(name, compare(), alone=alone)
    except ComparisonError as error:
        return PartComparison(name, None, str(error), alone)


def _own_fracatlas(bundle: Bundle) -> pd.DataFrame:
    """Return a bundle's own scores of FracAtlas; none if it was not trained on it."""
    table, provenance = bundle.predictions(), bundle.manifest.get("provenance", {})
    if provenance.get("sources"):
        return table[~table["image_id"].map(is_site)]
    return table if dataset_name(provenance) == FracAtlas.name else table.iloc[:0]


def _on_fracatlas(new: Bundle, current: Bundle, stored: pd.DataFrame, trained_on: Collection[str]) -> BundleComparison:
    theirs = _own_fracatlas(current)
    seen = trained_on if len(theirs) else ()
    if theirs.empty:
        theirs = stored[~stored["image_id"].map(is_site).astype(bool)]
    if theirs.empty:
        raise ComparisonError(f"{current.name} was not scored on the test images of FracAtlas.")
    return compare_scores(
        new, current, _own_fracatlas(new), theirs, lambda test: check_leakage(new, current, test, seen)
    )


def _on_films(new: Bundle, current: Bundle, ours: pd.DataFrame, stored: pd.DataFrame) -> BundleComparison:
    """Compare on a site's own films, which are recognised by their pixels; those that either has seen are left out."""
    films = dict(zip(ours["image_id"], ours["film"], strict=True))
    theirs = stored[stored["image_id"].isin(set(films))]
    if theirs.empty:
        theirs = _by_film(current, films)
    if theirs.empty:
        raise ComparisonError(f"{current.name} was not scored on the test films of this site.")
    tested = {image_id: films[image_id] for image_id in ours.loc[ours["split"] == "test", "image_id"]}
    report, seen = check_site_leakage(new, current, tested)
    if seen >= set(tested):
        raise ComparisonError(f"{current.name} has seen all {len(tested)} test films of this site.")
    ours = ours[~((ours["split"] == "test") & ours["image_id"].isin(seen))]

    def judge(test: list[str]) -> LeakageReport:
        return report

    return compare_scores(new, current, ours, theirs, judge)


def _by_film(bundle: Bundle, films: dict[str, str]) -> pd.DataFrame:
    """Return a bundle's own scores of a site's films under the ids that another bundle has for them."""
    table = bundle.predictions()
    if "film" not in table:
        return table.iloc[:0]
    ids = {digest: image_id for image_id, digest in films.items()}
    return table.assign(image_id=table["film"].map(ids)).dropna(subset=["image_id"]).drop_duplicates("image_id")


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _number(value: float) -> float | None:
    """Return a number that JSON can hold."""
    return round(float(value), 6) if value == value and abs(value) != float("inf") else None
