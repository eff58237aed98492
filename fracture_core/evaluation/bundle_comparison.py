"""Compare a new bundle with the one in use on the same test images: metrics, a verdict in words, the largest errors."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fracture_core.data.dataset import dataset_name
from fracture_core.evaluation.leakage import LeakageReport, check_leakage
from fracture_core.metrics.confusion import Confusion
from fracture_core.metrics.curves import Curve, roc_curve
from fracture_core.metrics.formatting import estimate_text, p_text, share_text
from fracture_core.metrics.intervals import IntervalEstimate
from fracture_core.metrics.paired_tests import (
    AucDifference,
    ComparisonError,
    Disagreements,
    MatchedSensitivity,
    Paired,
    auc_difference,
    bootstrap_differences,
    disagreements,
    matched_sensitivity,
    pair,
)

if TYPE_CHECKING:
    from fracture_core.bundle.bundle import Bundle

#: Validation's sensitivity at which the calls of two bundles are held side by side.
TARGET = 0.90
_WORST = 12


@dataclass(frozen=True, eq=False)
class BundleComparison:
    """The comparison, first the new bundle; `bootstrapped` by "roc_auc" and "average_precision"."""

    new: str
    current: str
    test: Paired
    auc: AucDifference
    bootstrapped: dict[str, IntervalEstimate]
    matched: MatchedSensitivity
    differ: Disagreements
    worst: pd.DataFrame
    leakage: LeakageReport

    @property
    def curves(self) -> dict[str, Curve]:
        """The ROC curves of both on the common test images, by name."""
        labels = self.test.labels
        return {self.new: roc_curve(labels, self.test.first), self.current: roc_curve(labels, self.test.second)}

    @property
    def verdict(self) -> str:
        """Which is better by AUC, in a sentence."""
        difference = self.auc.difference
        by = f"the AUCs differ by {estimate_text(difference)} ({p_text(self.auc.p_value)})"
        if not difference.defined:
            return f"Too few test images to tell which is better; {by}."
        if difference.low > 0:
            return f"{self.new} is better on these images: {by}."
        if difference.high < 0:
            return f"{self.current} is better on these images: {by}."
        return f"Neither is shown to be better: {by}, and the interval includes 0."


def compare_bundles(
    new: Bundle, current: Bundle, *, trained_on: Collection[str] = (), kept_scores: Path | None = None
) -> BundleComparison:
    """Compare two bundles on the test images that both have scored.

    Args:
        new: The new bundle.
        current: The bundle in use.
        trained_on: Ids of the images that the new bundle was trained on, where they are known.
        kept_scores: The current bundle's scores of the new bundle's images (see `scores_file`), read where the
            current bundle's own predictions lack them.

    Returns:
        The comparison on the common test images.

    Raises:
        ComparisonError: The two have no test images in common, or those are all of one class.
    """
    ours, theirs = new.predictions(), current.predictions()
    if not share_images(new, current):
        theirs = stored_scores(current, kept_scores)
        if theirs.empty:
            raise ComparisonError(f"{new.name} and {current.name} were not scored on the same radiographs.")
    seen = trained_on if _same_dataset(new, current) else ()
    return compare_scores(new, current, ours, theirs, lambda test: check_leakage(new, current, test, seen))


def compare_scores(
    new: Bundle,
    current: Bundle,
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    judge: Callable[[list[str]], LeakageReport],
) -> BundleComparison:
    """Compare two bundles by their scores of the same val and test images.

    Args:
        new: The new bundle.
        current: The bundle in use.
        ours: The new bundle's scores: image_id, split, label and probability.
        theirs: The current bundle's.
        judge: Says whether a comparison on these test images is fair.

    Returns:
        The comparison on the common test images.

    Raises:
        ComparisonError: The two have no test images in common, or those are all of one class.
    """
    val, test = (pair(ours[ours["split"] == part], theirs[theirs["split"] == part]) for part in ("val", "test"))
    if len(set(test.labels.tolist())) < 2:
        raise ComparisonError("The test images that both models were scored on are all of one class.")
    matched = matched_sensitivity(val, test, TARGET)
    scores = (test.labels, test.first, test.second)
    return BundleComparison(
        new=new.name,
        current=current.name,
        test=test,
        auc=auc_difference(*scores),
        bootstrapped=bootstrap_differences(*scores),
        matched=matched,
        differ=disagreements(test, *matched.thresholds),
        worst=_worst(test, matched.thresholds[0]),
        leakage=judge(test.image_ids.tolist()),
    )


def share_images(first: Bundle, other: Bundle) -> bool:
    """Return whether two bundles were scored on the same images.

    A user's own films are recognised by their pixels: two folders, and the files in them, may have the same names. All
    of the first bundle's must be among the other's, in the same part. FracAtlas's ids name its images.

    Args:
        first: The first bundle.
        other: The second bundle.

    Returns:
        Whether they share images.
    """
    ours, theirs = first.predictions(), other.predictions()
    if "film" in ours or "film" in theirs:
        return _films(ours) <= _films(theirs)
    return _same_dataset(first, other) and bool(set(ours["image_id"]) & set(theirs["image_id"]))


def _films(table: pd.DataFrame) -> set[tuple[str, str]]:
    """Return the pixels' digest and the part of each image; of one that has no digest its id, which nothing equals."""
    films = table["film"] if "film" in table else table["image_id"]
    return set(zip(films.fillna(table["image_id"]), table["split"], strict=True))


