"""A user's own radiographs, for training: checked once, and then used as FracAtlas is."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from fracture_core.data.fracatlas import DatasetError, FracAtlas
from fracture_core.data.user_index import list_csv, list_folder, lists_images
from fracture_core.files import write_text
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from fracture_core.paths import cache_folder, expand_user_path

#: Fewer images of a class than this cannot be divided into train, val and test.
LEAST = 10
#: With a larger share of unreadable files something else is wrong, and training would hide it.
MOST_UNREADABLE = 0.1
_VERSION = 1


class OwnDataset:
    """A folder a class, or a csv; see `fracture_core.data.user_index` for what either looks like.

    `table` has one row a readable image, indexed by image_id (its path below `root`): path (str), label and csv_label
    (int8, 1 fractured), split and patient (str, "" where not given), fracture_count (boxes; only where some are
    given), FracAtlas's flags where a csv has them, conflict (str, always ""). `unreadable` maps the ids that were left
    out to the reason.

    Raises DatasetError with a sentence where there is nothing to train on: a wrong folder, one class, too few images,
    too many that cannot be read, a patient in two parts. The first look reads every file (`progress(done, total)`);
    what it found is kept, keyed by each file's name, size and time.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        path = expand_user_path(path).resolve()
        self._csv = _csv_of(path)
        self.root = self._csv.parent if self._csv else path
        name = self._csv.stem if self._csv else self.root.name
        self.name = name if name != FracAtlas.name else f"{name} (own copy)"
        listed = list_csv(self._csv) if self._csv else list_folder(self.root)
        _check_classes(listed["label"], self.name)
        self.unreadable = _unreadable(self.root, list(listed.index), progress)
        _check_readable(self.unreadable, len(listed))
        table = listed.drop(index=list(self.unreadable))
        _check_classes(table["label"], self.name)
        _check_patients(table)
        self._boxes = table.pop("boxes")
        if self._boxes.notna().any():
            table["fracture_count"] = [len(boxes or ()) for boxes in self._boxes]
        table["label"] = table["label"].astype(np.int8)
        table.insert(2, "csv_label", table["label"])
        self.table = table.assign(conflict="")
        self.conflicts: list[str] = [f"{i}: cannot be read, so left out. {why}" for i, why in self.unreadable.items()]
        #: As FracAtlas has it; readers obey EXIF and boxes are the upright picture's, so nothing needs to be said.
        self.exif_turned: Mapping[str, int] = {}

    def __len__(self) -> int:
        return len(self.table)

    @property
    def sources(self) -> list[Path]:
        """The files that say what the images show."""
        return [self._csv] if self._csv else []

    def path(self, image_id: str) -> Path:
        """The image's file."""
        if image_id not in self.table.index:
            raise DatasetError(f"{image_id} is not in {self.name}.")
        return self.root / self.table.at[image_id, "path"]

    def boxes(self, image_id: str) -> np.ndarray:
        """float32 (n, 4): x, y, width, height in pixels of the upright picture; (0, 4) where none is known."""
        self.path(image_id)
        return np.array(self._boxes[image_id] or [], np.float32).reshape(-1, 4)

    def outlined(self, image_id: str) -> bool:
        """Whether it is known where the image's fractures are: outlined, or there is none."""
        return not self.table.at[image_id, "label"] or len(self.boxes(image_id)) > 0

    def summary_text(self) -> str:
        """What was found, in a sentence or two."""
        fractured = int(self.table["label"].sum())
        said = f"{self.name}: {len(self)} radiographs, {fractured} fractured and {len(self) - fractured} not."
        if self.unreadable:
            said += f" {len(self.unreadable)} files cannot be read and were left out."
        return said


def _csv_of(path: Path) -> Path | None:
    """The csv that a path means: itself, or the one in a folder that lists images; None for a folder a class."""
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise DatasetError(f"{path.name} is neither a folder nor a csv.")
        return path
    if not path.is_dir():
        raise DatasetError(f"There is no folder {path}.")
    found = sorted(p for p in path.glob("[!.]*") if p.suffix.lower() == ".csv" and lists_images(p))
    if len(found) > 1:
        names = ", ".join(p.name for p in found[:4])
        raise DatasetError(f"{path} has {len(found)} csv files that list images ({names}): give the one that is meant.")
    return found[0] if found else None


def _check_classes(labels: pd.Series, name: str) -> None:
    fractured, whole = int(labels.sum()), int((1 - labels).sum())
    if not fractured or not whole:
        kind = "fractured" if fractured else "not fractured"
        raise DatasetError(f"All {len(labels)} images of {name} are {kind}: training needs both classes.")
    if min(fractured, whole) < LEAST:
        raise DatasetError(
            f"{name} has {fractured} fractured images and {whole} others: training needs at least {LEAST} of each, "
            "and some hundreds to be worth it."
        )


def _check_readable(unreadable: Mapping[str, str], total: int) -> None:
    if len(unreadable) > MOST_UNREADABLE * total:
        first, reason = next(iter(unreadable.items()))
        raise DatasetError(
            f"{len(unreadable)} of {total} images cannot be read, too many to go on without them. "
            f"The first is {first}: {reason}"
        )


def _check_patients(table: pd.DataFrame) -> None:
    known = table[(table["patient"] != "") & (table["split"] != "")]
    parts = known.groupby("patient", sort=False)["split"].unique()
    for patient, found in parts[parts.map(len) > 1].items():
        image = known.index[known["patient"] == patient][0]
        raise DatasetError(
            f"The patient of {image} is in {' and '.join(found)}: one patient's images must stay in one part."
        )


def _unreadable(root: Path, ids: list[str], progress: Callable[[int, int], None] | None) -> dict[str, str]:
    """Image id -> why it cannot be read, from a look at every file or from an earlier look at the same files."""
    kept = cache_folder() / "own-data" / f"{_key(root, ids)}.json"
    try:
        return dict(json.loads(kept.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        pass  # never looked, or a file that something else damaged: look
    found = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reasons = pool.map(partial(_reason, root), ids)
        for done, (image_id, reason) in enumerate(zip(ids, reasons, strict=True), 1):
            if reason:
                found[image_id] = reason
            if progress and (done % 50 == 0 or done == len(ids)):
                progress(done, len(ids))
    write_text(kept, json.dumps(found))
    return found


def _reason(root: Path, image_id: str) -> str:
    path = root / image_id
    if not path.resolve().is_relative_to(root):
        return "It is a link to a file outside the folder."
    try:
        read_radiograph(path, accept_cut_short=True)
    except UnreadableRadiograph as error:
        return str(error)
    return ""


def _key(root: Path, ids: list[str]) -> str:
    digest = hashlib.sha256(f"{_VERSION} {root}".encode())
    for image_id in ids:
        try:
            status = (root / image_id).stat()
            digest.update(f"\n{image_id} {status.st_size} {status.st_mtime_ns}".encode())
        except OSError:
            digest.update(f"\n{image_id} is not there".encode())
    return digest.hexdigest()[:24]
