"""Index a user's own data: which images there are, and which of them are fractured.

Either a folder a class, in a folder for each part of the split where the user has divided them:

    fractured/ normal/                     train/fractured/ train/normal/ val/... test/...

or a csv with the columns `image` (a path below the csv's folder) and `label`, and if wanted `split` (train, val,
test), `patient`, `boxes` (JSON: [[x, y, width, height], ...] in pixels of the upright image) and FracAtlas's columns
of body parts and views (0 or 1). An image with several boxes may have several rows. COCO files, YOLO trees, MURA and
GRAZPEDWRI-DX are read as they are published, and a review folder as the Review page keeps it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pandas as pd

from fracture_core.data.fracatlas import DatasetError
from fracture_core.data.review.export import label_table
from fracture_core.data.review.review_set import FILE, ReviewSet, is_review_folder
from fracture_core.data.user_formats.class_folders import list_folder
from fracture_core.data.user_formats.class_names import split_part_within
from fracture_core.data.user_formats.coco import find_coco, list_coco
from fracture_core.data.user_formats.csv_list import list_csv, lists_images
from fracture_core.data.user_formats.grazpedwri import add_boxes
from fracture_core.data.user_formats.image_files import left_out
from fracture_core.data.user_formats.nearest_format import nearest_format
from fracture_core.data.user_formats.yolo import find_yolo, list_yolo

_MOST_FOLDERS = 1000


@dataclass(frozen=True, eq=False)
class UserIndex:
    """The images of a user's dataset, none of them looked at.

    Attributes:
        root: The folder that all of them lie below.
        name: What the dataset is called: its folder, or its csv.
        table: A row an image, indexed by image_id, which is its path below `root`: path (str), label (0, 1), split and
            patient (str, "" where unknown), boxes (lists of [x, y, width, height], or None), in_fractions (bool,
            whether these are fractions of the upright image, else pixels), where (str, what names the image, ""
            for a folder), and FracAtlas's flags where a csv has them.
        sources: The files that say what the images show.
        remarks: Sentences on what was left out or taken in a sense that may surprise.
    """

    root: Path
    name: str
    table: pd.DataFrame
    sources: list[Path] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def index_images(path: Path) -> UserIndex:
    """List the images of a folder, a csv or a COCO file in whichever supported format it is.

    Args:
        path: The folder or file.

    Returns:
        The list, no image of it opened yet.

    Raises:
        DatasetError: It is in no supported format; the message says what is wrong with the nearest.
    """
    if path.is_file():
        return _index_file(path)
    if not path.is_dir():
        raise DatasetError(f"There is no folder {path}.")
    if is_review_folder(path):
        return _index_review(ReviewSet(path))
    files, unread, others = _lists(path)
    if files:
        return _index_csvs(files, path.name if len(files) > 1 else files[0].stem)
    if coco := find_coco(path):
        table, remarks = list_coco(coco, path)
        return _index(path, path.name, table, coco, remarks)
    if find_yolo(path):
        table, remarks = list_yolo(path)
        return _index(path, path.name, table, [], [*remarks, *left_out(path)])
    try:
        table, remarks = list_folder(path)
    except DatasetError as error:
        # A list that was meant to name the images is nearer than folders that nobody made.
        if meant := [*unread, *others, *nearest_format(path), *left_out(path)]:
            raise DatasetError(" ".join(meant[:3])) from error
        raise
    return _index(path, path.name, table, [], [*unread, *remarks, *left_out(path)])


def last_change(path: Path) -> float:
    """Return when images were last added or removed, or a csv was last written.

    Looks at a thousand folders at most, so that a mistyped path (the root of a disk) costs no wait.

    Args:
        path: A folder or a file.

    Returns:
        Seconds since 1970; 0.0 if there is nothing.
    """
    if not path.is_dir():
        return path.stat().st_mtime if path.exists() else 0.0
    tables = (p for p in path.glob("*") if p.suffix.lower() in (".csv", ".json", ".jsonl", ".yaml"))
    folders = (Path(name) for name, _, _ in islice(os.walk(path), _MOST_FOLDERS))
    times = []
    for path_ in (*tables, *folders):
        with suppress(OSError):  # gone meanwhile
            times.append(path_.stat().st_mtime)
    return max(times, default=0.0)


def _index_file(path: Path) -> UserIndex:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _index_csvs([path], path.stem)
    if suffix == ".json":
        # Annotations often lie in a folder of their own, beside the images.
        root = path.parent.parent if path.parent.name.casefold() == "annotations" else path.parent
        table, remarks = list_coco([path], root)
        return _index(root, path.stem, table, [path], remarks)
    raise DatasetError(f"{path.name} is neither a folder nor a csv.")


def _lists(folder: Path) -> tuple[list[Path], list[str], list[str]]:
    """Return the csv files of a folder that list images, and sentences on those that cannot be read and those others.

    Raises:
        DatasetError: Several do, and their names do not say that they are parts of a split.
    """
    listing, unread, others = [], [], []
    for file in sorted(p for p in folder.glob("[!.]*") if p.suffix.lower() == ".csv" and p.is_file()):
        try:
            if lists_images(file):
                listing.append(file)
            else:
                others.append(
                    f"{file.name} lists no images: its first row must name the columns, at least image and label."
                )
        except DatasetError as error:
            unread.append(str(error))
    parts = [split_part_within(file.stem) for file in listing]
    if len(listing) > 1 and ("" in parts or len(set(parts)) < len(parts)):
        names = ", ".join(p.name for p in listing[:4])
        raise DatasetError(
            f"{folder} has {len(listing)} csv files that list images ({names}): specify which one to use."
        )
    return listing, unread, others


def _index_csvs(files: list[Path], name: str) -> UserIndex:
    root = files[0].parent
    parts = [split_part_within(file.stem) if len(files) > 1 else "" for file in files]
    tables = [list_csv(file, part) for file, part in zip(files, parts, strict=True)]
    table = pd.concat(tables, ignore_index=True)
    twice = table["path"][table["path"].duplicated()]
    if len(twice):
        raise DatasetError(f"{twice.iloc[0]} is listed in more than one of {', '.join(file.name for file in files)}.")
    if not table["boxes"].notna().any():
        table = add_boxes(table, root)
    return _index(root, name, table, files, [])


def _index_review(review: ReviewSet) -> UserIndex:
    table = label_table(review).reset_index(drop=True)
    films = len({verdict.image for verdict in review.verdicts()})
    unsure = films - len(table)
    remarks = [f"{unsure} reviewed films have no agreed label and were left out."] if unsure else []
    return _index(review.folder, review.folder.name, table, [review.folder / FILE], remarks)


def _index(root: Path, name: str, table: pd.DataFrame, sources: list[Path], remarks: list[str]) -> UserIndex:
    defaults = {"where": "", "in_fractions": False}
    table = table.assign(**{column: value for column, value in defaults.items() if column not in table})
    table = table.set_index("path", drop=False).rename_axis("image_id")
    return UserIndex(root=root.resolve(), name=name, table=table, sources=sources, remarks=remarks)
