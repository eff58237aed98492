"""Find the image files of a folder, and the file that an entry of a list refers to."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fracture_core.data.fracatlas import DatasetError

#: What computers and programs put beside images.
_OTHER_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__"}
_OTHER_SUFFIXES = {".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".md", ".rst", ".log"}
_OTHER_SUFFIXES |= {".html", ".htm", ".css", ".js", ".py", ".ipynb", ".npy", ".npz", ".xlsx", ".xls", ".ods", ".cache"}
_OTHER_SUFFIXES |= {".db", ".ini", ".lnk", ".names", ".data", ".license"}
_OTHER_NAMES = {"license", "readme", "dicomdir"}


def image_files(root: Path) -> list[Path]:
    """Find every file below a folder that may be an image.

    Names decide only what is no image: DICOM files are called by their UIDs or have no suffix at all. Hidden files and
    what systems put there are left out, and so is what `left_out` counts.

    Args:
        root: The folder.

    Returns:
        The files, sorted by path.

    Raises:
        DatasetError: The folder cannot be read.
    """
    return [file for file in _every_file(root) if _is_text(file.relative_to(root))]


def left_out(root: Path) -> list[str]:
    """Say what may hold images of a folder and is left out: names that no table can hold, and links to folders.

    Args:
        root: The folder.

    Returns:
        Up to two sentences; none where all was looked at.

    Raises:
        DatasetError: The folder cannot be read.
    """
    return [*_misnamed(root), *_not_followed(root)]


def _misnamed(root: Path) -> list[str]:
    files = [file.relative_to(root) for file in _every_file(root) if not _is_text(file.relative_to(root))]
    if not files:
        return []
    first = os.fsencode(files[0]).decode(errors="backslashreplace")
    what = (
        "1 file has a name that is not UTF-8 and was"
        if len(files) == 1
        else (f"{len(files)} files have names that are not UTF-8 and were")
    )
    return [f"{what} left out ({first}): please rename."]


def _not_followed(root: Path) -> list[str]:
    links = [
        folder.relative_to(root) / name
        for folder, names, _ in _walk(root)
        for name in names
        if (folder / name).is_symlink()
    ]
    if not links:
        return []
    first = os.fsencode(min(links)).decode(errors="backslashreplace")
    what = "1 link to a folder was" if len(links) == 1 else f"{len(links)} links to folders were"
    return [f"{what} not followed ({first}): copy the images here if they belong to these."]


def _every_file(root: Path) -> list[Path]:
    files = (folder / name for folder, _, names in _walk(root) for name in names if _may_be_an_image(name))
    return sorted(file for file in files if file.is_file())


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder with the names of its folders and of its files, those left out that systems put there."""

    def refuse(error: OSError) -> None:
        if Path(error.filename or root) == root:
            raise DatasetError(f"The folder {root} cannot be read ({error.strerror}).") from error

    for name, folders, files in os.walk(root, onerror=refuse):
        folders[:] = [
            subfolder
            for subfolder in folders
            if not subfolder.startswith(".") and subfolder.casefold() not in _OTHER_FOLDERS
        ]
        yield Path(name), folders, files


def _may_be_an_image(name: str) -> bool:
    lower = name.casefold()
    return not (name.startswith(".") or lower in _OTHER_NAMES or Path(lower).suffix in _OTHER_SUFFIXES)


class FileFinder:
    """Finds the file that a list means below `root`, however the list writes its name.

    Lists are written on other computers: with other capitals, with accents composed or not, with folders that are not
    here, without the suffix, with ".0" behind a number.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._by_tail: dict[str, list[Path]] | None = None

    def find(self, text: str) -> Path | None:
        """Find the file that a text in a csv names.

        Args:
            text: A path or the end of one, with either slash.

        Returns:
            The file; None if there is none or several match.
        """
        name = text.strip().replace("\\", "/")
        exact = self.root / name
        # The name may be too long for a file, or contain a zero byte.
        with suppress(OSError, ValueError):
            if name and _is_text(name) and exact.is_file() and exact.resolve().is_relative_to(self.root):
                return exact.resolve()
        parts = [part for part in same_name(name).split("/") if part not in ("", ".")]
        if ".." in parts or not parts or name.startswith("/") or re.match(r"[a-zA-Z]:", name):
            return None
        if self._by_tail is None:
            self._by_tail = self._index()
        for tail in _tails(parts):
            if matches := self._by_tail.get(tail):
                return matches[0] if len(matches) == 1 else None
        return None

    def _index(self) -> dict[str, list[Path]]:
        by_tail = defaultdict(list)
        for file in image_files(self.root):
            relative = [same_name(part) for part in file.relative_to(self.root).parts]
            stem = relative[-1].rpartition(".")[0]
            for tail in {*_ends(relative), *_ends([*relative[:-1], stem]), *_ends([*relative[:-1], _number(stem)])}:
                by_tail[tail].append(file)
        return by_tail


def _tails(parts: list[str]) -> list[str]:
    """Return what to look for, the longest path first; last a number without a spreadsheet's ".0" and leading zeros."""
    without = re.sub(r"\.0+$", "", parts[-1])
    names = dict.fromkeys((parts[-1], without, _number(without)))
    return [tail for name in names for tail in _ends([*parts[:-1], name])]


def _number(name: str) -> str:
    """Return a key for a name that is a number, the same with leading zeros or without; "" for any other name."""
    return f"number:{int(name)}" if re.fullmatch(r"[0-9]{1,40}", name) else ""


def _is_text(name: str | Path) -> bool:
    """Tell whether a name is text: file systems take any bytes, which Python keeps as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in str(name))


def _ends(parts: list[str]) -> list[str]:
    """Return every end of a path, the longest first; none for a file without a name."""
    return ["/".join(parts[start:]) for start in range(len(parts))] if parts[-1] else []


def same_name(name: str) -> str:
    """Normalise a file's name, so that it is the same however another computer writes its capitals and accents.

    Args:
        name: The name, or a path.

    Returns:
        A key for comparison.
    """
    return unicodedata.normalize("NFC", name).casefold()
