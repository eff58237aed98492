"""Read any file that a clinician may have into a `Radiograph`, or raise `UnreadableRadiograph` with the reason."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fracture_core.imaging.appearance.orientation import quarter_turns_to_upright
from fracture_core.imaging.appearance.screen_outline import Corners, screen_corners
from fracture_core.imaging.appearance.screen_photo import shows_moire
from fracture_core.imaging.file_kind import file_kind
from fracture_core.imaging.limits import MAX_BYTES, DecodedImage, UnreadableRadiograph

if TYPE_CHECKING:
    from fracture_core.imaging.dicom.header import DicomHeader

BLANK_WARNING = "The image is blank: next to all of it has the same value."

__all__ = ["Radiograph", "UnreadableRadiograph", "read_radiograph"]

#: Longest display name, in characters.
MAX_NAME = 80
#: Widest spread of grey levels, of 255, within which 99 % of a blank image lie; the flattest real radiographs have 100.
_BLANK_SPREAD = 8
#: Every n-th row and column of a large image is looked at: about this many along its longer side.
_BLANK_SAMPLES = 1024


@dataclass(frozen=True, eq=False)
class Radiograph:
    """A radiograph, whatever the file was.

    Attributes:
        pixels: uint8 (H, W), 0 black (air) to 255 white (bone), upright as displayed, C-contiguous, read-only.
        name: For display only, no path.
        sha256: Of the file's bytes, hexadecimal.
        format: "JPEG", "JPEG-LS", "PNG", "TIFF", "BMP", "WebP", "AVIF", "HEIC", "JPEG 2000", "JPEG XL" or
            "DICOM".
        warnings: Sentences about the file, for whoever reads the radiograph.
        missing: Share of the rows, 0 to 1, that the file lacks; they are black.
        header: What a DICOM header says, patients' identifiers left out; else None.
        length: Of the file, in bytes.
    """

    pixels: np.ndarray
    name: str
    sha256: str
    format: str
    warnings: tuple[str, ...] = ()
    missing: float = 0.0
    header: DicomHeader | None = None
    length: int = 0

    @cached_property
    def blank(self) -> bool:
        """Whether the image shows nothing: next to all of it has the same grey. Nothing can be said of it."""
        return is_blank(self.pixels)

    @cached_property
    def turns_to_upright(self) -> int:
        """Clockwise turns by 90 degrees that would probably set it upright: 1 or 3 if it lies on its side, else 0."""
        return 0 if self.blank else quarter_turns_to_upright(self.pixels)

    @cached_property
    def moire(self) -> bool:
        """Whether a fine pattern lies over it, as in a photo of a screen."""
        return shows_moire(self.pixels)

    @cached_property
    def screen_corners(self) -> Corners | None:
        """Corners of the screen or film that it is a photo of, taken at an angle; None where no outline is seen."""
        return screen_corners(self.pixels)


def read_radiograph(
    source: str | os.PathLike | bytes,
    *,
    name: str | None = None,
    accept_cut_short: bool = False,
    frame: int = 0,
    window: int = 0,
) -> Radiograph:
    """Read a radiograph from a path or from a file's bytes.

    Args:
        source: Path or bytes. What a file is, its content says, not its name.
        name: Shown in place of the path.
        accept_cut_short: Read a truncated or damaged file as far as it goes, its missing rows black.
        frame: Which frame of a DICOM file, from 0.
        window: Which of the windows and VOI LUTs that its header lists, from 0.

    Returns:
        The radiograph: pixels uint8 (H, W), 0 black to 255 white, upright, read-only.

    Raises:
        UnreadableRadiograph: The file cannot be read. Its `missing` says whether `accept_cut_short` would help.
        MemoryError: There is too little memory; nothing else is raised.

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
    sha256 = hashlib.sha256(data).hexdigest()
    return radiograph_of(data, name, sha256, accept_cut_short=accept_cut_short, frame=frame, window=window)


def radiograph_of(
    data: bytes, name: str | None, sha256: str, *, accept_cut_short: bool = False, frame: int = 0, window: int = 0
) -> Radiograph:
    """Decode a file's bytes whose hash is known; otherwise like `read_radiograph`.

    Args:
        data: The file.
        name: For display.
        sha256: Of the file, hexadecimal.
        accept_cut_short: Read a truncated or damaged file as far as it goes, its missing rows black.
        frame: Which frame of a DICOM file, from 0.
        window: Which of the windows and VOI LUTs that its header lists, from 0.

    Returns:
        The radiograph.

    Raises:
        UnreadableRadiograph: The file cannot be read.
        MemoryError: There is too little memory; nothing else is raised.
    """
    kind = file_kind(data)
    header = None
    if kind == "DICOM":
        # pydicom takes a while to import, and most files never need it.
        from fracture_core.imaging.dicom.reader import read_dicom

        image, header = read_dicom(data, frame=frame, window=window, accept_cut_short=accept_cut_short)
    else:
        image = _decoded(data, kind, accept_cut_short=accept_cut_short)
    pixels = np.ascontiguousarray(image.pixels)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 2
    pixels.flags.writeable = False
    return Radiograph(
        pixels=pixels,
        name=display_name(name),
        sha256=sha256,
        format=kind,
        warnings=(*image.warnings, BLANK_WARNING) if is_blank(pixels) else image.warnings,
        missing=image.missing,
        header=header,
        length=len(data),
    )


