"""A CSV that lists images: one row per image, or one per box."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import pandas as pd

from fracture_core.data.fracatlas import DatasetError
from fracture_core.data.user_formats.class_names import class_label, class_labels, split_part
from fracture_core.data.user_formats.csv_text import CsvText, read_csv_text
from fracture_core.data.user_formats.image_files import FileFinder

COLUMNS = {
    "image": ("image", "path", "image_path", "imagepath", "file", "filename", "file_name", "filepath", "image_id"),
    "label": ("label", "fractured", "fracture", "fracture_visible", "class", "target", "diagnosis"),
    "split": ("split", "part", "subset"),
    "patient": ("patient", "patient_id", "patientid", "subject", "subject_id"),
    "boxes": ("boxes", "box"),
}
COLUMNS["image"] += ("img", "image_name", "filestem", "bild", "datei")
COLUMNS["label"] += ("fraktur", "befund", "diagnose")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_SIDES = (("x", "y", "width", "height"), ("x", "y", "w", "h"))
_FLAGS = ("hand", "leg", "hip", "shoulder", "mixed", "hardware", "multiscan", "frontal", "lateral", "oblique")


def list_csv(file: Path, part: str = "") -> pd.DataFrame:
    """List what a csv names, in its order.

    Args:
        file: The csv; the images lie below its folder.
        part: The part of a split that all of it belongs to, where it has no column for that.

    Returns:
        The columns of `class_folders.list_folder`, with boxes as lists of [x, y, width, height] in pixels or None;
        `where` (str), which row of the csv an image stands in; and FracAtlas's flags where the csv has them.

    Raises:
        DatasetError: A value is invalid, or a path leaves the csv's folder; the sentence names the row.
    """
    finder = FileFinder(file.parent)
    rows = _named_rows(read_csv_text(file), finder)
    columns = {kind: _column(rows, names) for kind, names in COLUMNS.items()}
    for kind in ("image", "label"):
        if columns[kind] is None:
            raise DatasetError(
                f"{file.name} has no column {kind}: its first row must name the columns, at least image and label."
            )
    for name in filter(None, columns.values()):
        if list(rows.columns).count(name) > 1:
            raise DatasetError(f"{file.name} has more than one column {name}: give the others another name.")
    if rows.empty:
        raise DatasetError(f"{file.name} lists no images.")
    given = {kind: rows[name] if name else pd.Series("", rows.index) for kind, name in columns.items()}
    if columns["label"] == _column(rows, ("fracture_visible",)):
        given["label"] = given["label"].replace("", "0")  # GRAZPEDWRI-DX says 1 or nothing
    labels = class_labels(given["label"], f"the column {columns['label']} of {file.name}")
    where = {row: f"Row {row} of {file.name}" for row in rows.index}
    table = pd.DataFrame(
        {"path": [_below(text, finder, where[row]) for row, text in given["image"].items()]}, rows.index
    )
    table["label"] = given["label"].map(labels)
    table["split"] = [_part(text, where[row]) or part for row, text in given["split"].items()]
    table["patient"] = given["patient"].map(same_id)
    table["boxes"] = _boxes_of(rows, given["boxes"], where)
    table["where"] = pd.Series(where)
    for row in table.index[(table["label"] == 0) & table["boxes"].map(bool)]:
        raise DatasetError(f"{where[row]} has boxes around fractures, but its label says that there is none.")
    for flag in _FLAGS:
        if flag in rows and rows[flag].isin(["0", "1"]).all():
            table[flag] = rows[flag].astype(int)
    return _one_row_an_image(table, file)


def lists_images(file: Path) -> bool:
    """Return whether a csv lists images and their labels.

    Args:
        file: The csv.

    Returns:
        Whether it has a column of each kind.

    Raises:
        DatasetError: It cannot be read.
    """
    rows = _named_rows(read_csv_text(file), FileFinder(file.parent))
    return all(_column(rows, COLUMNS[kind]) is not None for kind in ("image", "label"))


def same_id(text: str) -> str:
    """Normalise an identifier, so that 3, 3.0 and 003, and one accent composed or not, are equal.

    Args:
        text: The identifier as it stands in a file.

    Returns:
        The normalised identifier.
    """
    text = text.strip()
    if number := re.fullmatch(r"(\d+)(?:[.,]0+)?", text):
        text = number[1].lstrip("0") or "0"
    return unicodedata.normalize("NFC", text)


def _named_rows(text: CsvText, finder: FileFinder) -> pd.DataFrame:
    """Return the rows; if the first one is no header but an image and its label, the columns are named accordingly."""
    known = {name for names in COLUMNS.values() for name in names}
    if any(cell.casefold() in known for cell in text.first):
        return text.rows
    files = [place for place, cell in enumerate(text.first) if cell and finder.find(cell)]
    labels = [place for place, cell in enumerate(text.first) if cell and class_label(cell) is not None]
    if len(files) != 1 or len(set(labels) - set(files)) != 1 or len(text.first) != text.rows.shape[1]:
        return text.rows
    columns = [f"column {place + 1}" for place in range(len(text.first))]
    columns[files[0]], columns[(set(labels) - set(files)).pop()] = "image", "label"
    return text.without_header(columns)


def _column(rows: pd.DataFrame, names: Sequence[str]) -> str | None:
    known = {str(column).strip().casefold(): str(column) for column in rows.columns}
    return next((known[name] for name in names if name in known), None)


def _below(text: str, finder: FileFinder, where: str) -> str:
    """Return the path of a file, which may be missing; raise DatasetError if it leads out of the CSV's folder."""
    if match := finder.find(text):
        return match.relative_to(finder.root).as_posix()
    path = (finder.root / text.replace("\\", "/")).resolve()
    # On another system a path on a drive of Windows is the name of a folder.
    on_a_drive = PureWindowsPath(text).drive != ""
    if not text or on_a_drive or not path.is_relative_to(finder.root) or path == finder.root:
        raise DatasetError(f"{where} names no file below the csv's own folder: {text[:80]!r}.")
    return path.relative_to(finder.root).as_posix()


