"""Put a calibration to a site into words and tables."""

from __future__ import annotations

import pandas as pd

from fracture_core.evaluation.site_calibration import SiteCalibration
from fracture_core.formatting import format_percent
from fracture_core.metrics.operating_points import TriageGroup


def parts_in_words(calibration: SiteCalibration, left_out: int = 0) -> str:
    """Say which films were used, and for what.

    Args:
        calibration: The calibration.
        left_out: Films that the model does not assess or that could not be read.

    Returns:
        Some sentences.
    """
    films, fractured = calibration.films, calibration.fractured
    text = (
        f"{films['all']} labelled films, {fractured['all']} fractured, divided by patient: {films['tuning']} to choose "
        f"thresholds and the scale, {films['testing']} to test them (one film per patient), {films['report']} held out "
        "for the comparison below."
    )
    if left_out:
        text += f" {left_out} more were left out: the model does not assess them, or they cannot be read."
    return text


def comparison_table(calibration: SiteCalibration) -> pd.DataFrame:
    """Tabulate the held-out films by answer, before and after.

    Args:
        calibration: The calibration.

    Returns:
        One row an answer: Answer, Before and After, as texts.
    """
    rows = [
        (before.triage.capitalize(), _group(before), _group(after))
        for before, after in zip(calibration.before, calibration.after, strict=True)
    ]
    return pd.DataFrame(rows, columns=["Answer", "Before (model's own points)", "After (your site's points)"])


def comparison_in_words(calibration: SiteCalibration) -> str:
    """Say in a sentence or two what the calibration changed on the held-out films.

    Args:
        calibration: The calibration.

    Returns:
        The sentences.
    """
    (out_before, _, in_before), (out_after, _, in_after) = calibration.before, calibration.after
    better = "closer to" if calibration.ece[1] < calibration.ece[0] else "no closer to"
    return (
        f"On {calibration.films['report']} films that took no part: called unlikely {out_before.n} before and "
        f"{out_after.n} after, of these fractured {out_before.fractured} and {out_after.fractured}; called likely "
        f"{in_before.n} and {in_after.n}, of these fractured {in_before.fractured} and {in_after.fractured}. "
        f"Probabilities are {better} the share that is fractured (calibration error {calibration.ece[0]:.3f} before, "
        f"{calibration.ece[1]:.3f} after)."
    )


def _group(group: TriageGroup) -> str:
    if not group.n:
        return "no films"
    rate = group.fracture_rate
    return (
        f"{group.n} films, {group.fractured} fractured ({format_percent(rate.value)}, 95 % CI "
        f"{100 * rate.low:.0f} to {100 * rate.high:.0f} %)"
    )
