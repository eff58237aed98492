"""What a user's own data say: which images there are, and which of them are fractured.

Either a folder a class, in a folder for each part of the split where the user has divided them:

    fractured/ normal/                     train/fractured/ train/normal/ val/... test/...

or a csv with the columns `image` (a path below the csv's folder) and `label`, and if wanted `split` (train, val,
test), `patient`, `boxes` (JSON: [[x, y, width, height], ...] in pixels of the upright picture) and FracAtlas's columns
of body parts and views (0 or 1). An image with several boxes may have several rows.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pandas as pd

from fracture_core.data.fracatlas import DatasetError

#: What classes are called, lower case and without spaces, hyphens and underscores.
FRACTURED = {"fracture", "fractures", "fractured", "broken", "positive", "pos", "1", "yes", "true"}
WHOLE = {"normal", "healthy", "intact", "unfractured", "nonfracture", "nonfractured", "nofracture", "nofractures"}
WHOLE |= {"notfracture", "notfractured", "withoutfracture", "negative", "neg", "0", "no", "none", "false"}
_PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
_PARTS |= {"test": "test", "testing": "test"}
_MOST_FOLDERS = 1000
_COLUMNS = {
    "image": ("image", "path", "image_path", "imagepath", "file", "filename", "file_name", "image_id"),
    "label": ("label", "fractured", "fracture", "class", "target", "diagnosis"),
    "split": ("split", "part", "subset"),
    "patient": ("patient", "patient_id", "patientid", "subject", "subject_id"),
    "boxes": ("boxes", "box"),
}
_FLAGS = ("hand", "leg", "hip", "shoulder", "mixed", "hardware", "multiscan", "frontal", "lateral", "oblique")
#: Files that pass for images; DICOM files often have no suffix at all.
_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom", ""}
_LAYOUT = (
    "put the images into two folders, fractured and normal, or name them in a csv with the columns image and label"
)


def last_change(path: Path) -> float:
    """When images last came to a folder or left it, or its csv files were written: seconds since 1970, 0.0 for none.

    Looks at a thousand folders at most, so that a path typed wrong (the root of a disk) costs no wait.
    """
    if not path.is_dir():
        return path.stat().st_mtime if path.exists() else 0.0
    tables = (p for p in path.glob("*") if p.suffix.lower() == ".csv")
    folders = (Path(name) for name, _, _ in islice(os.walk(path), _MOST_FOLDERS))
    times = []
    for one in (*tables, *folders):
        with suppress(OSError):  # gone meanwhile
            times.append(one.stat().st_mtime)
    return max(times, default=0.0)


def list_folder(root: Path) -> pd.DataFrame:
    """List a folder a class: a row an image, by its path below `root`, in the order of the paths.

    Columns: path (str), label (0, 1), split and patient (str, "" where unknown), boxes (None). Raises DatasetError
    where there are no such folders, or their names do not tell which is which.
    """
    inside = _folders(root)
    parts = {name: _PARTS.get(_plain(name)) for name in inside}
    divided = bool(inside) and all(parts.values())
    homes = [(parts[n], root / n) for n in inside] if divided else [("", root)]
    classes = [(part, home / name) for part, home in homes for name in _folders(home)]
    found = [(part, folder, files) for part, folder in classes if (files := _files(folder))]
    if not found:
        raise DatasetError(f"{root} has no folders of images: {_LAYOUT}.")
    labels = _labels((folder.name for _, folder, _ in found), f"the folders of {root.name}")
    rows = [
        (file.relative_to(root).as_posix(), labels[folder.name], part)
        for part, folder, files in found
        for file in files
    ]
    table = pd.DataFrame(rows, columns=["path", "label", "split"]).sort_values("path", ignore_index=True)
    return table.assign(patient="", boxes=None).set_index("path", drop=False).rename_axis("image_id")


def list_csv(file: Path) -> pd.DataFrame:
    """List what a csv names, in its order; columns as `list_folder`, boxes a list of four numbers each or None.

    Raises DatasetError, naming the row, where a value makes no sense or a path leaves the csv's folder.
    """
    raw = _read(file)
    columns = {kind: _column(raw, names) for kind, names in _COLUMNS.items()}
    for kind in ("image", "label"):
        if columns[kind] is None:
            raise DatasetError(f"{file.name} has no column {kind}: it needs the columns image and label.")
    given = {kind: raw[name].str.strip() if name else pd.Series("", raw.index) for kind, name in columns.items()}
    labels = _labels(given["label"], f"the column {columns['label']} of {file.name}")
    made = pd.DataFrame({"path": [_below(text, file, row) for row, text in _numbered(given["image"])]})
    made["label"] = given["label"].map(labels)
    made["split"] = [_part(text, file, row) for row, text in _numbered(given["split"])]
    made["patient"] = given["patient"]
    made["boxes"] = [_boxes(text, file, row) for row, text in _numbered(given["boxes"])]
    for flag in _FLAGS:
        if flag in raw and raw[flag].isin(["0", "1"]).all():
            made[flag] = raw[flag].astype(int)
    return _one_row_an_image(made, file).set_index("path", drop=False).rename_axis("image_id")


def lists_images(file: Path) -> bool:
    """Whether a csv has the two columns that name images and their labels."""
    try:
        rows = _read(file)
    except DatasetError:
        return False
    return all(_column(rows, _COLUMNS[kind]) is not None for kind in ("image", "label"))


def _one_row_an_image(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Join the rows of one image, each with boxes of its own; raise DatasetError where they contradict."""
    repeated = rows[rows["path"].duplicated(keep=False)]
    for path, same in repeated.groupby("path", sort=False):
        for column in ("label", "split", "patient"):
            if same[column].nunique() > 1:
                raise DatasetError(f"{file.name} lists {path} more than once, with a different {column} each time.")
        boxes = [box for boxes in same["boxes"] if boxes for box in boxes]
        rows.at[same.index[0], "boxes"] = boxes or same["boxes"].iloc[0]
    return rows.drop_duplicates("path", ignore_index=True)