def _part(text: str, where: str) -> str:
    part = split_part(text) if text else ""
    if part is None:
        raise DatasetError(f"{where} has the split {text[:40]!r}; it must be train, val or test.")
    return part


def _boxes_of(rows: pd.DataFrame, given: pd.Series, where: dict[int, str]) -> list[list[list[float]] | None]:
    named = (names for names in (_CORNERS, *_SIDES) if all(_column(rows, (name,)) for name in names))
    names = next(named, None)
    if any(given) or names is None:
        return [_boxes(text, where[row]) for row, text in given.items()]
    cells_of = rows[[_column(rows, (name,)) for name in names]].to_numpy()
    return [
        _boxes(_box_of(cells, names, where[row]), where[row]) for row, cells in zip(rows.index, cells_of, strict=True)
    ]


def _box_of(cells: Sequence[str], names: tuple[str, ...], where: str) -> str:
    """Return the box that four cells describe as it would stand in the column boxes, "" for none."""
    if not any(cells):
        return ""
    try:
        x, y, right, bottom = (float(cell.replace(",", ".")) for cell in cells)
        width, height = (right - x, bottom - y) if names == _CORNERS else (right, bottom)
        if min(width, height) <= 0:
            raise ValueError("empty")
    except ValueError as error:
        raise DatasetError(f"{where} has no readable box in its columns {', '.join(names)}.") from error
    return json.dumps([x, y, width, height])


def _boxes(text: str, where: str) -> list[list[float]] | None:
    if not text:
        return None
    try:
        boxes = json.loads(text)
        if not isinstance(boxes, list):
            raise ValueError("not a list")
        boxes = [boxes] if boxes and not isinstance(boxes[0], list) else boxes
        numbers = [[float(x), float(y), float(w), float(h)] for x, y, w, h in boxes]
        if not all(math.isfinite(v) for box in numbers for v in box) or any(min(w, h) <= 0 for _, _, w, h in numbers):
            raise ValueError("not a box")
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise DatasetError(
            f"{where} has no readable boxes: they are written [[x, y, width, height], ...], in pixels."
        ) from error
    if any(max(box) <= 1 for box in numbers):
        raise DatasetError(f"{where} has boxes in fractions of the image; they must be in pixels.")
    return numbers


def _one_row_an_image(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Join the rows of one image, each with boxes of its own; raise DatasetError where they contradict."""
    rows = rows.reset_index(drop=True)
    repeated = rows[rows["path"].duplicated(keep=False)]
    for path, same in repeated.groupby("path", sort=False):
        for column in ("label", "split", "patient"):
            if same[column].nunique() > 1:
                raise DatasetError(f"{file.name} lists {path} more than once, with a different {column} each time.")
        boxes = [box for boxes in same["boxes"] if boxes for box in boxes]
        rows.at[same.index[0], "boxes"] = boxes or same["boxes"].iloc[0]
    return rows.drop_duplicates("path", ignore_index=True)
