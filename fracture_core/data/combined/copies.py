"""Find the images of FracAtlas among a user's own radiographs, whatever they are called there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from fracture_core.data.audit import findings_key
from fracture_core.data.combined.audit import decode_either
from fracture_core.data.combined.dataset import SITE
from fracture_core.data.duplicates import find_duplicates
from fracture_core.data.fracatlas import DatasetError, FracAtlas, find_fracatlas
from fracture_core.data.user_dataset import OwnDataset
from fracture_core.files import write_text
from fracture_core.imaging.radiograph import UnreadableRadiograph
from fracture_core.paths import cache_folder

_VERSION = 1  # of what the kept findings mean


def fracatlas_copies(
    dataset: OwnDataset, *, cache_dir: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> dict[str, list[str]] | None:
    """Find which of a user's own radiographs show an image of FracAtlas: copied, resized, turned or saved again.

    Args:
        dataset: The radiographs.
        cache_dir: Where findings are kept; by default the user's cache folder.
        progress: Called with (done, total) files, of FracAtlas and of the user's.

    Returns:
        Ids in FracAtlas by the user's own id; None if FracAtlas is not on this computer, or one of its files cannot be
        read.
    """
    try:
        fracatlas = FracAtlas(find_fracatlas())
        keys = f"{_VERSION}\n{findings_key(fracatlas)}\n{findings_key(dataset)}"
    except (DatasetError, OSError):
        return None
    file = (cache_dir or cache_folder()) / "copies" / f"{hashlib.sha256(keys.encode()).hexdigest()[:24]}.json"
    with suppress(OSError, ValueError, AttributeError, TypeError):
        return {str(own): list(map(str, ids)) for own, ids in json.loads(file.read_text("utf-8")).items()}
    try:
        copies = _look(fracatlas, dataset, progress)
    except (UnreadableRadiograph, OSError):
        return None
    with suppress(OSError):  # the next look costs time, and nothing else
        write_text(file, json.dumps(copies))
    return copies


def _look(
    fracatlas: FracAtlas, dataset: OwnDataset, progress: Callable[[int, int], None] | None
) -> dict[str, list[str]]:
    paths: Mapping[str, Path] = {i: fracatlas.path(i) for i in fracatlas.table.index} | {
        SITE + i: dataset.path(i) for i in dataset.table.index
    }
    copies: dict[str, list[str]] = {}
    for pair in find_duplicates(paths, {}, progress, decode_either, between=len(fracatlas)):
        copies.setdefault(pair.second.removeprefix(SITE), []).append(pair.first)
    return copies
