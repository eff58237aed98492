"""GRAZPEDWRI-DX (Nagy et al. 2022): a csv of wrists with the patient of each, and boxes in YOLO files.

dataset.csv                                      filestem, patient_id, fracture_visible (1 or nothing), ...
images/<filestem>.png                            or images_part1/ ... images_part4/, as it is downloaded
folder_structure/yolov5/labels/<filestem>.txt    with meta.yaml beside them, which names the classes
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fracture_core.data.fracatlas import DatasetError
from fracture_core.data.user_formats.class_names import fracture_classes
from fracture_core.data.user_formats.yolo import class_names, read_boxes

_HOMES = ("folder_structure/yolov5", "yolov5", ".")


def add_boxes(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Add the boxes of fractures to the table of dataset.csv, if the YOLO files are there.

    Args:
        table: One row per image, with the columns path and label.
        root: The dataset's folder.

    Returns:
        The table with the columns boxes (lists of [x, y, width, height] in fractions, or None) and in_fractions;
        without YOLO files the table as it was.
    """
    home = next((root / name for name in _HOMES if (root / name / "labels").is_dir()), None)
    if home is None:
        return table
    try:
        names, source = class_names(home)
    except DatasetError:
        return table
    meant = fracture_classes(names.values(), source)
    boxes = []
    for path, label in zip(table["path"], table["label"], strict=True):
        file = home / "labels" / f"{Path(path).stem}.txt"
        drawn = [box for name, box in read_boxes(file, names) if name in meant] if label and file.is_file() else []
        boxes.append(drawn or None)
    return table.assign(boxes=pd.Series(boxes, index=table.index, dtype=object), in_fractions=True)
