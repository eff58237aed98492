"""COCO annotations: JSON files that name images, categories and boxes."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from fracture_core.data.fracatlas import DatasetError
from fracture_core.data.user_formats.class_names import (
    class_label,
    fracture_classes,
    quoted,
    split_part,
    split_part_within,
)
from fracture_core.data.user_formats.image_files import FileFinder

_MOST_BYTES = 512 * 2**20


def find_coco(root: Path) -> list[Path]:
    """Find the COCO files of a folder, of its annotations folder, and of the folders of its parts.

    Args:
        root: The folder.

    Returns:
        The files, those of the folder itself first.
    """
    return [file for file in _candidates(root) if _is_coco(file)]


def _candidates(root: Path) -> list[Path]:
    places = [root, *(folder for folder in sorted(root.iterdir()) if folder.is_dir() and _may_hold(folder.name))]
    files = (file for place in places for file in sorted(place.glob("*.json")))
    return [file for file in files if file.is_file() and not file.name.startswith(".")]


def damaged_coco(root: Path) -> list[str]:
    """Say why files that have the place or the name of COCO annotations are not COCO annotations.

    Args:
        root: The folder.

    Returns:
        A sentence a file.
    """
    sentences = []
    for file in _candidates(root):
        words = f"{file.parent.name}/{file.name}".casefold()
        if any(word in words for word in ("annotation", "coco", "instances_")):
            try:
                _load(file)
            except DatasetError as error:
                sentences.append(str(error))
    return sentences


def list_coco(files: list[Path], root: Path) -> tuple[pd.DataFrame, list[str]]:
    """List the images of COCO files: fractured where a box is of a category that means a fracture.

    Args:
        files: One file, or one for each part of a split, which its name or folder tells.
        root: The folder that the images lie below.

    Returns:
        As `class_folders.list_folder`; boxes in pixels, and `where` names the file.

    Raises:
        DatasetError: A file is not COCO, its categories name no fracture, or an image that it names cannot be told.
    """
    finder, rows, ignored = FileFinder(root), [], set()
    parts = {file: split_part(file.parent.name) or split_part_within(file.stem) for file in files}
    if len(files) > 1 and (len(set(parts.values())) < len(files) or "" in parts.values()):
        raise DatasetError(
            f"{root.name} has {len(files)} COCO files ({quoted([file.name for file in files])}), and their names do "
            "not say which is train, val or test: specify which one to use."
        )
    for file in files:
        listed, others = _rows(file, finder, parts[file] or "")
        rows += listed
        ignored |= others
    if len({row[0] for row in rows}) < len(rows):
        raise DatasetError(f"The COCO files of {root.name} name the same image more than once.")
    table = pd.DataFrame(rows, columns=["path", "label", "split", "patient", "boxes", "where"])
    remarks = [f"Boxes of {quoted(sorted(ignored))} do not count as fractures."] if ignored else []
    return table.sort_values("path", ignore_index=True), remarks


def _categories(data: dict, file: Path) -> dict[str, str]:
    """Return the name of each category by its number."""
    names: dict[str, str] = {}
    for category in data["categories"]:
        number, name = str(category["id"]), str(category["name"])
        if names.setdefault(number, name) != name:
            raise DatasetError(
                f"{file.name} gives the category {number[:20]} two names, {quoted([names[number], name])}: which is "
                "meant cannot be told."
            )
    return names


def _rows(file: Path, finder: FileFinder, part: str) -> tuple[list[tuple], set[str]]:
    data = _load(file)
    try:
        names = _categories(data, file)
        boxes = defaultdict(list)
        for annotation in data["annotations"]:
            # Some writers quote the numbers in one place and not in the other.
            boxes[str(annotation["image_id"])].append((names[str(annotation["category_id"])], annotation.get("bbox")))
        images = {str(image["id"]): str(image["file_name"]) for image in data["images"]}
        if len(images) < len(data["images"]) or not set(boxes) <= set(images):
            raise KeyError("an image's id is missing or occurs twice")
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{file.name} is damaged: its annotations do not fit its images and categories.") from error
    used = {name for drawn in boxes.values() for name, _ in drawn}
    # Programs add categories that nobody uses; but a part may have no other boxes than those that deny a fracture.
    said = {name for name in used if class_label(name) != 0}
    meant = fracture_classes(sorted(said or set(names.values())), file.name)
    rows = []
    for number, name in images.items():
        path = finder.find(name) or finder.find(f"{file.parent.name}/{name}")
        if path is None:
            raise DatasetError(f"{file.name} names the image {name[:80]!r}, which is missing or occurs more than once.")
        of_fractures = [box for kind, box in boxes[number] if kind in meant]
        valid = [_box(box, file, name) for box in of_fractures if box]
        relative = path.relative_to(finder.root).as_posix()
        rows.append((relative, int(bool(of_fractures)), part, "", valid or None, f"{name} in {file.name}"))
    return rows, used - meant


def _box(box: Any, file: Path, name: str) -> list[float]:
    try:
        numbers = [float(value) for value in box if isinstance(value, int | float) and not isinstance(value, bool)]
    except (TypeError, OverflowError):
        numbers = []
    if len(numbers) != 4 or len(box) != 4 or not all(map(math.isfinite, numbers)) or min(numbers[2:]) <= 0:
        raise DatasetError(f"{name} in {file.name} has a box that is not [x, y, width, height].")
    if max(numbers) <= 1:
        raise DatasetError(f"{name} in {file.name} has a box in fractions of the image; COCO's are in pixels.")
    return numbers


def _load(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise DatasetError(f"{file.name} is too large to be read as a list of boxes.")
        data = json.loads(file.read_bytes())
    except OSError as error:
        raise DatasetError(f"{file.name} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{file.name} is not valid JSON.") from error
    if not isinstance(data, dict) or not {"images", "annotations", "categories"} <= set(data):
        raise DatasetError(f"{file.name} is not a COCO file: it has no images, annotations and categories.")
    return data


def _is_coco(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            if not stream.read(64).lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"{"):
                return False
        _load(file)
    except (OSError, DatasetError):
        return False
    return True


def _may_hold(name: str) -> bool:
    return bool(split_part(name)) or name.casefold() in ("annotations", "labels", "images", "result")
