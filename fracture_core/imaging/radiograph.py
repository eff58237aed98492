"""Any file a clinician has, to one `Radiograph`, or `UnreadableRadiograph` with a plain reason."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fracture_core.imaging.jpeg import read_jpeg
from fracture_core.imaging.limits import MAX_BYTES, DecodedImage, UnreadableRadiograph
from fracture_core.imaging.raster import read_raster

if TYPE_CHECKING:
    from fracture_core.imaging.dicom import DicomHeader

__all__ = ["Radiograph", "UnreadableRadiograph", "read_radiograph"]

#: Longest display name, in characters.
MAX_NAME = 80
#: Length of the longest signature that tells what a file is, in bytes.
_HEAD = 1024

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
)
#: What people upload by mistake -> what it is called.
_OTHERS = (
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"PK\x03\x04|PK\x05\x06|Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd"), "an archive"),
    (re.compile(rb"GIF8[79]a"), "a GIF picture"),
    (re.compile(rb"....ftyp(heic|heix|mif1|avif|hevc)", re.DOTALL), "a HEIC or AVIF picture"),
    (re.compile(rb"....ftyp", re.DOTALL), "a video"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "a bare JPEG 2000 picture"),
    (re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg|<svg)", re.DOTALL | re.I), "an SVG drawing"),
    (re.compile(rb"\s*(<!doctype html|<html|<head|<body|<script)", re.I), "a web page"),
    (re.compile(rb"\x7fELF|MZ|#!"), "a program"),
    (re.compile(rb"\{\\rtf|\xd0\xcf\x11\xe0"), "an office document"),
)
_KINDS = "JPEG, PNG, TIFF, BMP, WebP and DICOM"


@dataclass(frozen=True, eq=False)
class Radiograph:
    """A radiograph, whatever the file was.

    `pixels`: uint8 (H, W), 0 black (air) to 255 white (bone), upright as displayed, C-contiguous, read-only.
    `name`: for display only, no path. `sha256`: hex, of the file's bytes. `format`: "JPEG", "PNG", "TIFF", "BMP",
    "WebP" or "DICOM". `warnings`: sentences. `missing`: share of the rows, from the bottom as stored, that the file
    lacks; they are black. `header`: what a DICOM header says, patients' identifiers left out; else None. `length`: of
    the file, in bytes.
    """

    pixels: np.ndarray
    name: str
    sha256: str
    format: str
    warnings: tuple[str, ...] = ()
    missing: float = 0.0
    header: DicomHeader | None = None
    length: int = 0


def read_radiograph(
    source: str | os.PathLike | bytes,
    *,
    name: str | None = None,
    accept_cut_short: bool = False,
    frame: int = 0,
    window: int = 0,
) -> Radiograph:
    """Read a radiograph from a path or from a file's bytes.

    What a file is, its content says, not its name. A cut-short JPEG is refused unless `accept_cut_short`. `frame` and
    `window` choose, from 0, within a DICOM file. Raises UnreadableRadiograph, and nothing else, for a file that
    cannot be read.

    Example:
        >>> radiograph = read_radiograph("wrist.jpg")
        >>> radiograph.pixels.shape, radiograph.format
        ((454, 373), 'JPEG')
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        _check_length(len(source))
        data = bytes(source)
    else:
        data = _read_file(source)
        name = name if name is not None else os.fspath(source)
    kind = _kind(data)
    header = None
    if kind == "DICOM":
        # pydicom takes a while to import, and most files never need it.
        from fracture_core.imaging.dicom import read_dicom

        picture, header = read_dicom(data, frame=frame, window=window)
    elif kind == "JPEG":
        picture = read_jpeg(data, accept_cut_short=accept_cut_short)
    else:
        picture = read_raster(data, kind)
    pixels, warnings = _finished(picture)
    digest = hashlib.sha256(data).hexdigest()
    return Radiograph(pixels, display_name(name), digest, kind, warnings, picture.missing, header, len(data))


def _finished(picture: DecodedImage) -> tuple[np.ndarray, tuple[str, ...]]:
    """Hold a picture to the contract; add the warning that a blank one deserves."""
    pixels = np.ascontiguousarray(picture.pixels)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 2
    pixels.flags.writeable = False
    if pixels[0, 0] == pixels[-1, -1] and pixels.min() == pixels.max():
        return pixels, (*picture.warnings, "The picture is blank: every pixel has the same grey.")
    return pixels, picture.warnings


def _check_length(length: int) -> None:
    if length > MAX_BYTES:
        raise UnreadableRadiograph(
            f"The file has {length / 2**20:,.0f} MB; at most {MAX_BYTES // 2**20} MB can be read here."
        )


def _read_file(path: str | os.PathLike) -> bytes:
    """Read an ordinary file of bounded length; a device or a pipe would never end."""
    shown = display_name(os.fsdecode(path))
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
            raise UnreadableRadiograph(f"{shown} is {what}, not a radiograph.")
        _check_length(status.st_size)
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise UnreadableRadiograph(f"There is no file {shown}.") from error
    except PermissionError as error:
        raise UnreadableRadiograph(f"The file {shown} may not be read: permission is denied.") from error
    except (OSError, ValueError) as error:
        raise UnreadableRadiograph(f"The file {shown} cannot be read.") from error
    _check_length(len(data))
    return data


def _kind(data: bytes) -> str:
    """Name the format by content; raise UnreadableRadiograph, saying what the file is instead where that shows."""
    if not data:
        raise UnreadableRadiograph("The file is empty.")
    # First of all: a DICOM file's preamble may hold another format's signature.
    if _is_dicom(data):
        return "DICOM"
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    for pattern, what in _OTHERS:
        if pattern.match(data[:_HEAD]):
            raise UnreadableRadiograph(f"This is {what}, not a radiograph. {_KINDS} files can be read.")
    raise UnreadableRadiograph(f"This is no picture that can be read here. {_KINDS} files can be read.")


def _is_dicom(data: bytes) -> bool:
    if data[128:132] != b"DICM" and data[:2] not in (b"\x02\0", b"\x08\0"):
        return False
    from fracture_core.imaging.dicom_dataset import is_dicom

    return is_dicom(data)


def display_name(name: str | os.PathLike | None) -> str:
    """A file's name as it may be shown: no path, no control or invisible characters, at most MAX_NAME characters."""
    base = re.split(r"[/\\]", os.fsdecode(name or ""))[-1]
    # Category C: control, format (right-to-left overrides), surrogates, unassigned. Z: line and paragraph breaks.
    kept = "".join(c if unicodedata.category(c) not in ("Zl", "Zp") else " " for c in base)
    kept = " ".join("".join(c for c in kept if unicodedata.category(c)[0] != "C").split()).strip(". ")
    if len(kept) > MAX_NAME:
        stem, dot, suffix = kept.rpartition(".")
        tail = dot + suffix if stem and len(suffix) <= 8 else ""
        kept = kept[: MAX_NAME - len(tail) - 1] + "…" + tail
    return kept or "radiograph"
