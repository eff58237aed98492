"""One rule for files that lack part of their image: refused with a sentence that says how much, or read on request.

Every reader of every format ends here, so that a truncated PNG, TIFF, JPEG or DICOM file is treated alike.
"""

from __future__ import annotations

import numpy as np

from fracture_core.formatting import format_percent
from fracture_core.imaging.limits import UnreadableRadiograph

NOTHING_THERE = "The file is truncated: it contains no image data."
SOMEWHERE_WRONG = "The file is damaged: part of the image is wrong, and how much cannot be told."
FINE_DETAIL = "The file is truncated: the whole image is present, but without fine detail."
_AGAIN = "Please export or send it again."


def blacken_missing(
    grey: np.ndarray, present: np.ndarray, *, accept: bool, damaged: bool = False, sound: bool = True
) -> tuple[float, tuple[str, ...]]:
    """Make the rows that a file lacks black, or refuse the file.

    Args:
        grey: uint8 (H, W), as stored; written to.
        present: bool (H,), whether the file holds the whole of each row.
        accept: Whether an image that is not whole is wanted.
        damaged: Whether rows are lost because data are wrong, not because they are not there.
        sound: False where rows that seem to be there may be wrong.

    Returns:
        The share of the rows that is missing, 0 to 1, at least that of one row where any may be wrong; the warnings.

    Raises:
        UnreadableRadiograph: Rows are missing and `accept` is false, or not one row is there.
    """
    if present.all() and sound:
        return 0.0, ()
    if not present.any():
        if damaged or not sound:
            raise UnreadableRadiograph("The image is damaged and cannot be decoded. Please export or send it again.")
        raise UnreadableRadiograph(NOTHING_THERE)
    missing = max(1 - float(present.mean()), 1 / len(present))
    warnings = refuse_or_warn(_loss(present, damaged=damaged, sound=sound), missing, accept=accept)
    grey[~present] = 0
    return missing, warnings


def _loss(present: np.ndarray, *, damaged: bool, sound: bool) -> str:
    if present.all():
        return SOMEWHERE_WRONG
    rows, missing = np.flatnonzero(~present), format_percent(1 - float(present.mean()))
    part = f"the bottom {missing}" if rows[0] + len(rows) == len(present) else missing
    if not sound:
        return f"The file is damaged: at least {part} of the image cannot be decoded, and more of it may be wrong."
    if damaged:
        return f"The file is damaged: {part} of the image cannot be decoded."
    return f"The file is truncated: {part} of the image is missing."


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
