"""Recognise the names of classes and of the parts of a split."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from fracture_core.data.fracatlas import DatasetError

#: Names of the two classes as `plain` leaves them.
FRACTURED = {"fracture", "fractures", "fractured", "broken", "positive", "pos", "1", "yes", "true"}
FRACTURED |= {"fraktur", "frakturen", "frakturiert", "gebrochen", "ja", "wahr", "oui", "vrai", "fx"}
WHOLE = {"normal", "healthy", "intact", "negative", "neg", "0", "no", "none", "false"}
WHOLE |= {"gesund", "intakt", "nein", "falsch", "non", "faux"}
_PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
_PARTS |= {"dev": "val", "test": "test", "testing": "test"}
#: MURA's folders of studies.
_STUDY = re.compile(r"study\d+(positive|negative)")
_DENIAL = "no|not|non|un|without|kein|keine|keinen|ohne|nicht|unge"
#: "no fracture", "NotFractured" or "ohne_Fraktur" as `plain` leaves them.
_DENIED = re.compile(rf"({_DENIAL})(fractur(e|es|ed)|fraktur(en|iert)?|fx|broken|gebrochen|brochen)")
#: A class of an annotation format that means a fracture: "wrist fracture", "elbow positive", but not "no fracture".
_OF_A_FRACTURE = re.compile(r"fract|frakt|broken|gebrochen|positive|\bfx\b", re.IGNORECASE)
_NOT_OF_A_FRACTURE = re.compile(
    rf"\b({_DENIAL}|none|nein|false|free|absent|healthy|normal|intact|gesund|intakt)\b"
    rf"|\b({_DENIAL})(?=fract|frakt|fx|broken|gebrochen)|negative",
    re.IGNORECASE,
)
#: A fracture all the same: "non-displaced fracture".
_KIND_OF_A_FRACTURE = re.compile(r"\b(non|not|un|nicht) ?(displac|disloz|verschob|commin|heal|union)", re.IGNORECASE)


def plain(name: str) -> str:
    """Normalise a name for comparison.

    Args:
        name: Such as "Non-Fractured" or "1.0".

    Returns:
        The name in lower case, without spaces, hyphens, underscores and a spreadsheet's ".0".
    """
    return re.sub(r"[.,]0+$", "", re.sub(r"[\s_-]+", "", unicodedata.normalize("NFC", name).casefold()))


def class_label(name: str) -> int | None:
    """Return the label that a class name stands for.

    Args:
        name: Such as "fractured", "normal" or "study1_positive".

    Returns:
        1 for fractured, 0 for not fractured, None if the name says neither.
    """
    words = plain(name)
    if study := _STUDY.fullmatch(words):
        words = study[1]
    return 1 if words in FRACTURED else 0 if words in WHOLE or _DENIED.fullmatch(words) else None


def class_labels(names: Iterable[str], where: str) -> dict[str, int]:
    """Return the label of each class name.

    Args:
        names: Class names, with repeats.
        where: Where they come from, for the message.

    Returns:
        1 or 0 by name.

    Raises:
        DatasetError: A name says neither; the message asks which class means fractured.
    """
    names = list(dict.fromkeys(names))
    labels = {name: class_label(name) for name in names}
    if unknown := [name for name, label in labels.items() if label is None]:
        raise DatasetError(
            f"Which of {quoted(names)} means fractured? {quoted(unknown)} in {where} can mean either: "
            "call them fractured and normal."
        )
    return {name: label for name, label in labels.items() if label is not None}


def fracture_classes(names: Iterable[str], where: str) -> set[str]:
    """Return the classes of an annotation format that mean a fracture.

    Args:
        names: Class names, with repeats.
        where: Where they come from, for the message.

    Returns:
        Those that mean a fracture, at least one.

    Raises:
        DatasetError: None does.
    """
    names = list(dict.fromkeys(names))
    fractured = {name for name in names if _means_fracture(name)}
    if not fractured:
        raise DatasetError(f"None of the classes {quoted(names)} in {where} is called a fracture.")
    return fractured


def _means_fracture(name: str) -> bool:
    """Tell whether a class of an annotation format means a fracture, in agreement with `class_label` where that says.

    Other than a folder or a cell, such a class may be called "wrist fracture"; and "1" or "yes" says nothing of it.
    """
    if class_label(name) == 0:
        return False
    # A border of words in a regular expression is none before "_" and within NoFracture.
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[\s_-]+", " ", unicodedata.normalize("NFC", name))
    words = _KIND_OF_A_FRACTURE.sub("", words)
    return bool(_OF_A_FRACTURE.search(words)) and not _NOT_OF_A_FRACTURE.search(words)


def split_part(name: str) -> str | None:
    """Return which part of a split a name stands for.

    Args:
        name: Such as "train", "valid" or "testing".

    Returns:
        "train", "val" or "test"; None for any other name.
    """
    return _PARTS.get(plain(name))


def split_part_within(name: str) -> str:
    """Return which part of a split a file name contains.

    Args:
        name: Such as "instances_train2017".

    Returns:
        "train", "val" or "test"; "" if the name contains none, or several.
    """
    parts = {part for word in re.findall(r"[a-z]+", name.casefold()) if (part := _PARTS.get(word))}
    return parts.pop() if len(parts) == 1 else ""


def quoted(names: Sequence[str]) -> str:
    """Quote names for a sentence.

    Args:
        names: The names; the first six are shown, each up to 40 characters.

    Returns:
        Such as "'a', 'b' and 3 more".
    """
    shown = ", ".join(repr(name[:40]) for name in names[:6])
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")
