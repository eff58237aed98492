"""Download FracAtlas from its publisher, verified, or leave nothing behind.

The archive is figshare article 22363012 (doi 10.6084/m9.figshare.22363012, CC BY 4.0). It is fetched beside the
place it will have, taken up where it stopped if the connection broke or the user cancelled, checked, unpacked
beside that place, and moved there in one rename.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import requests
from filelock import FileLock, Timeout

from fracture_core.concurrency import BackgroundTask
from fracture_core.data.archive import UnsafeArchiveError, unpack
from fracture_core.data.fracatlas import DatasetError, FracAtlas
from fracture_core.paths import expand_user_path

URL = "https://ndownloader.figshare.com/files/65518038"
SIZE = 338_436_460
MD5 = "fe9da2c7c285915ebee69dfdab8fd396"

_CHUNK = 1 << 18
_ATTEMPTS = 5
_TIMEOUT = (15, 60)  # seconds to connect, and between two pieces of an answer
_PAUSE = 1.0  # seconds before the next attempt, growing by as much each time
# JPEGs hardly shrink, so the archive unpacks to about its own size: twice that is room enough, ten times a bomb.
_ROOM, _BOMB = 2, 10


class DownloadError(DatasetError):
    """FracAtlas could not be downloaded; the part already downloaded is kept and can be resumed."""


class DownloadStoppedError(DownloadError):
    """The user stopped the download; the next one resumes from there."""


class Flag(Protocol):
    """The part of `threading.Event` that is used here."""

    def is_set(self) -> bool:
        """Return whether to stop.

        Returns:
            Whether to stop.
        """
        ...


def download(
    destination: str | os.PathLike[str],
    *,
    url: str = URL,
    size: int = SIZE,
    md5: str = MD5,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Flag | None = None,
) -> Path:
    """Download, verify, extract and install FracAtlas; an installed one is left untouched.

    Nothing half-finished is ever at `destination`.

    Args:
        destination: The folder.
        url: Where the archive is.
        size: Its size in bytes.
        md5: Its checksum, in hex.
        progress: Called with (done, total) bytes.
        cancelled: Checked between pieces.

    Returns:
        The folder.

    Raises:
        DownloadStoppedError: It was cancelled.
        DownloadError: No connection, not enough disk space, wrong length or checksum, or an unsafe or wrong archive.
    """
    destination = Path(destination)
    if (destination / "dataset.csv").is_file():
        return destination
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise DownloadError(f"{destination} exists and is not FracAtlas: move it or choose another folder.")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        archive = partial_archive(destination, md5)
        _require_room(destination.parent, max(size - _size(archive), 0) + _ROOM * size)
        with _only_one(archive.with_suffix(".lock")):
            _fetch(url, archive, size, progress, cancelled)
            _check(archive, md5)
            _install(archive, destination, size, cancelled)
            archive.unlink(missing_ok=True)
    except OSError as error:
        raise DownloadError(f"FracAtlas could not be written to {destination}: {error.strerror or error}.") from error
    return destination


def partial_archive(destination: Path, md5: str = MD5) -> Path:
    """Return where a download keeps what it has received so far.

    Args:
        destination: The folder.
        md5: Checksum of the archive.

    Returns:
        The path.
    """
    return destination.parent / f".{destination.name}-{md5[:8]}.zip.part"


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"FracAtlas needs {needed / 1e9:.1f} GB of free disk in {folder}, and there are {free / 1e9:.1f} GB: "
            "free some disk space or choose another folder."
        )


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Keep two downloads to one place from writing into each other; a dead process's lock is taken over."""
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout as error:
        raise DownloadError("FracAtlas is being downloaded already, by another process.") from error


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _stop_if(cancelled: Flag | None) -> None:
    if cancelled is not None and cancelled.is_set():
        raise DownloadStoppedError("The download was stopped; the next one resumes from there.")


def _fetch(
    url: str, archive: Path, size: int, progress: Callable[[int, int], None] | None, cancelled: Flag | None
) -> None:
    """Download until `archive` has `size` bytes, resuming from what is there; retry broken connections."""
    failures = 0
    while (before := _size(archive)) < size:
        _stop_if(cancelled)
        if failures:
            time.sleep(_PAUSE * failures)
        try:
            _fetch_rest(url, archive, before, size, progress, cancelled)
            cause = None
        except requests.RequestException as error:
            cause = error
        failures = 0 if _size(archive) > before else failures + 1
        if failures >= _ATTEMPTS:
            raise DownloadError(
                f"The connection broke after {_size(archive) / 1e6:.0f} of {size / 1e6:.0f} MB: "
                "try again; it resumes from there."
            ) from cause


