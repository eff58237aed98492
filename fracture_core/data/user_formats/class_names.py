"""Recognise the names of classes and of the parts of a split."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from fracture_core.data.fracatlas import DatasetError

#: Names of the two classes as `plain` leaves them.
FRACTURED = {"fracture", "fractures", "fractured", "broken", "positive", "pos", "1", "yes", "true"}
FRACTURED |= {"fraktur", "frakturen", "frakturiert", "ja"}
WHOLE = {"normal", "healthy", "intact", "unfractured", "nonfracture", "nonfractured", "nofracture", "nofractures"}
WHOLE |= {"notfracture", "notfractured", "withoutfracture", "negative", "neg", "0", "no", "none", "false"}
WHOLE |= {"keinefraktur", "nichtfrakturiert", "nein"}
_PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
_PARTS |= {"dev": "val", "test": "test", "testing": "test"}
#: MURA's folders of studies.
_STUDY = re.compile(r"study\d+(positive|negative)")
#: A class of an annotation format that means a fracture: "wrist fracture", "elbow positive", but not "no fracture".
_OF_A_FRACTURE = re.compile(r"fract|frakt|broken|positive|\bfx\b", re.IGNORECASE)
_NOT_OF_A_FRACTURE = re.compile(r"\b(no|not|non|without|un|healthy|normal)\b|unfract|nonfract|negative", re.IGNORECASE)


def plain(name: str) -> str:
    """Return a name in lower case, without spaces, hyphens, underscores and a spreadsheet's ".0"."""
    return re.sub(r"[.,]0+$", "", re.sub(r"[\s_-]+", "", unicodedata.normalize("NFC", name).casefold()))


def class_label(name: str) -> int | None:
    """Return 1 for a class that is called fractured, 0 for one that is not, None for a name that says neither."""
    words = plain(name)
    if study := _STUDY.fullmatch(words):
        words = study[1]
    return 1 if words in FRACTURED else 0 if words in WHOLE else None


def class_labels(names: Iterable[str], where: str) -> dict[str, int]:
    """Return the label of each class name.

    Raises:
        DatasetError: A name says neither; the sentence asks, and says `where` it stands.
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
    """Return those classes of an annotation format that mean a fracture; raise DatasetError where none does."""
    names = list(dict.fromkeys(names))
    found = {name for name in names if _OF_A_FRACTURE.search(name) and not _NOT_OF_A_FRACTURE.search(name)}
    if not found:
        raise DatasetError(f"None of the classes {quoted(names)} in {where} is called a fracture.")
    return found


def split_part(name: str) -> str | None:
    """Return "train", "val" or "test" for what a part is called, else None."""
    return _PARTS.get(plain(name))


def split_part_within(name: str) -> str:
    """Return the part that a file's name speaks of, as "instances_train2017" does; "" where it speaks of none."""
    found = {part for word in re.findall(r"[a-z]+", name.casefold()) if (part := _PARTS.get(word))}
    return found.pop() if len(found) == 1 else ""


def quoted(names: Sequence[str]) -> str:
    """Return names for a sentence, the first six of them."""
    shown = ", ".join(repr(name[:40]) for name in names[:6])
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")