def _same_dataset(first: Bundle, second: Bundle) -> bool:
    names = {dataset_name(bundle.manifest.get("provenance", {})) for bundle in (first, second)}
    return len(names) == 1


def scores_file(run: Path, bundle: Bundle) -> Path:
    """Return the file in which a run keeps another bundle's scores of the run's val and test images.

    Args:
        run: The run's folder.
        bundle: The other bundle.

    Returns:
        The path.
    """
    return run / f"scores-{bundle.sha256[:12]}.csv"


def stored_scores(current: Bundle, file: Path | None) -> pd.DataFrame:
    """Read the scores that a bundle was given on another bundle's images.

    Args:
        current: The bundle.
        file: Where `scores_file` says; None for none.

    Returns:
        Columns image_id, split, label, logit, probability and, of a site's films, film; no rows without a file.
    """
    if file is None or not file.is_file():
        return pd.DataFrame(columns=["image_id", "split", "label", "logit", "probability"])
    table = pd.read_csv(file, dtype={"image_id": str, "split": str, "film": str})
    return table.assign(probability=current.probability(table["logit"].to_numpy()))


def matched_table(comparison: BundleComparison) -> pd.DataFrame:
    """Tabulate the results of both bundles on test at their own thresholds for the target sensitivity.

    Args:
        comparison: The comparison.

    Returns:
        One row per bundle.
    """
    rows = []
    pairs = ((comparison.new, comparison.matched.first), (comparison.current, comparison.matched.second))
    for (name, matrix), threshold in zip(pairs, comparison.matched.thresholds, strict=True):
        rows.append({"Model": name, "Threshold": f"{threshold:.3f}", **_cells(matrix)})
    return pd.DataFrame(rows)


def _cells(matrix: Confusion) -> dict[str, str | int]:
    return {
        "True positives": matrix.tp,
        "False negatives": matrix.fn,
        "False positives": matrix.fp,
        "True negatives": matrix.tn,
        "Sensitivity": share_text(matrix.tp, matrix.positives),
        "Specificity": share_text(matrix.tn, matrix.negatives),
    }


def _worst(test: Paired, threshold: float) -> pd.DataFrame:
    """List the new bundle's errors at its threshold, the furthest from it first.

    Far is meant in log-odds: below a small threshold a miss has no room to lie far off in probability.
    """
    table = pd.DataFrame({"image_id": test.image_ids, "label": test.labels, "new": test.first, "current": test.second})
    wrong = table[(table["new"] >= threshold) != (table["label"] == 1)]
    far = np.abs(_log_odds(wrong["new"].to_numpy()) - _log_odds(np.array(threshold)))
    order = wrong.index[np.argsort(-far, kind="stable")]
    shown = wrong.loc[order].head(_WORST).reset_index(drop=True)
    shown["error"] = shown["label"].map({1: "missed fracture", 0: "false positive"})
    return shown[["image_id", "error", "new", "current"]]


def _log_odds(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(probability, 1e-9, 1 - 1e-9)
    return np.log(clipped / (1 - clipped))
