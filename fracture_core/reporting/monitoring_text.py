"""Describe in words what an audit log shows."""

from __future__ import annotations

import pandas as pd

from fracture_core.evaluation.monitoring import ANSWERS, Change
from fracture_core.inference.assessment import NOT_READ


def summary_text(log: pd.DataFrame) -> str:
    """Describe how many films there are since when, and how many were not read.

    Args:
        log: What `monitoring.read_log` returned, not empty.

    Returns:
        A sentence.
    """
    first, last = (f"{when:%d %B %Y}".lstrip("0") for when in (log["when"].iloc[0], log["when"].iloc[-1]))
    unread = int((log["answer"] == NOT_READ).sum())
    return f"{len(log)} films from {first} to {last}; {unread} not read ({unread / len(log):.1%})."


def change_text(change: Change) -> str:
    """Describe a change, with its date.

    Args:
        change: The change.

    Returns:
        A sentence.
    """
    return f"{change.when:%d %B %Y}: {change.text}".lstrip("0")


def months_table(months: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the months for reading, newest first, with percentages.

    Args:
        months: What `monitoring.monthly` returned.

    Returns:
        One row per month.
    """
    shown = {
        "Month": [f"{month:%b %Y}" for month in months.index],
        "Films": months["films"].tolist(),
        "Films a day": months["films_a_day"].round(1).tolist(),
        **{f"{answer.capitalize()} (%)": (100 * months[answer]).round(1).tolist() for answer in ANSWERS},
        "Median probability (%)": (100 * months["median_probability"]).round(1).tolist(),
        "Stability index": months["psi"].round(3).tolist(),
    }
    return pd.DataFrame(shown).iloc[::-1].reset_index(drop=True)
