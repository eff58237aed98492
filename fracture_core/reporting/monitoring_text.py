"""Describe in words what an audit log shows."""

from __future__ import annotations

import pandas as pd

from fracture_core.evaluation.monitoring.audit_history import ANSWERS, Change
from fracture_core.formatting import format_percent
from fracture_core.inference.assessment import NOT_READ
from fracture_core.metrics.intervals import wilson


def summary_text(log: pd.DataFrame) -> str:
    """Describe how many films there are since when, and how many were not read.

    Args:
        log: What `audit_history.read_log` returned, not empty.

    Returns:
        A sentence.
    """
    first, last = (f"{when:%d %B %Y}".lstrip("0") for when in (log["when"].iloc[0], log["when"].iloc[-1]))
    unread = int((log["answer"] == NOT_READ).sum())
    when = f"on {first}" if first == last else f"from {first} to {last}"
    return f"{len(log)} films {when}; {unread} not read ({format_percent(unread / len(log), 1)})."


def change_text(change: Change) -> str:
    """Describe a change, with its date.

    Args:
        change: The change.

    Returns:
        A sentence.
    """
    return f"{change.when:%d %B %Y}: {change.text}".lstrip("0")


def agreement_text(counts: pd.DataFrame) -> str:
    """Say how often readers' verdicts agree with the model.

    Args:
        counts: What `agreement.monthly_agreement` returned.

    Returns:
        A sentence.
    """
    reviewed, agreed = int(counts["reviewed"].sum()), int(counts["agreed"].sum())
    if not reviewed:
        return "No reviewed film has a clear answer of this model and an agreed verdict yet."
    share = wilson(agreed, reviewed)
    return (
        f"Readers agree with this model on {agreed} of {reviewed} reviewed films ({format_percent(share.value, 1)}, "
        f"95 % interval {format_percent(share.low, 1)} to {format_percent(share.high, 1)}); films that it called "
        "indeterminate do not count."
    )


def months_text(months: pd.DataFrame) -> str:
    """Say in which months a test shows that something moved.

    Args:
        months: What `audit_history.monthly` returned.

    Returns:
        A sentence.
    """
    marked = months[months["moved"] != ""]
    if marked.empty:
        return "Month by month, neither scores nor features differ from the reference by more than chance."
    phrases = [f"{month:%B %Y} ({what})" for month, what in marked["moved"].items()]
    shown, rest = ", ".join(phrases[:6]), len(phrases) - 6
    return f"Different from the reference in {shown}{f' and {rest} more months' if rest > 0 else ''}."


def months_table(months: pd.DataFrame, agreement: pd.DataFrame | None = None) -> pd.DataFrame:
    """Tabulate the months for reading, newest first, with percentages.

    Args:
        months: What `audit_history.monthly` returned.
        agreement: What `agreement.monthly_agreement` returned; None without a review set.

    Returns:
        One row per month.
    """
    shown = {
        "Month": [f"{month:%b %Y}" for month in months.index],
        "Moved": [f"⚠ {what}" if what else "" for what in months["moved"]],
        "Films": months["films"].tolist(),
        "Films per day": months["films_a_day"].round(1).tolist(),
        **{f"{answer.capitalize()} (%)": (100 * months[answer]).round(1).tolist() for answer in ANSWERS},
        "Median probability (%)": (100 * months["median_probability"]).round(1).tolist(),
        "Stability index": months["psi"].round(3).tolist(),
        "p, scores (corrected)": months["scores_p"].round(4).tolist(),
    }
    if months["feature_psi"].notna().any():
        shown |= {
            "Stability index of features": months["feature_psi"].round(3).tolist(),
            "p, features (corrected)": months["features_p"].round(4).tolist(),
        }
    if agreement is not None:
        counts = agreement.reindex(months.index, fill_value=0)
        share = (100 * counts["agreed"] / counts["reviewed"].where(counts["reviewed"] > 0)).round(1)
        shown |= {"Reviewed films": counts["reviewed"].tolist(), "Agree with the readers (%)": share.tolist()}
    return pd.DataFrame(shown).iloc[::-1].reset_index(drop=True)
