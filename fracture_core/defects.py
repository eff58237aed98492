"""What an audit found, in kinds: what each is, what it does to training, and what this project did about it."""

from __future__ import annotations

from dataclasses import dataclass

from fracture_core.audit import Audit


@dataclass(frozen=True)
class Defect:
    """One kind of defect: `name` as filters call it, `title`, and three short texts."""

    name: str
    title: str
    what: str
    training: str
    done: str


DEFECTS = (
    Defect(
        "cut short",
        "Files cut short",
        "The file ends before its picture does; a viewer fills the bottom with plain grey.",
        "Where such files share a label, the grey bottom tells the label and a network learns that instead of bone.",
        "They were taken out of train. In val and test they stay, read as far as they go, so that the test set is "
        "the one others report on.",
    ),
    Defect(
        "overwritten",
        "Files that end in one block over and over",
        "The file is whole, but its picture ends in the same few pixels over and over: part of it was lost.",
        "As with cut-short files, the damage can tell the label.",
        "Reported here and left where they are: they cannot be read any further, and no rule of the split drops them.",
    ),
    Defect(
        "duplicate",
        "The same picture more than once",
        "Two or more files show one exposure: copied, re-saved, resized, turned or mirrored.",
        "A copy in train of an image in test lets a network recognise instead of read, and flatters its figures.",
        "Train gave up whatever has a copy in val or test, and val whatever has a copy in test. Test was left whole.",
    ),
    Defect(
        "opposite labels",
        "The same picture with opposite labels",
        "Copies of one exposure of which some are labelled fractured and some not.",
        "At least one of the labels is wrong: it teaches the opposite of its twin, and costs an error in any test.",
        "No label was changed, because only a radiologist could say which is right. The rule for duplicates took out "
        "those that reach across the split.",
    ),
    Defect(
        "conflict",
        "Sources that disagree",
        "dataset.csv, the folder the file lies in and the outlines do not say the same of an image.",
        "Which source a loader trusts changes the label it trains on.",
        "An outline decides, else the folder, else dataset.csv. The split alone follows dataset.csv, so that it is "
        "the reference study's.",
    ),
    Defect(
        "EXIF turn",
        "Pictures that EXIF turns",
        "The file asks its viewer to turn the picture before it is shown.",
        "A loader that ignores this trains on pictures lying on their side, and boxes drawn upright miss the fracture.",
        "Every picture is turned upright when it is read, and boxes drawn on the unturned pixels are turned with it.",
    ),
)
NAMES = tuple(defect.name for defect in DEFECTS)


def ids_by_defect(audit: Audit) -> dict[str, tuple[str, ...]]:
    """Give the image ids with each defect, in the order of DEFECTS."""
    groups = audit.duplicate_groups
    return {
        "cut short": tuple(audit.missing),
        "overwritten": tuple(audit.overwritten),
        "duplicate": tuple(i for members in groups for i in members),
        "opposite labels": tuple(i for members in audit.opposite_labels for i in members),
        "conflict": tuple(audit.conflicts),
        "EXIF turn": audit.exif_rotated,
    }
