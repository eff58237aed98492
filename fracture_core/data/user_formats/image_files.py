"""Find the image files of a folder, and the file that an entry of a list refers to."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
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
    what systems put there are left out, and files whose names are not text: see `misnamed`.

    Args:
        root: The folder.

    Returns:
        The files, sorted by path.

    Raises:
        DatasetError: The folder cannot be read.
    """
    return [file for file in _every_file(root) if _is_text(file.relative_to(root))]


def misnamed(root: Path) -> list[str]:
    """Say which files of a folder are left out for their names, which no table can hold.

    Args:
        root: The folder.

    Returns:
        One sentence; none where every name is text.

    Raises:
        DatasetError: The folder cannot be read.
    """
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


def _every_file(root: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        if Path(error.filename or root) == root:
            raise DatasetError(f"The folder {root} cannot be read ({error.strerror}).") from error

    paths = []
    for name, folders, files in os.walk(root, onerror=refuse):
        folders[:] = [
            subfolder
            for subfolder in folders
            if not subfolder.startswith(".") and subfolder.casefold() not in _OTHER_FOLDERS
        ]
        folder = Path(name)
        paths += [folder / file for file in files if _may_be_an_image(file) and (folder / file).is_file()]
    return sorted(paths)


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
