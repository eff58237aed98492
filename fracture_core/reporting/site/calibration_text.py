"""Put a calibration to a site into words and tables."""

from __future__ import annotations

import pandas as pd

from fracture_core.evaluation.site_calibration import SiteCalibration
from fracture_core.formatting import format_percent
from fracture_core.metrics.operating_points import TriageGroup


def parts_in_words(made: SiteCalibration, left_out: int = 0) -> str:
    """Say which films were used, and for what.

    Args:
        made: The calibration.
        left_out: Films that the model does not assess or that could not be read.

    Returns:
        Some sentences.
    """
    films, fractured = made.films, made.fractured
    said = (
        f"{films['all']} labelled films, {fractured['all']} fractured, divided by patient: {films['tuning']} to choose "
        f"thresholds and the scale, {films['testing']} to test them (one film a patient), {films['report']} held out "
        "for the comparison below."
    )
    if left_out:
        said += f" {left_out} more were left out: the model does not assess them, or they cannot be read."
    return said


def comparison_table(made: SiteCalibration) -> pd.DataFrame:
    """Tabulate the held-out films by answer, before and after.

    Args:
        made: The calibration.

    Returns:
        One row an answer: Answer, Before and After, as texts.
    """
    rows = [
        (before.triage.capitalize(), _group(before), _group(after))
        for before, after in zip(made.before, made.after, strict=True)
    ]
    return pd.DataFrame(rows, columns=["Answer", "Before (model's own points)", "After (your site's points)"])


def comparison_in_words(made: SiteCalibration) -> str:
    """Say in a sentence or two what the calibration changed on the held-out films.

    Args:
        made: The calibration.

    Returns:
        The sentences.
    """
    (out_before, _, in_before), (out_after, _, in_after) = made.before, made.after
    better = "closer to" if made.ece[1] < made.ece[0] else "no closer to"
    return (
        f"On {made.films['report']} films that took no part: called unlikely {out_before.n} before and {out_after.n} "
        f"after, of these fractured {out_before.fractured} and {out_after.fractured}; called likely {in_before.n} and "
        f"{in_after.n}, of these fractured {in_before.fractured} and {in_after.fractured}. Probabilities are {better} "
        f"the share that is fractured (calibration error {made.ece[0]:.3f} before, {made.ece[1]:.3f} after)."
    )


def _group(group: TriageGroup) -> str:
    if not group.n:
        return "no films"
    rate = group.fracture_rate
    return (
        f"{group.n} films, {group.fractured} fractured ({format_percent(rate.value)}, 95 % CI "
        f"{100 * rate.low:.0f} to {100 * rate.high:.0f} %)"
    )
