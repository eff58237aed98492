"""Say which annotations a folder holds that cannot be used, where no format was recognised in it."""

from __future__ import annotations

from pathlib import Path

from fracture_core.data.user_formats.coco import damaged_coco
from fracture_core.data.user_formats.image_files import image_files


def nearest_format(root: Path) -> list[str]:
    """Say what keeps a folder from being read as annotations: damaged COCO, Pascal VOC, YOLO files beside the images.

    Args:
        root: The folder.

    Returns:
        Sentences; none where there are no such files.

    Raises:
        DatasetError: The folder cannot be read.
    """
    if damaged := damaged_coco(root):
        return damaged
    if _has_voc(root):
        return [
            f"{root.name} has annotations in XML (Pascal VOC), which cannot be read: convert them to COCO or YOLO, or "
            "name the images in a csv with the columns image, label and boxes."
        ]
    beside = sum(file.with_suffix(".txt").is_file() for file in image_files(root)[:200])
    if beside:
        return [
            f"{root.name} has text files of the images' names beside the images. If they are YOLO labels, put the "
            "images into a folder images, the text files into a folder labels, and name the classes in data.yaml."
        ]
    return []


def _has_voc(root: Path) -> bool:
    """Tell whether an XML file of a folder, or of one at most three folders down, annotates an image."""
    for depth in range(4):
        file = next(root.glob("*/" * depth + "*.[xX][mM][lL]"), None)
        if file is not None and file.is_file():
            try:
                with file.open("rb") as stream:
                    return b"<annotation" in stream.read(4096)
            except OSError:
                return False
    return False
