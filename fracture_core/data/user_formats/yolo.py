"""YOLO annotations: a text file an image, a line a box, in fractions of the image."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pandas as pd
import yaml

from fracture_core.data.fracatlas import DatasetError
from fracture_core.data.user_formats.class_names import fracture_classes, quoted, split_part
from fracture_core.data.user_formats.image_files import image_files, same_name

_NAMES_FILES = ("classes.txt", "obj.names", "labels.txt")


def find_yolo(root: Path) -> bool:
    """Return whether a folder contains images in `images` and their boxes in `labels` beside it.

    Args:
        root: The folder.

    Returns:
        Whether it does, at most two folders down.
    """
    return any(
        (labels := folder.parent / "labels").is_dir() and any(labels.rglob("*.[tT][xX][tT]"))
        for folder in (*root.glob("images"), *root.glob("*/images"), *root.glob("*/*/images"))
    )


def list_yolo(root: Path) -> tuple[pd.DataFrame, list[str]]:
    """List the images of a YOLO tree: fractured if a box has a class that means a fracture.

    Args:
        root: The folder.

    Returns:
        As `class_folders.list_folder`; boxes as [x, y, width, height] in fractions of the upright image, which
        `in_fractions` (bool) says; `where` names the label file.

    Raises:
        DatasetError: No file names the classes, none of them means a fracture, or a label file is invalid.
    """
    names, source = class_names(root)
    meant = fracture_classes(names.values(), source)
    found, unused = _label_files(root)
    rows, used = [], set()
    for relative, labels in found.items():
        boxes = read_boxes(labels, names) if labels.is_file() else []
        used |= {name for name, _ in boxes}
        of_fractures = [box for name, box in boxes if name in meant]
        part = next((part for name in relative.parts[:-1] if (part := split_part(name))), "")
        where = labels.relative_to(root).as_posix()
        rows.append((relative.as_posix(), int(bool(of_fractures)), part, "", of_fractures or None, where))
    table = pd.DataFrame(rows, columns=["path", "label", "split", "patient", "boxes", "where"])
    table["in_fractions"] = True
    remarks = [f"Boxes of {quoted(sorted(used - meant))} do not count as fractures."] if used - meant else []
    if unlabelled := sum(not labels.is_file() for labels in found.values()):
        remarks.append(f"{unlabelled} images have no label file, which in YOLO means that they show no fracture.")
        if unused:
            remarks.append(f"{unused} label files belong to no image.")
    return table, remarks


def _label_files(root: Path) -> tuple[dict[Path, Path], int]:
    """Return the label file of each image, by the image's path below the root, and how many belong to no image.

    Where an image has none, its value is the path where it would be.
    """
    wanted = {}
    for file in image_files(root):
        relative = file.relative_to(root)
        places = [place for place, part in enumerate(relative.parts) if part == "images"]
        if places:
            inside = (*relative.parts[: places[-1]], "labels", *relative.parts[places[-1] + 1 :])
            wanted[relative] = root.joinpath(*inside)
    found = {image: beside.with_suffix(".txt") for image, beside in wanted.items()}
    lacking = [image for image, labels in found.items() if not labels.is_file()]
    others = _other_labels(root, set(found.values())) if lacking else {}
    unused = set(others)
    for image in lacking:
        # Names of images may end without a suffix, as UIDs do.
        for name in (found[image].stem, wanted[image].name):
            key = same_name(wanted[image].with_name(name).relative_to(root).as_posix())
            matches = others.get(key, [])
            if len(matches) > 1:
                raise DatasetError(f"{image.as_posix()} has more than one label file: {quoted(matches)}. Keep one.")
            if matches:
                found[image] = root / matches[0]
                unused.discard(key)
                break
    return found, len(unused)


def _other_labels(root: Path, known: set[Path]) -> dict[str, list[str]]:
    """Return the text files in folders of labels that are not known, by their path as any computer would write it."""
    others: dict[str, list[str]] = {}
    for folder, _, names in os.walk(root):
        if "labels" in Path(folder).relative_to(root).parts:
            for name in names:
                file = Path(folder, name)
                if file.suffix.casefold() == ".txt" and name not in _NAMES_FILES and file not in known:
                    path = file.relative_to(root)
                    others.setdefault(same_name(path.with_suffix("").as_posix()), []).append(path.as_posix())
    return others


def class_names(root: Path) -> tuple[dict[int, str], str]:
    """Return the names of a YOLO dataset's classes.

    Args:
        root: The folder.

    Returns:
        The names by class number, and the file they come from.

    Raises:
        DatasetError: No file names the classes, or what could name them is no valid YAML.
    """
    files = [file for pattern in ("*.yaml", "*.yml", "*/*.yaml", "*/*.yml") for file in sorted(root.glob(pattern))]
    files = [file for file in files if file.is_file()]
    broken = None
    for file in files:
        try:
            if names := _yaml_names(file):
                return names, file.name
        except DatasetError as error:  # of another purpose, perhaps: the names may be in the next one
            broken = broken or error
    for file in (root / folder / name for folder in ("", "labels") for name in _NAMES_FILES):
        if file.is_file():
            lines = _text(file).splitlines()
            return {number: line.strip() for number, line in enumerate(lines) if line.strip()}, file.name
    raise broken or DatasetError(
        f"{root.name} has YOLO labels, but no data.yaml or classes.txt that names their classes: add one, "
        "so that it is known which of them is a fracture."
    )


def read_boxes(file: Path, names: dict[int, str]) -> list[tuple[str, list[float]]]:
    """Read a label file; a polygon gives the box round it.

    Args:
        file: One line per box.
        names: The classes' names by number.

    Returns:
        For each line, the class and [x, y, width, height] in fractions of the image.

    Raises:
        DatasetError: A line is neither a box nor a polygon, its numbers are not fractions, or its class has no name.
    """
    boxes = []
    for number, line in enumerate(_text(file).splitlines(), 1):
        if not line.split():
            continue
        try:
            values = [float(word) for word in line.split()]
            if values[0] != int(values[0]):
                raise ValueError("no class")
            name = names[int(values[0])]
            boxes.append((name, _box(values[1:])))
        except (ValueError, KeyError, OverflowError) as error:
            raise DatasetError(
                f"Line {number} of {file.parent.name}/{file.name} is not a YOLO box: a known class, and then the "
                "centre, width and height as fractions of the image."
            ) from error
    return boxes


def _box(values: list[float]) -> list[float]:
    if not all(math.isfinite(value) and -0.05 <= value <= 1.05 for value in values):
        raise ValueError("not fractions")
    if len(values) == 4:
        x, y, width, height = values
        left, top = x - width / 2, y - height / 2
    elif len(values) >= 6 and len(values) % 2 == 0:
        left, top = min(values[::2]), min(values[1::2])
        width, height = max(values[::2]) - left, max(values[1::2]) - top
    else:
        raise ValueError("neither a box nor a polygon")
    if min(width, height) <= 0:
        raise ValueError("an empty box")
    return [left, top, width, height]


def _yaml_names(file: Path) -> dict[int, str]:
    """Read `names` of a data.yaml, a list or a mapping from numbers; raise DatasetError if the file is no YAML."""
    try:
        # Leaves every scalar a string: YAML has "no" for false. Not the C parser, which deep nesting crashes.
        content = yaml.load(_text(file), yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (see line {mark.line + 1})" if mark else ""
        raise DatasetError(f"{file.name} is not valid YAML{where}.") from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        return {}
    try:
        return {int(number): name for number, name in names.items() if name}
    except ValueError as error:
        raise DatasetError(f"{file.name} numbers its classes with something else than whole numbers.") from error


def _text(file: Path) -> str:
    try:
        return file.read_bytes()[: 1 << 20].decode("utf-8-sig", "replace")
    except OSError as error:
        raise DatasetError(f"{file.name} cannot be read ({error.strerror}).") from error
