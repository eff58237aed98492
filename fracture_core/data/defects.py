"""What an audit found, in kinds: what each is, what it does to training, and what this project did about it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from fracture_core.data.audit import TURNS, Audit
from fracture_core.data.duplicates import DuplicatePair


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
        "They were taken out of train, as the cut-short files were. In val and test they stay as they are.",
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
    """List the images with each defect.

    Args:
        audit: The audit.

    Returns:
        Ids by defect, in the order of DEFECTS.
    """
    groups = audit.duplicate_groups
    return {
        "cut short": tuple(audit.missing),
        "overwritten": tuple(audit.overwritten),
        "duplicate": tuple(i for members in groups for i in members),
        "opposite labels": tuple(i for members in audit.opposite_labels for i in members),
        "conflict": tuple(audit.conflicts),
        "EXIF turn": audit.exif_rotated,
    }


def defect_text(audit: Audit, name: str, image_id: str) -> str:
    """Describe a defect of one image in a few words.

    Args:
        audit: The audit.
        name: Name of the defect.
        image_id: The image.

    Returns:
        The words; "" if the defect's name says everything.
    """
    if name in ("cut short", "overwritten"):
        lost = (audit.missing | audit.overwritten)[image_id]
        return f"{lost:.0%} of the picture lost"
    if name == "conflict":
        return audit.conflicts[image_id]
    if name == "EXIF turn":
        turn = next(turn for turn in audit.exif_turns if turn.image_id == image_id)
        return f"{TURNS[turn.orientation]}. {turn.spoiled}".strip()
    return ""


def pair_words(pair: DuplicatePair) -> str:
    """Describe how similar the two images of a pair are, and how the second is oriented.

    Args:
        pair: The pair.

    Returns:
        The words.
    """
    near = f"Nearly the same (fine structure {pair.score:.2f} of 1)"
    same = "The same to the pixel" if pair.kind == "exact" else near
    quarter, mirrored = pair.turn % 4, pair.turn >= 4
    turned = [f"turned by {90 * quarter} degrees"] if quarter else []
    turned += ["mirrored"] if mirrored else []
    return same + (f", the second {' and '.join(turned)}" if turned else "") + "."


def summary(table: pd.DataFrame, audit: Audit, name: str) -> str:
    """Summarise one defect in numbers.

    Args:
        table: A catalogue.
        audit: The audit.
        name: Name of the defect.

    Returns:
        A sentence or two.
    """
    ids = list(ids_by_defect(audit)[name])
    if not ids:
        return "None was found."
    rows = table.loc[table.index.intersection(ids)]
    fractured, parts = int(rows["label"].sum()), rows["split"].value_counts()
    split = ", ".join(f"{parts[part]} in {part}" for part in ("train", "val", "test") if parts.get(part))
    removed = f"{parts['left out']} left out of the split" if parts.get("left out") else ""
    where = "; ".join(text for text in (split, removed) if text)
    said = f"Found on **{len(ids)}** of {audit.images:,} images: {fractured} fractured, {len(rows) - fractured} not"
    said += f"; {where}." if where else "."
    if name == "duplicate":
        exact = sum(pair.kind == "exact" for pair in audit.duplicate_pairs)
        said += f" They form {len(audit.duplicate_groups)} groups; {exact} of {len(audit.duplicate_pairs)} pairs are "
        said += "equal to the pixel."
    if name == "opposite labels":
        said += f" They form {len(audit.opposite_labels)} groups."
    return said
