"""Cautions that accompany a result, in sentences; they never replace one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fracture_core.imaging.appearance.orientation import SIDEWAYS_WARNING
from fracture_core.imaging.appearance.screen_outline import PERSPECTIVE_WARNING
from fracture_core.imaging.appearance.screen_photo import MOIRE_WARNING
from fracture_core.imaging.body_parts import girdle, is_limb
from fracture_core.imaging.letterbox import Placement
from fracture_core.imaging.radiograph import BLANK_WARNING, Radiograph

#: Below this many pixels along the longer side, a fracture line may be lost before the network sees it.
_SMALLEST_SIDE = 200
_FEW_PARTS = ("hip", "shoulder")  # 338 and 349 of FracAtlas's 4,083 images, with 63 fractures each
_DIFFERENCES = {
    "dark": "it is darker",
    "bright": "it is brighter",
    "flat": "it has less contrast",
    "harsh": "it has more contrast",
    "close": "it is a closer view, or collimated more tightly",
    "far": "the anatomy fills less of it",
    "blurred": "it is less sharp",
    "grainy": "it is sharper or noisier",
}
#: The differences in scale that results on other sources are kept for, and what films of that kind are called.
_SCALES = {"close": "close views", "far": "views with much air round the limb"}

_UNLIKE = "This differs from the radiographs the model was validated on"


def cautions(radiograph: Radiograph, placement: Placement, traits: frozenset[str], part: str = "") -> Iterator[str]:
    """Yield what makes a result less certain, as sentences: the header, the image's size, what the network sees in it.

    Args:
        radiograph: The radiograph.
        placement: Its placement in the letterboxed square.
        traits: The attributes that its features show.
        part: The part of the body that the network sees in it, one of `scope.CONTENTS`, or "".

    Yields:
        The sentences.
    """
    header = radiograph.header
    declared = header.body_part if header else ""
    if is_limb(declared) is False:
        yield f"The file says it shows {declared.lower()}; the model was validated on limbs, hip and shoulder only."
    if radiograph.screen_corners:
        yield PERSPECTIVE_WARNING
    if radiograph.moire:
        yield MOIRE_WARNING
    if radiograph.turns_to_upright:
        yield SIDEWAYS_WARNING
    if max(radiograph.pixels.shape) < _SMALLEST_SIDE:
        height, width = radiograph.pixels.shape
        yield f"The image is very small ({width} x {height} pixels): a fine fracture line cannot be seen in it."
    longer, shorter = max(radiograph.pixels.shape), min(radiograph.pixels.shape)
    if longer > 3 * shorter:
        yield "The image is very long and narrow, so the bone takes up little of what the model sees."
    elif max(placement.scale) < 0.05:
        yield "The image was scaled down heavily for the model: fine detail is lost."
    if "hardware" in traits:
        yield "Possible implant: it raises the score with or without a fracture."
    if "multiscan" in traits:
        yield "Several views in one image. Upload each separately for a better reading."
    if named := girdle(declared):
        yield f"The file says it shows the {named}: the model has seen few fractures there."
    elif part in _FEW_PARTS and is_limb(declared) is None:
        yield f"This looks like a {part}: the model has seen few fractures there."


def unlike_validated(differences: Sequence[str], elsewhere: Mapping[str, Any]) -> str:
    """Return the caution for a limb radiograph that does not look like those the model was validated on.

    Args:
        differences: What differs, from `UsualRanges.differences`; empty if only the appearance as a whole does.
        elsewhere: The bundle's results on films from other sources: `fractured` films and those `flagged` of them, and
            the same of close and of distant views, such as `flagged_close`; `sound` films and `flagged_sound`; empty
            if there are none.

    Returns:
        The sentence.
    """
    named = ", ".join(_DIFFERENCES[name] for name in differences if name in _DIFFERENCES)
    what = named or "its appearance as a whole (source or processing)"
    text = f"{_UNLIKE}: {what}."
    scale = next((name for name in differences if name in _SCALES and f"fractured_{name}" in elsewhere), "")
    suffix, films = (f"_{scale}", _SCALES[scale]) if scale else ("", "films")
    try:
        fractured, flagged = int(elsewhere[f"fractured{suffix}"]), int(elsewhere[f"flagged{suffix}"])
    except (KeyError, TypeError, ValueError):
        return f"{text} How well the model does on such images is not known."
    sound, alarms = elsewhere.get("sound"), elsewhere.get("flagged_sound")
    wrongly = f", and wrongly {alarms} of {sound} films presumed sound" if sound and isinstance(alarms, int) else ""
    missed = f" (missed {fractured - flagged})" if fractured > flagged else ""
    return f"{text} On {films} from other sources it flagged {flagged} of {fractured} fractures{missed}{wrongly}."


def doubted(warnings: Iterable[str]) -> bool:
    """Return whether warnings say that the image does not look like those the model was validated on.

    Args:
        warnings: Those of a finding.

    Returns:
        Whether one is from `unlike_validated`.
    """
    return any(warning.startswith(_UNLIKE) for warning in warnings)


def all_warnings(radiograph: Radiograph, doubts: Iterable[str], remark: str, *, blank: bool) -> tuple[str, ...]:
    """Return what is said beside a result, in order: what reading the file noted, the cautions, the engine's remark.

    Args:
        radiograph: The radiograph.
        doubts: The cautions.
        remark: The engine's, "" for none.
        blank: Whether the image is not assessed because it is blank, which then need not be said twice.

    Returns:
        Sentences.
    """
    noted = (warning for warning in radiograph.warnings if not blank or warning != BLANK_WARNING)
    return (*noted, *doubts, *filter(None, [remark]))
