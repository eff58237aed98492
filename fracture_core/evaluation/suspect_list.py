"""The list of a dataset's suspect labels: who judged them, and what else is known of each radiograph."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd

from fracture_core.evaluation.image_features import image_features
from fracture_core.evaluation.suspect_labels import judged_labels, most_suspect
from fracture_core.explain.overlay import BOX_COLOUR

if TYPE_CHECKING:
    from fracture_core.data.audit import Audit
    from fracture_core.data.dataset import Dataset
    from fracture_core.inference.scorer import Scorer


def trained_images(ids: Iterable[str], predictions: Sequence[pd.DataFrame]) -> set[str]:
    """Return the images that one of several models may have learned from: those that not all have kept for a check.

    Args:
        ids: The images of the dataset.
        predictions: Of each model, with the column image_id: its validation and test images.

    Returns:
        Their ids.
    """
    held = [set(table["image_id"]) for table in predictions]
    return set(ids) - set.intersection(*held) if held else set(ids)


def duplicate_groups(audit: Audit | None) -> dict[str, tuple[str, ...]]:
    """Return the duplicates of each image that has any, itself among them.

    Args:
        audit: The dataset's audit, or None if it has not finished.

    Returns:
        Ids by id.
    """
    return {image_id: members for members in (audit.duplicate_groups if audit else ()) for image_id in members}


def find_suspects(
    scorers: Mapping[str, Scorer],
    paths: Mapping[str, Path],
    labels: Mapping[str, int],
    groups: Mapping[str, Sequence[str]],
    trained_on: Collection[str],
    *,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> pd.DataFrame | None:
    """Let every network read the images, unless that was done before, and judge their labels.

    Args:
        scorers: The networks by the version of their model.
        paths: The images' files by id.
        labels: The reference label of each image, 0 or 1.
        groups: As of `judged_labels`.
        trained_on: As of `judged_labels`.
        progress: Called with images done and images in all, over all networks.
        stop: Asked before each batch.

    Returns:
        What `most_suspect` returns, or None if it was told to stop.

    Raises:
        SuspectLabelsError: There are too few images of a class.
    """
    features, total = [], len(paths) * len(scorers)
    for number, (version, scorer) in enumerate(scorers.items()):

        def step(done: int, of: int, before: int = number * len(paths)) -> None:
            if progress:
                progress(before + done, total)

        extracted = image_features(scorer, version, paths, progress=step, stop=stop)
        if extracted is None:
            return None
        features.append(extracted)
    # Each fold tells that it is done, so that a press on "Cancel" is noticed; the images are all done by then.
    fold = (lambda done, of: progress(total, total)) if progress else None
    return most_suspect(judged_labels(features, labels, groups, trained_on, progress=fold))


def with_context(suspects: pd.DataFrame, dataset: Dataset, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Add to each suspect label what a reader needs to look into it.

    Args:
        suspects: What `find_suspects` returned.
        dataset: The images.
        groups: The duplicates of each image that has any, itself among them.

    Returns:
        The columns of `suspects` and file, boxes (JSON, one [x, y, width, height] in pixels each) and duplicates (ids
        with their labels, 0 or 1, such as "IMG0000001=0 IMG0000002=1").
    """
    labels = dataset.table["label"]
    files, boxes, duplicates = [], [], []
    for image_id in suspects["image_id"]:
        files.append(dataset.path(image_id).name)
        boxes.append(json.dumps(np.asarray(dataset.boxes(image_id), float).round(1).tolist()))
        others = [other for other in groups.get(image_id, ()) if other != image_id]
        duplicates.append(" ".join(f"{other}={int(labels[other])}" for other in others))
    return suspects.assign(file=files, boxes=boxes, duplicates=duplicates)


def boxed(thumbnail: bytes, boxes: np.ndarray, size: tuple[int, int]) -> bytes:
    """Draw the reference boxes on a thumbnail.

    Args:
        thumbnail: A JPEG of the whole image.
        boxes: x, y, width, height in pixels of the original, (n, 4).
        size: Width and height of the original in pixels.

    Returns:
        A JPEG; `thumbnail` itself if there are no boxes or it cannot be read.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    pixels = cv2.imdecode(np.frombuffer(thumbnail, np.uint8), cv2.IMREAD_COLOR) if thumbnail and len(boxes) else None
    if pixels is None:
        return thumbnail
    across, down = pixels.shape[1] / size[0], pixels.shape[0] / size[1]
    for x, y, width, height in boxes * (across, down, across, down):
        corners = (round(x), round(y)), (round(x + width), round(y + height))
        cv2.rectangle(pixels, *corners, BOX_COLOUR[::-1], 1, cv2.LINE_AA)
    return cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, 85))[1].tobytes()
