"""FracAtlas on disk: which images there are, what is known of each, and where the fractures were outlined.

FracAtlas: Abedeen et al., "FracAtlas: A Dataset for Fracture Classification, Localization and Segmentation
of Musculoskeletal Radiographs", Scientific Data 10, 521 (2023), doi 10.1038/s41597-023-02432-4, CC BY 4.0.

Three witnesses say whether an image shows a fracture: an outline in the COCO annotations, the folder the file
lies in, and the `fractured` column of dataset.csv. Where they disagree the first that speaks decides:

1. an outline means a fracture: a radiologist drew around it;
2. else the folder, if the file lies in only one: the study's own training read its labels from the folders;
3. else dataset.csv.
"""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fracture_core.errors import FractureCoreError
from fracture_core.imaging.exif import orientation_and_sizes, turn_points
from fracture_core.paths import dataset_folder

if TYPE_CHECKING:
    import pandas as pd

FOLDERS = {"Fractured": 1, "Non_fractured": 0}
_INTEGERS = ["hand", "leg", "hip", "shoulder", "mixed", "hardware", "multiscan"]
_INTEGERS += ["fracture_count", "frontal", "lateral", "oblique"]
# Turned by 180 degrees, so sizes cannot tell; the two boxes lie on the tibia's and fibula's fractures only in
# the upright image.
_SEEN_UPRIGHT = frozenset({"IMG0002588"})


class DatasetError(FractureCoreError):
    """FracAtlas is missing, incomplete or not laid out as published."""


def find_fracatlas() -> Path:
    """Return the folder of FracAtlas.

    Returns:
        The folder that contains dataset.csv.

    Raises:
        DatasetError: It is not installed; the message says how to get it.
    """
    root = dataset_folder()
    if not (root / "dataset.csv").is_file():
        raise DatasetError(
            f"FracAtlas is not at {root}: run `python -m fracture_core download` to get it, "
            "or set FRACATLAS_DIR to the folder that has its dataset.csv."
        )
    return root