def _fetch_rest(
    url: str, archive: Path, have: int, size: int, progress: Callable[[int, int], None] | None, cancelled: Flag | None
) -> None:
    """Request the missing bytes, or the whole file if the server does not support ranges."""
    # A compressed transfer would make the byte counts of Range meaningless.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if answer.status_code not in (200, 206):
            if 400 <= answer.status_code < 500:
                raise DownloadError(f"The server refused FracAtlas (HTTP {answer.status_code}): try again later.")
            raise requests.HTTPError(f"HTTP {answer.status_code}", response=answer)
        resumes = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        done = have if answer.status_code == 206 and resumes else 0
        offered = answer.headers.get("Content-Length")
        if offered is not None and offered.isdigit() and done + int(offered) != size:
            _refuse_length(archive, done + int(offered), size)
        with archive.open("ab" if done else "wb") as file:
            for piece in answer.iter_content(_CHUNK):
                _stop_if(cancelled)
                if done + len(piece) > size:
                    _refuse_length(archive, done + len(piece), size)
                file.write(piece)
                done += len(piece)
                if progress:
                    progress(done, size)


def _refuse_length(archive: Path, offered: int, size: int) -> None:
    archive.unlink(missing_ok=True)
    raise DownloadError(
        f"The server offers {offered:,} bytes where FracAtlas has {size:,}: it is another file; nothing was installed."
    )


def _check(archive: Path, md5: str) -> None:
    with archive.open("rb") as file:
        # MD5 is what the publisher gives; it guards against damage, and the address's TLS against forgery.
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != md5.lower():
        archive.unlink()  # going on from a damaged file would never heal it
        raise DownloadError("FracAtlas arrived damaged (its checksum is wrong): nothing was installed, try again.")


def _install(archive: Path, destination: Path, size: int, cancelled: Flag | None) -> None:
    prefix = f".{destination.name}-unpacking-"
    for stale in destination.parent.glob(f"{prefix}*"):  # of a process that was killed; we hold the lock
        shutil.rmtree(stale, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=destination.parent, prefix=prefix))
    try:
        unpack(archive, folder, most_bytes=_BOMB * size, step=lambda: _stop_if(cancelled))
        tables = sorted(folder.rglob("dataset.csv"), key=lambda path: len(path.parts))
        if not tables:
            raise DownloadError("The archive is not FracAtlas (it has no dataset.csv): nothing was installed.")
        try:
            FracAtlas(tables[0].parent)
        except DatasetError as error:
            raise DownloadError("The archive is not a complete FracAtlas: nothing was installed.") from error
        if destination.exists():
            destination.rmdir()  # empty, or download() would have refused
        tables[0].parent.chmod(0o755)
        tables[0].parent.rename(destination)
    except UnsafeArchiveError as error:
        raise DownloadError(f"{error} Nothing was installed.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_jobs: dict[tuple[Path, str], BackgroundTask[Path]] = {}
_jobs_lock = threading.Lock()


def download_job(destination: str | os.PathLike[str], **source: Any) -> BackgroundTask[Path]:
    """Return the one download to a folder, running or ready to start.

    A finished download is forgotten, so that the next one to the same place starts again if the data were removed.

    Args:
        destination: The folder.
        **source: `url`, `size` and `md5` of another archive than the published one.

    Returns:
        The task.
    """
    key = (expand_user_path(destination).resolve(), source.get("md5", MD5))
    with _jobs_lock:
        job = _jobs.get(key)
        if job is None or job.progress.state == "done":
            job = BackgroundTask(lambda step, stop: download(key[0], progress=step, cancelled=stop, **source))
            _jobs[key] = job
        return job


def kept_bytes(destination: str | os.PathLike[str], md5: str = MD5) -> int:
    """Return how many bytes an earlier, interrupted download left to resume from.

    Args:
        destination: The folder.
        md5: Checksum of the archive.

    Returns:
        Bytes.
    """
    try:
        return partial_archive(expand_user_path(destination).resolve(), md5).stat().st_size
    except OSError:
        return 0
