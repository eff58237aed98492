"""The download of FracAtlas in the background: one for each place, whoever asks for it and however often."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from fracture_core.background import Progress, Work
from fracture_core.data.download import MD5, SIZE, download, partial_archive
from fracture_core.files import typed_path

#: What a reader should know of the data before fetching them.
ABOUT = (
    "FracAtlas is a set of 4,083 radiographs of hands, legs, hips and shoulders from three hospitals in Bangladesh, "
    "717 of them with fractures, which radiologists have outlined. It has no patient names or ids."
)
LICENCE = (
    "Abedeen et al., FracAtlas, Scientific Data 10, 521 (2023), doi 10.1038/s41597-023-02432-4. "
    "Licence: Creative Commons Attribution 4.0 (CC BY 4.0): use it freely, name the authors."
)

_jobs: dict[tuple[Path, str], Work[Path]] = {}
_lock = threading.Lock()


def download_job(destination: str | os.PathLike[str], **source: Any) -> Work[Path]:
    """Give the one download to `destination`: at work, or ready to be started.

    `source` is `url`, `size` and `md5` where another archive is meant than the published one. A download that is
    done is forgotten, so that the next one to the same place, should the data have gone, begins anew.
    """
    key = (typed_path(destination).resolve(), source.get("md5", MD5))
    with _lock:
        job = _jobs.get(key)
        if job is None or job.progress.state == "done":
            job = Work(lambda step, stop: download(key[0], progress=step, cancelled=stop, **source))
            _jobs[key] = job
        return job


def kept_bytes(destination: str | os.PathLike[str], md5: str = MD5) -> int:
    """How many bytes an earlier, broken download to `destination` left to go on from."""
    try:
        return partial_archive(typed_path(destination).resolve(), md5).stat().st_size
    except OSError:
        return 0


def offer(destination: str | os.PathLike[str]) -> str:
    """Say what a download to `destination` would begin: all of it, or the rest of it."""
    kept = kept_bytes(destination)
    if kept:
        return f"Go on with the download ({kept / 1e6:.0f} of {SIZE / 1e6:.0f} MB are here)"
    return f"Download FracAtlas ({SIZE / 1e6:.0f} MB)"


def in_words(progress: Progress) -> str:
    """Say how far a download is."""
    if progress.state == "stopping":
        return "Stopping …"
    if not progress.total:
        return "Connecting …"
    if progress.done >= progress.total:
        return "All of it is here; it is being checked and unpacked …"
    return f"{progress.done / 1e6:.0f} of {progress.total / 1e6:.0f} MB"
