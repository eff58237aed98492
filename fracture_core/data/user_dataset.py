"""A user's own radiographs, for training: checked once, and then used as FracAtlas is."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from fracture_core.concurrency import processors
from fracture_core.data.fracatlas import DatasetError, FracAtlas
from fracture_core.data.review.review_set import is_review_folder
from fracture_core.data.review.verdict import image_digest
from fracture_core.data.user_index import index_images
from fracture_core.files import file_stamp, write_text
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from fracture_core.paths import cache_folder, expand_user_path

#: Fewer images of a class than this cannot be divided into train, val and test.
LEAST = 10
#: With a larger share of unreadable files something else is wrong, and training would hide it.
MOST_UNREADABLE = 0.1
_VERSION = 4
#: Boxes may reach so far beyond their image: annotators round, and drag past the border.
_BEYOND_PX = 2
_BEYOND_SHARE = 0.01
#: Width and height of an upright image in pixels and the digest of its pixels, or why it cannot be read.
Look = tuple[int, int, str] | str
#: What was found in review sets, by `_key`; the last few.
_review_looks: dict[str, dict[str, Look]] = {}
_MOST_LOOKS = 4


class OwnDataset:
    """A user's radiographs in any form that `fracture_core.data.user_index` reads.

    `table` has one row a readable image, indexed by image_id (its path below `root`): path (str), label and csv_label
    (int8, 1 fractured), split and patient (str, "" where not given), fracture_count (boxes; only where some are
    given), FracAtlas's flags where a csv has them, conflict (str, always ""). `unreadable` maps the ids that were left
    out to the reason. `remarks` are sentences on what else was left out.

    Args:
        path: A folder, a csv or a COCO file.
        progress: Called with how many files have been looked at, and of how many. The first look reads every file;
            what it finds is kept, keyed by each file's name, size and time: in the cache folder, but of a review set
            in memory alone, so that what is deleted there leaves nothing here.

    Raises:
        DatasetError: There is nothing to train on: a wrong folder, one class, too few images, too many that cannot
            be read, boxes that do not fit their image, a patient in two parts.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        index = index_images(_resolved(path))
        self.root, self.sources, self.remarks = index.root, index.sources, index.remarks
        self.name = index.name if index.name != FracAtlas.name else f"{index.name} (own copy)"
        _check_classes(index.table["label"], self.name, self.remarks)
        looks = _look_at(self.root, list(index.table.index), progress)
        self.unreadable: dict[str, str] = {i: look for i, look in looks.items() if isinstance(look, str)}
        _check_readable(self.unreadable, len(index.table))
        table = index.table.drop(index=list(self.unreadable))
        _check_classes(table["label"], self.name, self.remarks)
        _check_patients(table)
        self._boxes = _boxes_in_pixels(table, looks)
        self._digests = {i: look[2] for i, look in looks.items() if not isinstance(look, str)}
        table = table.drop(columns=["boxes", "in_fractions", "where"])
        if self._boxes.notna().any():
            table["fracture_count"] = [len(boxes or ()) for boxes in self._boxes]
        table["label"] = table["label"].astype(np.int8)
        table.insert(2, "csv_label", table["label"])
        self.table = table.assign(conflict="")
        self.conflicts: list[str] = [f"{i}: cannot be read, so left out. {why}" for i, why in self.unreadable.items()]
        #: As in FracAtlas; empty, because readers apply EXIF and boxes refer to the upright image.
        self.exif_turned: Mapping[str, int] = {}

    def __len__(self) -> int:
        return len(self.table)

    def path(self, image_id: str) -> Path:
        """Return an image's file.

        Args:
            image_id: The image.

        Returns:
            Its path.

        Raises:
            DatasetError: The dataset has no such image.
        """
        if image_id not in self.table.index:
            raise DatasetError(f"{image_id} is not in {self.name}.")
        return self.root / self.table.at[image_id, "path"]

    def boxes(self, image_id: str) -> np.ndarray:
        """Return the boxes round an image's fractures.

        Args:
            image_id: The image.

        Returns:
            float32 (n, 4): x, y, width, height in pixels of the upright image; (0, 4) if none is known.

        Raises:
            DatasetError: The dataset has no such image.
        """
        self.path(image_id)
        return np.array(self._boxes[image_id] or [], np.float32).reshape(-1, 4)

    def outlined(self, image_id: str) -> bool:
        """Return whether it is known where an image's fractures are.

        Args:
            image_id: The image.

        Returns:
            True if they are outlined or the image has none.
        """
        return not self.table.at[image_id, "label"] or len(self.boxes(image_id)) > 0

    def digest(self, image_id: str) -> str:
        """Return what tells the image from any other, whatever file or folder it came from.

        Args:
            image_id: The image.

        Returns:
            SHA-256, hex, of its upright pixels.
        """
        self.path(image_id)
        return self._digests[image_id]

    def summary_text(self) -> str:
        """Describe the dataset in a sentence or two.

        Returns:
            Its name, its counts and any remarks.
        """
        fractured = int(self.table["label"].sum())
        text = f"{self.name}: {len(self)} radiographs, {fractured} fractured and {len(self) - fractured} not."
        if self.unreadable:
            text += f" {len(self.unreadable)} files cannot be read and were left out."
        return " ".join([text, *self.remarks])


def _resolved(path: str | os.PathLike[str]) -> Path:
    """Return the real path of what a user named; raise DatasetError where nothing can have that name."""
    try:
        resolved = expand_user_path(path).resolve()
        resolved.exists()
        str(resolved).encode()
    except UnicodeEncodeError as error:
        raise DatasetError("The folder's path contains a name that is not UTF-8: please rename that folder.") from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"There is no folder {os.fspath(path)[:200]!r}.") from error
    return resolved


