"""Format numbers for people."""

from __future__ import annotations


def format_percent(share: float, decimals: int = 0) -> str:
    """Format a share as a percentage that never rounds something to nothing or to everything.

    Args:
        share: 0..1.
        decimals: Decimals to show; one more is added where rounding would give 0 % or 100 % for any other share.

    Returns:
        For example "43 %", "0.4 %", "< 0.1 %" or "> 99.9 %".
    """
    text = f"{100 * share:.{decimals}f}"
    if float(text) in (0.0, 100.0) and 0 < share < 1:
        text = f"{100 * share:.{decimals + 1}f}"
        if float(text) == 0:
            return f"< {10.0 ** -(decimals + 1):g} %"
        if float(text) == 100:
            return f"> {100 - 10.0 ** -(decimals + 1):g} %"
    elif share in (0, 1):
        text = f"{100 * share:.0f}"
    return f"{text} %"


def short_percent(share: float) -> str:
    """Format a share that somebody chose, such as a threshold, with a decimal only where it has one.

    Args:
        share: 0..1.

    Returns:
        For example "30 %" or "97.5 %".
    """
    return format_percent(share, 0 if round(100 * share, 1).is_integer() else 1)


def inert_cell(text: str) -> str:
    """Return text for a cell of a CSV file, with an apostrophe in front of what a spreadsheet would run as a formula.

    Args:
        text: The cell's text.

    Returns:
        The text to write.
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
