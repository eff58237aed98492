"""Decide whether a radiograph gets an answer at all: one rule for pages, reports, tables and the command line."""

from __future__ import annotations

from fracture_core.imaging.greyscale import COLOUR_WARNING
from fracture_core.imaging.radiograph import Radiograph

#: What the words begin with that stand in place of "fracture likely" and its like. Not "no finding": to a radiologist
#: that means normal.
NOT_READ = "not read"
UNFAMILIAR = "The image differs too much from the radiographs the model was made for, so no result is given."
BLANK = "The image is blank, so there is nothing to assess."
_IN_SHORT = {UNFAMILIAR: "outside the model's scope", BLANK: "the image is blank"}


def not_assessed_reason(radiograph: Radiograph, unfamiliarity: float, scope_margin: float | None = None) -> str:
    """Return why no result may be given, as a sentence.

    Args:
        radiograph: What was read.
        unfamiliarity: The out-of-distribution score of its features; above 1 means unlike the training data.
        scope_margin: How clearly it shows a limb (`scope.Shown.limb`): below 0 means no limb radiograph. None
            for a network that was not made for limbs, where the out-of-distribution score decides.

    Returns:
        The sentence; "" for a radiograph that is assessed.
    """
    if radiograph.blank:
        return BLANK
    # Written so that a score that is not a number is out of scope too.
    in_scope = unfamiliarity <= 1 if scope_margin is None else scope_margin >= 0
    # Radiographs are grey: a colour photograph must also look familiar, as few photographs were fitted on.
    if COLOUR_WARNING in radiograph.warnings:
        in_scope = in_scope and unfamiliarity <= 1
    return "" if in_scope else UNFAMILIAR


def not_read(reason: str) -> str:
    """Return the headline for an image without a result.

    Args:
        reason: The sentence of `not_assessed_reason`.

    Returns:
        The headline.
    """
    return f"{NOT_READ}: {_IN_SHORT[reason]}" if reason in _IN_SHORT else NOT_READ