class FracAtlas:
    """Index of a FracAtlas release.

    `table` has one row an image, indexed by image_id (the file's stem) in the order of dataset.csv:
    path (str, relative to `root`), label (int8, 1 fractured), csv_label (int8, as dataset.csv says),
    hand, leg, hip, shoulder, mixed, hardware, multiscan, fracture_count, frontal, lateral, oblique (int),
    conflict (str: what disagreed and which rule decided, "" where nothing did).
    `conflicts` holds every disagreement in words, those about files outside the table included.

    Raises DatasetError where the folder is not a FracAtlas, or files that dataset.csv lists are missing.
    """

    name = "FracAtlas"

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self.root = find_fracatlas() if root is None else Path(root)
        rows = _read_csv(self.root / "dataset.csv")
        self._annotations = _read_coco(self.root / "Annotations" / "COCO JSON")
        folders = _image_folders(self.root / "images")
        repeated = sorted(set(rows.index[rows.index.duplicated()]))
        rows = rows[~rows.index.duplicated()]
        missing = [image_id for image_id in rows.index if image_id not in folders]
        if missing:
            raise DatasetError(
                f"FracAtlas at {self.root} lacks {len(missing)} of the {len(rows)} images that dataset.csv "
                f"lists ({missing[0]}.jpg first): download it again."
            )
        judged = [self._judge(row, folders[row.Index], row.Index in repeated) for row in rows.itertuples()]
        self.table = self._tabulate(rows, judged)
        strangers = sorted((set(folders) | set(self._annotations)) - set(rows.index))
        self.conflicts: list[str] = [f"{i}: {text}" for i, text in self.table["conflict"].items() if text]
        self.conflicts += [f"{i}: not in dataset.csv, so left out." for i in strangers]

    def __len__(self) -> int:
        return len(self.table)

    def _judge(self, row: Any, folders: list[str], repeated: bool) -> tuple[str, int, str]:
        """(path, label, conflict in words) of one image, by the rules at the head of this file."""
        outlines = len(self._annotations.get(row.Index, _NOTHING)["boxes"])
        if outlines:
            label, rule = 1, "the outlines decide: fractured"
        elif len(folders) == 1:
            label = FOLDERS[folders[0]]
            rule = f"nothing is outlined, so the folder decides: {_WORDS[label]}"
        else:
            label = int(row.fractured)
            rule = f"nothing is outlined and the folders contradict, so dataset.csv decides: {_WORDS[label]}"
        voices = {int(row.fractured), *(FOLDERS[name] for name in folders)} | ({1} if outlines else set())
        remarks = []
        if len(voices) > 1 or label not in voices:
            drawn = f"{outlines} outlined" if outlines else "nothing outlined"
            place = " and ".join(sorted(folders))
            remarks.append(f"dataset.csv says {_WORDS[int(row.fractured)]}, folder {place}, {drawn}; {rule}")
        if row.fracture_count != outlines:
            remarks.append(f"dataset.csv counts {row.fracture_count} fractures, {outlines} are outlined; both are kept")
        if repeated:
            remarks.append("listed more than once in dataset.csv; the first row is taken")
        home = next((name for name in folders if FOLDERS[name] == label), folders[0])
        return f"images/{home}/{row.Index}.jpg", label, "; ".join(remarks) + ("." if remarks else "")

    def _tabulate(self, rows: pd.DataFrame, judged: list[tuple[str, int, str]]) -> pd.DataFrame:
        import pandas as pd

        table = pd.DataFrame(judged, columns=["path", "label", "conflict"], index=rows.index)
        table["label"] = table["label"].astype(np.int8)
        table["csv_label"] = rows["fractured"].astype(np.int8)
        table[_INTEGERS] = rows[_INTEGERS]
        return table[["path", "label", "csv_label", *_INTEGERS, "conflict"]]

    @property
    def sources(self) -> list[Path]:
        """The files that say what the images show."""
        return [self.root / "dataset.csv", *sorted((self.root / "Annotations" / "COCO JSON").glob("*.json"))]

    def path(self, image_id: str) -> Path:
        """Return the image's file; if it is in both folders, the one that matches its label.

        Args:
            image_id: The image.

        Returns:
            The path.
        """
        self._entry(image_id)
        return self.root / self.table.at[image_id, "path"]

    def boxes(self, image_id: str) -> np.ndarray:
        """Return the image's boxes.

        Args:
            image_id: The image.

        Returns:
            float32 (n, 4): x, y, width, height in pixels of the upright image; (0, 4) if there are none.
        """
        corners = [np.array([[x, y], [x + w, y + h]]) for x, y, w, h in self._entry(image_id)["boxes"]]
        boxes = []
        for points in self._upright(image_id, corners):
            low, high = points.min(axis=0), points.max(axis=0)
            boxes.append([*low, *(high - low)])
        return np.array(boxes, np.float32).reshape(-1, 4)

    def outlined(self, image_id: str) -> bool:
        """Return whether the location of the image's fractures is known; it is for all of FracAtlas.

        Args:
            image_id: The image.

        Returns:
            Whether it is.
        """
        return image_id in self.table.index

    def polygons(self, image_id: str) -> list[np.ndarray]:
        """Return the outlines of the image's fractures.

        Args:
            image_id: The image.

        Returns:
            float32 (k, 2) of x, y in pixels of the upright image, each.
        """
        outlines = [np.reshape(flat, (-1, 2)) for flat in self._entry(image_id)["outlines"]]
        return [points.astype(np.float32) for points in self._upright(image_id, outlines)]

    def annotation_frame(self, image_id: str) -> str:
        """Return the frame in which the image's boxes were drawn.

        Undecided boxes are taken as upright, because viewers and annotation tools obey EXIF.

        Args:
            image_id: The image.

        Returns:
            "upright" (as displayed), "stored" (as in the file, which differs if EXIF rotates it), or "undecided": the
                annotated size fits both or neither.
        """
        orientation, stored, upright = orientation_and_sizes(self.path(image_id))
        annotated = self._entry(image_id)["size"]
        if orientation == 1:
            return "upright"
        if (annotated == upright) == (annotated == stored):
            return "upright" if image_id in _SEEN_UPRIGHT else "undecided"
        return "upright" if annotated == upright else "stored"

    def _entry(self, image_id: str) -> dict:
        if image_id not in self.table.index:
            raise DatasetError(f"{image_id} is not in FracAtlas.")
        return self._annotations.get(image_id, _NOTHING)

    def _upright(self, image_id: str, shapes: list[np.ndarray]) -> list[np.ndarray]:
        if not shapes:
            return []
        orientation, stored, upright = orientation_and_sizes(self.path(image_id))
        if self.annotation_frame(image_id) == "stored":
            shapes = [turn_points(points, orientation, stored) for points in shapes]
        # Some outlines overshoot the border by a rounding error.
        return [np.clip(points, 0, upright) for points in shapes]

    @cached_property
    def exif_turned(self) -> dict[str, int]:
        """EXIF orientation (2..8) of each image that carries one; reads 4,083 headers, about a second."""
        turns = ((image_id, orientation_and_sizes(self.path(image_id))[0]) for image_id in self.table.index)
        return {image_id: orientation for image_id, orientation in turns if orientation != 1}


_WORDS = ("not fractured", "fractured")
_NOTHING: dict = {"size": None, "boxes": [], "outlines": []}


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd  # a fifth of a second that nobody without the dataset has to wait

    try:
        rows = pd.read_csv(path, dtype={"image_id": str})
        rows["image_id"] = rows["image_id"].str.removesuffix(".jpg")
        return rows.set_index("image_id").astype(dict.fromkeys([*_INTEGERS, "fractured"], int))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: this is not a FracAtlas folder.") from error
    except (ValueError, KeyError) as error:
        raise DatasetError(f"{path} does not have FracAtlas's columns: download FracAtlas again.") from error


def _read_coco(folder: Path) -> dict[str, dict]:
    """image_id -> {"size": (width, height) annotated, "boxes": [[x, y, w, h]], "outlines": [[x, y, ...]]}."""
    try:
        coco = json.loads(next(iter(sorted(folder.glob("*.json")))).read_bytes())
        names = {image["id"]: Path(image["file_name"]).stem for image in coco["images"]}
        sizes = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
        entries: dict[str, dict[str, Any]] = {names[i]: {"size": sizes[i], "boxes": [], "outlines": []} for i in names}
        for annotation in coco["annotations"]:
            entry = entries[names[annotation["image_id"]]]
            entry["boxes"].append(annotation["bbox"])
            entry["outlines"].extend(annotation["segmentation"])
        return entries
    except (OSError, StopIteration, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{folder} has no readable COCO annotations: download FracAtlas again.") from error


def _image_folders(images: Path) -> dict[str, list[str]]:
    """image_id -> the label folders that have its file."""
    folders_of: dict[str, list[str]] = {}
    for name in FOLDERS:
        for file in (images / name).glob("*.jpg"):
            folders_of.setdefault(file.stem, []).append(name)
    return folders_of