def _labels(names: Iterable[str], where: str) -> dict[str, int]:
    """Class name -> label; raise DatasetError, asking, where a name says neither."""
    names = list(dict.fromkeys(names))
    labels = {name: int(_plain(name) in FRACTURED) for name in names if _plain(name) in FRACTURED | WHOLE}
    if unknown := [name for name in names if name not in labels]:
        raise DatasetError(
            f"Which of {_said(names)} means fractured? {_said(unknown)} in {where} can mean either: "
            "call them fractured and normal."
        )
    return labels


def _said(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:6])
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _plain(name: str) -> str:
    plain = re.sub(r"[\s_-]+", "", name.casefold())
    return plain.removesuffix(".0")  # a spreadsheet's 1.0


def _folders(root: Path) -> list[str]:
    try:
        return sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"The folder {root} cannot be read ({error.strerror}).") from error


def _files(folder: Path) -> list[Path]:
    """Every file below a folder that passes for an image, hidden ones left out."""
    return [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]


def _read(file: Path) -> pd.DataFrame:
    try:
        text = file.read_text("utf-8-sig")
        separator = csv.Sniffer().sniff(text.split("\n", 1)[0], ",;\t").delimiter
        rows = pd.read_csv(file, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except csv.Error as error:
        raise DatasetError(f"{file.name} has one column only: it needs the columns image and label.") from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file.name} cannot be read as a csv ({str(error)[:100]}).") from error
    if rows.empty:
        raise DatasetError(f"{file.name} lists no images.")
    return rows


def _column(rows: pd.DataFrame, names: Sequence[str]) -> str | None:
    known = {str(column).strip().casefold(): column for column in rows.columns}
    return next((known[name] for name in names if name in known), None)


def _numbered(values: pd.Series) -> Iterable[tuple[int, str]]:
    """The values with their lines in the file, its header being the first."""
    return enumerate(values, 2)


def _below(text: str, file: Path, row: int) -> str:
    """The path as it stands below the csv's folder; raise DatasetError where it would leave it."""
    root = file.parent.resolve()
    path = (root / text.replace("\\", "/")).resolve()
    if not text or not path.is_relative_to(root) or path == root:
        raise DatasetError(f"Row {row} of {file.name} names no file below the csv's own folder: {text[:80]!r}.")
    return path.relative_to(root).as_posix()


def _part(text: str, file: Path, row: int) -> str:
    if text and _plain(text) not in _PARTS:
        raise DatasetError(f"Row {row} of {file.name} has the split {text[:40]!r}; it must be train, val or test.")
    return _PARTS[_plain(text)] if text else ""


def _boxes(text: str, file: Path, row: int) -> list[list[float]] | None:
    if not text:
        return None
    try:
        boxes = json.loads(text)
        boxes = [boxes] if boxes and not isinstance(boxes[0], list) else boxes
        made = [[float(x), float(y), float(w), float(h)] for x, y, w, h in boxes]
        if not all(math.isfinite(v) for box in made for v in box) or any(min(w, h) <= 0 for _, _, w, h in made):
            raise ValueError("not a box")
    except (ValueError, TypeError) as error:
        raise DatasetError(
            f"Row {row} of {file.name} has no readable boxes: they are written [[x, y, width, height], ...], in pixels."
        ) from error
    return made
