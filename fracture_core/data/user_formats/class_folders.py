"""A folder a class, wherever in the tree the classes are named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fracture_core.data.fracatlas import DatasetError
from fracture_core.data.user_formats.class_names import class_label, class_labels, plain, quoted, split_part
from fracture_core.data.user_formats.image_files import image_files

LAYOUT = "put the images into two folders, fractured and normal, or name them in a csv with the columns image and label"
#: The folder of one patient, such as patient00011 or Patient A; "patients" and "Patientendaten" hold many.
_PATIENT = re.compile(
    r"patient(?!(?:s|en|innen)(?:[\s_-]|$)|[\s_-]?(?:en)?(?:data|daten|images|bilder|films|files)(?:[\s_-]|$))"
    r"[\s_-]?\w+",
    re.IGNORECASE,
)
#: Classes that a number names, as it also may a fold or a batch.
_NUMBERS = {"0", "1"}
_MURA = re.compile(r"study\d+_(positive|negative)")
_MURA_REMARK = "In MURA positive means abnormal: fractured, but also worn, or with hardware."


@dataclass(frozen=True)
class _Place:
    """Where an image lies: the part and the patient that folders name, and the other folders from the root down."""

    file: Path
    part: str
    patient: str
    folders: tuple[str, ...]


def list_folder(root: Path) -> tuple[pd.DataFrame, list[str]]:
    """List a folder with one subfolder per class: one row per image, sorted by path.

    Folders of the parts of a split (train, val, test) and of patients (patient00011) may stand above or below.

    Args:
        root: The folder.

    Returns:
        The table, with the columns path (str), label (0, 1), split and patient (str, "" where unknown) and boxes
        (None), and sentences on what was left out.

    Raises:
        DatasetError: There are no such folders, or their names do not tell which is which.
    """
    places = [_place(file, root) for file in image_files(root)]
    if not any(place.folders for place in places):
        raise DatasetError(f"{root} has no folders of images: {LAYOUT}.")
    depth = _class_depth(places, root)
    inside = [place for place in places if len(place.folders) > depth]
    labels = class_labels((place.folders[depth] for place in inside), f"the folders of {root.name}")
    _check_parts(inside, root)
    rows = [
        (place.file.relative_to(root).as_posix(), labels[place.folders[depth]], place.part, place.patient, None)
        for place in inside
    ]
    table = pd.DataFrame(rows, columns=["path", "label", "split", "patient", "boxes"])
    return table.sort_values("path", ignore_index=True), _remarks(places, inside, depth)


def _place(file: Path, root: Path) -> _Place:
    part = patient = ""
    folders = []
    for name in file.relative_to(root).parts[:-1]:
        if not part and split_part(name):
            part = split_part(name) or ""
        elif not patient and _PATIENT.fullmatch(name):
            patient = name
        else:
            folders.append(name)
    return _Place(file=file, part=part, patient=patient, folders=tuple(folders))


def _class_depth(places: list[_Place], root: Path) -> int:
    """Return how deep the folders lie that name the classes; raise DatasetError where no level does, or several do."""
    deepest = max(len(place.folders) for place in places)
    levels = [{place.folders[depth] for place in places if len(place.folders) > depth} for depth in range(deepest)]
    labels = [{class_label(name) for name in names} for names in levels]
    worded = [any(class_label(name) is not None and plain(name) not in _NUMBERS for name in names) for names in levels]
    for wanted in ([0, 1], [0], [1]):
        depths = [
            depth
            for depth, labelled in enumerate(labels)
            if labelled == set(wanted) and not _has_classes_above(places, depth)
        ]
        # Beside folders with words for the classes, 0 and 1 are folds.
        depths = [depth for depth in depths if worded[depth] or not any(worded)]
        if depths:
            _check_agreement(places, depths, root)
            return depths[0]
    # None is complete. Name what is missing: in a level that has both classes, else in the first with several folders.
    for depth, names in enumerate(levels):
        if {0, 1} <= labels[depth]:
            class_labels(sorted(names), f"the folders of {root.name}")
    for names in levels:
        if len(names) > 1:
            class_labels(sorted(names), f"the folders of {root.name}")
    class_labels(sorted(levels[0]), f"the folders of {root.name}")
    raise DatasetError(f"{root} has no folders of images: {LAYOUT}.")


def _check_agreement(places: list[_Place], depths: list[int], root: Path) -> None:
    """Raise DatasetError where folders of one level say of an image what those of another deny."""
    for place in places:
        named = [place.folders[depth] for depth in depths if len(place.folders) > depth]
        if len({class_label(name) for name in named}) > 1:
            raise DatasetError(
                f"Which folders of {root.name} are the classes? {place.file.relative_to(root).as_posix()} lies in "
                f"{' and in '.join(quoted([name]) for name in named)}: call the others something else."
            )


def _has_classes_above(places: list[_Place], depth: int) -> bool:
    """Tell whether an image that does not lie so deep is in a folder of a class all the same."""
    return any(
        class_label(name) is not None for place in places if len(place.folders) <= depth for name in place.folders
    )


def _check_parts(places: list[_Place], root: Path) -> None:
    """Raise DatasetError where some images are in folders of a split and others are not."""
    undivided = sorted({place.file.relative_to(root).parts[0] for place in places if not place.part})
    if undivided and any(place.part for place in places):
        raise DatasetError(
            f"Some images of {root.name} are in folders of a split, but those in {quoted(undivided)} are not: "
            "move these into train, val or test, or take the folder away."
        )


def _remarks(places: list[_Place], inside: list[_Place], depth: int) -> list[str]:
    remarks = []
    if outside := len(places) - len(inside):
        what = "1 file lies" if outside == 1 else f"{outside} files lie"
        remarks.append(f"{what} in no folder of a class and {'was' if outside == 1 else 'were'} left out.")
    if any(_MURA.fullmatch(place.folders[depth]) for place in inside):
        remarks.append(_MURA_REMARK)
    return remarks
