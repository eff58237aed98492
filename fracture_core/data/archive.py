"""Unpack an untrusted zip: no path leaves the folder, no links, no bombs."""

from __future__ import annotations

import lzma
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from fracture_core.errors import FractureCoreError

_MOST_FILES = 50_000  # FracAtlas has some 12,000
_CHUNK = 1 << 20
_CLUTTER = {"__MACOSX", ".DS_Store"}


class UnsafeArchiveError(FractureCoreError):
    """An archive that is damaged, or contains something that no dataset needs."""


def unpack(archive: Path, folder: Path, *, most_bytes: int, step: Callable[[], None] | None = None) -> None:
    """Extract the files of a zip archive.

    Args:
        archive: The zip file.
        folder: Where to write.
        most_bytes: Maximum size of all files together.
        step: Called before each file; what it raises passes through.

    Raises:
        UnsafeArchiveError: Before anything is written, if the archive cannot be read, is too large, or contains a path
            that leaves `folder`, a link, an encrypted file or a name twice; while writing, if content does not match
            its checksum.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            entries = [(entry, _safe_path(entry)) for entry in zipped.infolist() if not entry.is_dir()]
            entries = [(entry, path) for entry, path in entries if not _CLUTTER & set(path.parts)]
            _refuse_excess(entries, most_bytes, shutil.disk_usage(folder).free)
            for entry, path in entries:
                if step:
                    step()
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                # zipfile stops at the size that the entry declares, which the sum above has bounded.
                with zipped.open(entry) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file, _CHUNK)
    except NotImplementedError as error:
        raise UnsafeArchiveError(
            f"The archive is compressed in a way that cannot be unpacked here ({error}): unpack it, or pack it again "
            "with the usual method (Deflate)."
        ) from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system, not of bzip2
        raise UnsafeArchiveError(f"The archive is damaged and cannot be unpacked ({error}).") from error


def _safe_path(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Return the entry's path, relative and free of anything that could lead out of the folder."""
    name = entry.orig_filename
    path = PurePosixPath(name)
    odd = not path.parts or path.is_absolute() or ".." in path.parts or any(c in name for c in "\\:\0")
    if odd:
        raise UnsafeArchiveError(f"The archive is not safe to unpack: the path {name!r} leaves its folder.")
    mode = entry.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnsafeArchiveError(f"The archive is not safe to unpack: {name!r} is a link or a device.")
    if entry.flag_bits & 0x1:
        raise UnsafeArchiveError(f"The archive cannot be unpacked: {name!r} is encrypted.")
    return path


def _refuse_excess(entries: list[tuple[zipfile.ZipInfo, PurePosixPath]], most_bytes: int, free: int) -> None:
    total = sum(entry.file_size for entry, _ in entries)
    if len(entries) > _MOST_FILES or total > most_bytes:
        raise UnsafeArchiveError(
            f"The archive is not safe to unpack: it would fill {total / 1e9:.1f} GB with {len(entries)} files."
        )
    if total > free:
        raise UnsafeArchiveError(
            f"Extraction needs {total / 1e9:.1f} GB of free disk space, and there are {free / 1e9:.1f} GB: "
            "free some disk space."
        )
    if len({str(path).casefold() for _, path in entries}) < len(entries):
        raise UnsafeArchiveError("The archive is not safe to unpack: it contains a name twice.")
