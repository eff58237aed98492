"""One rule for files that lack part of their image: refused with a sentence that says how much, or read on request.

Every reader of every format ends here, so that a truncated PNG, TIFF, JPEG or DICOM file is treated alike.
"""

from __future__ import annotations

import numpy as np

from fracture_core.formatting import format_percent
from fracture_core.imaging.limits import UnreadableRadiograph

NOTHING_THERE = "The file is truncated: it contains no image data."
FINE_DETAIL = "The file is truncated: the whole image is present, but without fine detail."
_AGAIN = "Please export or send it again."


def blacken_missing(
    grey: np.ndarray, present: np.ndarray, *, accept: bool, damaged: bool = False
) -> tuple[float, tuple[str, ...]]:
    """Make the rows that a file lacks black, or refuse the file.

    Args:
        grey: uint8 (H, W), as stored; written to.
        present: bool (H,), whether the file holds the whole of each row.
        accept: Whether an image that is not whole is wanted.
        damaged: Whether rows are lost because data are wrong, not because they are not there.

    Returns:
        The share of the rows that is missing, 0 to 1, and the warnings.

    Raises:
        UnreadableRadiograph: Rows are missing and `accept` is false, or not one row is there.
    """
    if present.all():
        return 0.0, ()
    if not present.any():
        if damaged:
            raise UnreadableRadiograph("The image is damaged and cannot be decoded. Please export or send it again.")
        raise UnreadableRadiograph(NOTHING_THERE)
    missing = 1 - float(present.mean())
    rows = np.flatnonzero(~present)
    at_bottom = rows[0] + len(rows) == len(present)
    part = f"the bottom {format_percent(missing)}" if at_bottom else format_percent(missing)
    what = ("damaged", "cannot be decoded") if damaged else ("truncated", "is missing")
    warnings = refuse_or_warn(f"The file is {what[0]}: {part} of the image {what[1]}.", missing, accept=accept)
    grey[~present] = 0
    return missing, warnings


def refuse_or_warn(sentence: str, missing: float, *, accept: bool) -> tuple[str, ...]:
    """Return a message about damage as a warning if the image is wanted nevertheless.

    Args:
        sentence: What is wrong.
        missing: Share of the image that is lost, 0 to 1.
        accept: Whether an incomplete image is accepted.

    Returns:
        The warning.

    Raises:
        UnreadableRadiograph: `accept` is false.
    """
    if not accept:
        raise UnreadableRadiograph(f"{sentence} {_AGAIN}", missing=missing)
    return (sentence,)


def lacks_detail(
    height: int, missing: float, truncated: tuple[str, ...], *, accept: bool
) -> tuple[float, tuple[str, ...]]:
    """Return the warning about an image whose rows are all there, but lack the fine detail that comes last.

    Args:
        height: Of the image, in pixels.
        missing: Share of the rows that is missing, 0 to 1.
        truncated: The warnings about those rows; where there are none, the detail is worth one.
        accept: Whether an incomplete image is accepted.

    Returns:
        The share that is missing, at least that of one row, and the warnings.

    Raises:
        UnreadableRadiograph: `accept` is false.
    """
    missing = missing or 1 / height
    return missing, truncated or refuse_or_warn(FINE_DETAIL, missing, accept=accept)
