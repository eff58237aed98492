"""Format numbers for people: values, intervals, p-values and percentages."""

from __future__ import annotations

import math

from fracture_core.formatting import format_percent
from fracture_core.metrics.intervals import IntervalEstimate


def figure(value: float) -> str:
    """Format a value with three decimals.

    Args:
        value: Any float.

    Returns:
        The text; "undefined" for nan.
    """
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def p_text(p: float) -> str:
    """Format a p-value.

    Args:
        p: 0..1, or nan.

    Returns:
        "p = 0.012"; "p < 0.001" if it is smaller than that.
    """
    return "p < 0.001" if p < 0.001 else f"p = {figure(p)}"


def interval(estimate: IntervalEstimate | None) -> str:
    """Format the interval of an estimate without line breaks.

    Args:
        estimate: The estimate, or None.

    Returns:
        "0.123 to 0.456"; a dash if there is no interval.
    """
    if estimate is None or math.isnan(estimate.low):
        return "–"
    return f"{estimate.low:.3f}\u00a0to\u00a0{estimate.high:.3f}"


def estimate_text(estimate: IntervalEstimate | None) -> str:
    """Format an estimate with its interval.

    Args:
        estimate: The estimate; None if it was withheld because of small numbers.

    Returns:
        "0.300 (0.123 to 0.456)", "too few" or "undefined".
    """
    if estimate is None:
        return "too few"
    return f"{figure(estimate.value)} ({interval(estimate)})" if estimate.defined else "undefined"


def share_text(part: int, whole: int) -> str:
    """Format part / whole as a percentage with one decimal.

    Args:
        part: The count.
        whole: The total.

    Returns:
        "12.3 %"; a dash if the total is 0.
    """
    return format_percent(part / whole, 1) if whole else "–"