def _check_classes(labels: pd.Series, name: str, remarks: list[str]) -> None:
    fractured, whole = int(labels.sum()), int((1 - labels).sum())
    if not fractured or not whole:
        kind = "fractured" if fractured else "not fractured"
        sentence = f"All {len(labels)} images of {name} are {kind}: training needs both classes."
        raise DatasetError(" ".join([sentence, *remarks]))
    if min(fractured, whole) < LEAST:
        raise DatasetError(
            f"{name} has {fractured} fractured and {whole} normal images: training needs at least {LEAST} of each, "
            "and some hundreds to be useful."
        )


def _check_readable(unreadable: Mapping[str, str], total: int) -> None:
    if len(unreadable) > MOST_UNREADABLE * total:
        first, reason = next(iter(unreadable.items()))
        raise DatasetError(
            f"{len(unreadable)} of {total} images cannot be read, too many to continue without them. "
            f"The first is {first}: {reason}"
        )


def _check_patients(table: pd.DataFrame) -> None:
    known = table[(table["patient"] != "") & (table["split"] != "")]
    parts = known.groupby("patient", sort=False)["split"].unique()
    for patient, parts_of in parts[parts.map(len) > 1].items():
        image = known.index[known["patient"] == patient][0]
        raise DatasetError(
            f"The patient of {image} is in {' and '.join(parts_of)}: one patient's images must stay in one part."
        )


def _boxes_in_pixels(table: pd.DataFrame, looks: Mapping[str, Look]) -> pd.Series:
    """Return the boxes of each image in pixels, within the image; raise DatasetError for one that lies beyond it."""
    in_pixels: list[list[list[float]] | None] = []
    for image_id, boxes, in_fractions, where in zip(
        table.index, table["boxes"], table["in_fractions"], table["where"], strict=True
    ):
        if not boxes:
            in_pixels.append(None)
            continue
        size = np.array(looks[image_id][:2], np.float64)
        scaled = np.array(boxes, np.float64).reshape(-1, 2, 2) * (size if in_fractions else 1)
        corners = np.stack([scaled[:, 0], scaled[:, 0] + scaled[:, 1]], axis=1)
        inside = np.clip(corners, 0, size)
        sides = inside[:, 1] - inside[:, 0]
        if (abs(inside - corners) > max(_BEYOND_PX, _BEYOND_SHARE * size.max())).any() or (sides <= 0).any():
            raise DatasetError(
                f"{where or image_id} has a box that reaches beyond its image of {size[0]:.0f} x {size[1]:.0f} pixels."
                + ("" if in_fractions else " Boxes are x, y, width, height in pixels of the upright image.")
            )
        in_pixels.append(np.hstack([inside[:, 0], sides]).tolist())
    return pd.Series(in_pixels, index=table.index, dtype=object)


def _look_at(root: Path, ids: list[str], progress: Callable[[int, int], None] | None) -> dict[str, Look]:
    """Return what each image is, from a look at every file or from an earlier look at the same files."""
    key = _key(root, ids)
    looks = _earlier(root, key)
    lacking = [image_id for image_id in ids if image_id not in looks]
    if not lacking:
        return looks
    passing = set()
    with ThreadPoolExecutor(processors()) as pool:
        found = zip(lacking, pool.map(partial(_look, root), lacking), strict=True)
        for done, (image_id, (look, lasting)) in enumerate(found, 1):
            looks[image_id] = look
            if not lasting:
                passing.add(image_id)
            if progress and (done % 50 == 0 or done == len(lacking)):
                progress(done, len(lacking))
    # A file that a disk or its permissions kept back is looked at again the next time.
    _keep(root, key, {i: look for i, look in looks.items() if i not in passing})
    return {i: looks[i] for i in ids}


def _earlier(root: Path, key: str) -> dict[str, Look]:
    """Return what an earlier look found; nothing if there was none, or something else damaged its file."""
    if is_review_folder(root):
        return dict(_review_looks.get(key, {}))
    with suppress(OSError, ValueError, TypeError, AttributeError):
        earlier = json.loads((cache_folder() / "own-data" / f"{key}.json").read_text("utf-8"))
        return {i: look if isinstance(look, str) else _known(*look) for i, look in earlier.items()}
    return {}


def _keep(root: Path, key: str, looks: dict[str, Look]) -> None:
    if is_review_folder(root):
        while len(_review_looks) >= _MOST_LOOKS:
            _review_looks.pop(next(iter(_review_looks)), None)
        _review_looks[key] = dict(looks)
        return
    # A cache that cannot be written costs the next look, and nothing else.
    with suppress(OSError):
        write_text(cache_folder() / "own-data" / f"{key}.json", json.dumps(looks))


def _known(width: int, height: int, digest: str) -> tuple[int, int, str]:
    return int(width), int(height), str(digest)


def _look(root: Path, image_id: str) -> tuple[Look, bool]:
    """Return what an image is, and whether that stays so while its file does not change."""
    path = root / image_id
    if not path.resolve().is_relative_to(root):
        return "It is a link to a file outside the folder.", True
    try:
        pixels = read_radiograph(path, accept_cut_short=True).pixels
    except UnreadableRadiograph as error:
        return str(error), error.lasting
    height, width = pixels.shape
    return (width, height, image_digest(pixels)), True


def _key(root: Path, ids: list[str]) -> str:
    digest = hashlib.sha256(f"{_VERSION} {root}".encode())
    for image_id in ids:
        try:
            digest.update(f"\n{image_id} {file_stamp(root / image_id)}".encode())
        except OSError:
            digest.update(f"\n{image_id} is not there".encode())
    return digest.hexdigest()[:24]