def _decoded(data: bytes, kind: str, *, accept_cut_short: bool) -> DecodedImage:
    # Each reader is imported at the first file of its kind: a command that reads one JPEG needs no other decoder.
    if kind in ("JPEG", "JPEG-LS"):
        from fracture_core.imaging.jpeg import read_jpeg

        return read_jpeg(data, accept_cut_short=accept_cut_short)
    if kind == "TIFF":
        return _decoded_tiff(data, accept_cut_short=accept_cut_short)
    if kind == "JPEG 2000":
        from fracture_core.imaging.bare_codestreams import read_jpeg_2000

        return read_jpeg_2000(data, accept_cut_short=accept_cut_short)
    if kind == "JPEG XL":
        from fracture_core.imaging.bare_codestreams import read_jpeg_xl

        return read_jpeg_xl(data)
    from fracture_core.imaging.raster.reader import read_raster

    return read_raster(data, kind, accept_cut_short=accept_cut_short)


def _decoded_tiff(data: bytes, *, accept_cut_short: bool) -> DecodedImage:
    from fracture_core.imaging.tiff.reader import read_tiff

    try:
        return read_tiff(data, accept_cut_short=accept_cut_short)
    except (ValueError, IndexError, TypeError, OverflowError, ArithmeticError, struct.error) as error:
        # Tags contradict each other in more ways than are listed.
        raise UnreadableRadiograph(
            "The TIFF image is damaged and cannot be decoded. Please export or send it again."
        ) from error


def is_blank(pixels: np.ndarray) -> bool:
    """Return whether an image shows nothing but noise of a few grey levels and a lone mark.

    Args:
        pixels: uint8 (H, W).

    Returns:
        Whether it does.
    """
    step = max(1, max(pixels.shape) // _BLANK_SAMPLES)
    # NumPy's bincount would first make each sample eight bytes.
    counts = cv2.calcHist([np.ascontiguousarray(pixels[::step, ::step])], [0], None, [256], [0, 256]).ravel()
    low, high = np.searchsorted(np.cumsum(counts) / counts.sum(), (0.005, 0.995))
    return bool(high - low <= _BLANK_SPREAD)


def _check_length(length: int) -> None:
    if length > MAX_BYTES:
        limit = MAX_BYTES // 2**20
        size = max(length / 2**20, limit + 0.1)  # a byte too many is no "64.0 MB; the limit is 64 MB"
        raise UnreadableRadiograph(f"The file is {size:,.1f} MB; the limit is {limit} MB.")


def _read_file(path: str | os.PathLike) -> bytes:
    """Read an ordinary file of bounded length; a device or a pipe would never end."""
    shown = display_name(os.fsdecode(path))
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
            if Path(path).name in ("", ".."):  # such as "."
                shown = display_name(Path(path).resolve())
            raise UnreadableRadiograph(f"{shown} is {what}, not a radiograph.")
        _check_length(status.st_size)
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise UnreadableRadiograph(f"There is no file {shown}.", lasting=False) from error
    except PermissionError as error:
        raise UnreadableRadiograph(f"The file {shown} may not be read: permission is denied.", lasting=False) from error
    except (OSError, ValueError) as error:
        raise UnreadableRadiograph(f"The file {shown} cannot be read.", lasting=False) from error
    _check_length(len(data))
    return data


def display_name(name: str | os.PathLike | None) -> str:
    """Return a file's name as it may be shown.

    Args:
        name: A name or path, possibly hostile.

    Returns:
        The name without path, control or invisible characters, at most MAX_NAME characters; "radiograph" if nothing is
        left.
    """
    base = re.split(r"[/\\]", os.fsdecode(name or ""))[-1]
    # Category C: control, format (right-to-left overrides), surrogates, unassigned. Z: line and paragraph breaks.
    shown = "".join(c if unicodedata.category(c) not in ("Zl", "Zp") else " " for c in base)
    shown = " ".join("".join(c for c in shown if unicodedata.category(c)[0] != "C").split()).strip(". ")
    if len(shown) > MAX_NAME:
        stem, dot, suffix = shown.rpartition(".")
        tail = dot + suffix if stem and len(suffix) <= 8 else ""
        shown = shown[: MAX_NAME - len(tail) - 1] + "…" + tail
    return shown or "radiograph"
