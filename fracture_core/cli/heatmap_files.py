"""Write heatmaps to files whose names never collide.

An overlay is named after its radiograph, `<stem>.png`. If that name would fit two radiographs, or exists already and is
not an earlier overlay of the same radiograph, the start of the file's SHA-256 is appended to the stem.
"""

from __future__ import annotations

import os
import struct
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fracture_core.errors import FractureCoreError
from fracture_core.explain.overlay import DrawingError, overlay, to_png, with_marks
from fracture_core.files import atomic_write, write_bytes

if TYPE_CHECKING:
    from fracture_core.inference.predictor import Finding

#: Endings that say what a file is. Anything else after a dot belongs to the name: DICOM files are called by their UIDs.
_SUFFIXES = frozenset(
    (
        *("jpg", "jpeg", "jpe", "jfif", "jif", "png", "tif", "tiff", "btf", "bmp", "dib", "webp"),
        *("dcm", "dicom", "dic", "ima", "img", "jls", "jp2", "j2k", "jxl", "heic", "heif", "avif"),
    )
)
#: Longest stem in bytes; file systems take names of 143 (encrypted ones) to 255 bytes, temporary ones included.
_LONGEST = 100
_PNG_HEAD = 33  # bytes: the signature and IHDR
_SOURCE = b"Source SHA-256\0"


class HeatmapFiles:
    """The overlays (.png) and evidence (.npy) of a batch of files in one folder.

    Args:
        folder: Where they are written; created with the first.
        files: Every path of the batch, as the user gave it.
    """

    def __init__(self, folder: Path, files: Sequence[str | os.PathLike[str]]) -> None:
        self._folder = Path(folder)
        self._taken: dict[str, str] = {}
        sources = defaultdict(set)
        for file in files:
            sources[_same(stem_of(file))].add(os.path.realpath(file))
        self._ambiguous = {name for name, paths in sources.items() if len(paths) > 1}

    def write(self, finding: Finding, method: str, file: str | os.PathLike[str]) -> Path:
        """Write the overlay and the evidence, float32 (H, W), of one file.

        Args:
            finding: The finding.
            method: The heatmap method.
            file: The file's path, as the user gave it.

        Returns:
            The overlay's path.

        Raises:
            HeatmapError: The method does not fit the network.
            DrawingError: They cannot be written, or there is not enough memory to draw them.
        """
        try:
            evidence = finding.heatmap(method)
            path = self._path(finding, os.path.realpath(file), stem_of(file))
            drawn = overlay(finding.radiograph.pixels, evidence, finding.full_colour(method))
            image = to_png(with_marks(drawn, [(mark.box, mark.solid) for mark in finding.marks()]))
            # A full disk refuses the larger of the two first: then neither gets its name.
            with atomic_write(path.with_name(f"{path.name.removesuffix('.png')}.npy")) as temporary:
                np.save(temporary, evidence, allow_pickle=False)
                write_bytes(path, _with_source(image, finding.radiograph.sha256))
        except FractureCoreError:
            raise
        except OSError as error:
            # NumPy says of a full disk how many numbers it wrote, and no more.
            reason = error.strerror or "the disk may be full"
            raise DrawingError(f"The heatmap cannot be written to {self._folder} ({reason}).") from error
        except Exception as error:
            reason = "there is not enough memory" if isinstance(error, MemoryError) else type(error).__name__
            raise DrawingError(f"The heatmap cannot be drawn ({reason}).") from error
        return path

    def _path(self, finding: Finding, source: str, stem: str) -> Path:
        """Choose a name that no other file of the batch has, and that overwrites nothing but its own predecessor."""
        sha256 = finding.radiograph.sha256
        marked = f"{stem}-{sha256[:8]}"
        names = [] if _same(stem) in self._ambiguous else [stem]
        names += [marked, *(f"{marked}-{number}" for number in range(2, 10_000))]
        for name in names:
            if self._taken.get(_same(name), source) == source and self._free(name, sha256):
                self._taken[_same(name)] = source
                return self._folder / f"{name}.png"
        raise DrawingError(f"Every name for the heatmap of {stem} is taken in {self._folder}.")

    def _free(self, name: str, sha256: str) -> bool:
        image, evidence = (self._folder / f"{name}{suffix}" for suffix in (".png", ".npy"))
        if os.path.lexists(image):
            if not image.is_file():  # a folder, or a pipe, which never ends
                return False
            with image.open("rb") as file:
                return _with_source(file.read(_PNG_HEAD), sha256)[_PNG_HEAD:] == file.read(len(_source_chunk(sha256)))
        return not os.path.lexists(evidence)


def stem_of(file: str | os.PathLike[str]) -> str:
    """Return a file's name without its format suffix, shortened to what file systems accept.

    Args:
        file: The path.

    Returns:
        The stem.
    """
    name = Path(file).name
    stem, dot, suffix = name.rpartition(".")
    stem = stem if dot and stem and suffix.lower() in _SUFFIXES else name
    encoded = os.fsencode(stem)
    if len(encoded) <= _LONGEST:
        return stem
    # Cut between characters, not within one.
    return encoded[:_LONGEST].decode(errors="ignore").rstrip(". ") or "radiograph"


def _same(name: str) -> str:
    """Return what two names share that some file system takes for one name."""
    return unicodedata.normalize("NFC", name).casefold()


def _with_source(png: bytes, sha256: str) -> bytes:
    """Add a text chunk to a PNG that says which file it was drawn from."""
    return png[:_PNG_HEAD] + _source_chunk(sha256) + png[_PNG_HEAD:]


def _source_chunk(sha256: str) -> bytes:
    body = b"tEXt" + _SOURCE + sha256.encode("ascii")
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
