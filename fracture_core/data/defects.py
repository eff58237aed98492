"""The kinds of defects that an audit finds: what each is, its effect on training, and how it was handled."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from fracture_core.data.audit import Audit
from fracture_core.data.duplicates import DuplicatePair
from fracture_core.formatting import format_percent
from fracture_core.imaging.exif import ORIENTATION_TEXT


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
        "truncated",
        "Truncated files",
        "The file ends before its image does; viewers fill the bottom with plain grey.",
        "If such files share a label, the grey bottom reveals the label and a network learns that instead of bone.",
        "Removed from training. They stay in validation and test, read as far as they go, so that the test set is the "
        "one that others report on.",
    ),
    Defect(
        "overwritten",
        "Files that end in a repeated block",
        "The file is complete, but the image ends in the same few pixels repeated: part of it was lost.",
        "As with truncated files, the damage can reveal the label.",
        "Removed from training, like the truncated files. They stay in validation and test.",
    ),
    Defect(
        "duplicate",
        "Duplicate images",
        "Two or more files show the same exposure: copied, re-saved, resized, rotated or mirrored.",
        "If a copy of a test image is in the training set, the network can recognise it, which inflates the results.",
        "Removed from training if a copy is in validation or test, and from validation if a copy is in test. The test "
        "set is complete.",
    ),
    Defect(
        "opposite labels",
        "Duplicate images with opposite labels",
        "Copies of one exposure, some labelled as fractured and some not.",
        "At least one of the labels is wrong: it contradicts its copy in training, and causes an error in any test.",
        "No label was changed, because only a radiologist could say which is right. Copies in different splits were "
        "removed as duplicates.",
    ),
    Defect(
        "conflict",
        "Conflicting sources",
        "dataset.csv, the image's folder and the outlines disagree.",
        "The label to train on depends on which source is trusted.",
        "An outline decides, else the folder, else dataset.csv. Only the split follows dataset.csv, to match the "
        "reference study's.",
    ),
    Defect(
        "EXIF rotation",
        "Images with an EXIF rotation",
        "The file tells viewers to rotate the image before it is shown.",
        "Ignoring this means training on sideways images, and boxes drawn upright miss the fracture.",
        "Every image is rotated upright when it is read, together with boxes that were drawn on the stored pixels.",
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
        "truncated": tuple(audit.missing),
        "overwritten": tuple(audit.overwritten),
        "duplicate": tuple(i for members in groups for i in members),
        "opposite labels": tuple(i for members in audit.opposite_labels for i in members),
        "conflict": tuple(audit.conflicts),
        "EXIF rotation": audit.exif_rotated,
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
    if name in ("truncated", "overwritten"):
        lost = (audit.missing | audit.overwritten)[image_id]
        return f"{format_percent(lost)} of the image lost"
    if name == "conflict":
        return audit.conflicts[image_id]
    if name == "EXIF rotation":
        turn = next(turn for turn in audit.exif_turns if turn.image_id == image_id)
        return f"{ORIENTATION_TEXT[turn.orientation]}. {turn.spoiled}".strip()
    return ""


def pair_words(pair: DuplicatePair) -> str:
    """Describe how similar the two images of a pair are, and how the second is oriented.

    Args:
        pair: The pair.

    Returns:
        The words.
    """
    near = f"Nearly identical (fine structure {pair.score:.2f} of 1)"
    same = "Identical pixels" if pair.kind == "exact" else near
    quarter, mirrored = pair.turn % 4, pair.turn >= 4
    turned = [f"rotated by {90 * quarter} degrees"] if quarter else []
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
        return "None found."
    rows = table.loc[table.index.intersection(ids)]
    fractured, parts = int(rows["label"].sum()), rows["split"].value_counts()
    named = {"train": "training", "val": "validation", "test": "test"}
    split = ", ".join(f"{parts[part]} in {words}" for part, words in named.items() if parts.get(part))
    removed = f"{parts['left out']} left out of the split" if parts.get("left out") else ""
    where = "; ".join(text for text in (split, removed) if text)
    text = f"**{len(ids)}** of {audit.images:,} images: {fractured} with a fracture, {len(rows) - fractured} without"
    text += f"; {where}." if where else "."
    if name == "duplicate":
        exact = sum(pair.kind == "exact" for pair in audit.duplicate_pairs)
        text += f" They form {len(audit.duplicate_groups)} groups; {exact} of {len(audit.duplicate_pairs)} pairs are "
        text += "identical."
    if name == "opposite labels":
        text += f" They form {len(audit.opposite_labels)} groups."
    return text
