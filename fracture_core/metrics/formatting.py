"""Print figures: values, intervals, p-values and shares."""

from __future__ import annotations

import math

from fracture_core.metrics.intervals import IntervalEstimate


def figure(value: float) -> str:
    """Print a figure with three decimals, or say that it is undefined."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def p_text(p: float) -> str:
    """Print a p-value; one too small for three decimals as below 0.001."""
    return "p < 0.001" if p < 0.001 else f"p = {figure(p)}"


def interval(estimate: IntervalEstimate | None) -> str:
    """Print an estimate's interval in one unbroken piece, or a dash where there is none."""
    if estimate is None or math.isnan(estimate.low):
        return "–"
    return f"{estimate.low:.3f}\u00a0to\u00a0{estimate.high:.3f}"


def estimate_text(estimate: IntervalEstimate | None) -> str:
    """Print an estimate with its interval; "too few" for one that was withheld."""
    if estimate is None:
        return "too few"
    return f"{figure(estimate.value)} ({interval(estimate)})" if estimate.defined else "undefined"


def share_text(part: int, whole: int) -> str:
    """Print part / whole as per cent with a decimal; a dash where the whole is empty."""
    return f"{100 * part / whole:.1f} %" if whole else "–"
