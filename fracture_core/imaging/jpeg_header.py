"""Read the header of a JPEG or JPEG-LS stream, and where damage in it shows.

Markers and segments are those of ITU-T T.81 (JPEG) and T.87 (JPEG-LS), annex B of the first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from fracture_core.imaging.exif import exif_orientation, xmp_orientation
from fracture_core.imaging.jpeg_markers import MARKERS, MARKERS_LS, RestartFinder, code_table, find_marker
from fracture_core.imaging.limits import UnreadableRadiograph

#: Most segments that a header is walked through; colour profiles and passes need some hundreds.
_MAX_SEGMENTS = 5_000
#: Most stretches of damage that are told apart; a stream of noise has some hundred in a megabyte.
_MAX_FLAWS = 5_000

END_OF_IMAGE = b"\xff\xd9"
_END, _START_OF_SCAN, _EXIF, _ADOBE, _JFIF, _RESTARTS, _JPEG_LS = 0xD9, 0xDA, 0xE1, 0xEE, 0xE0, 0xDD, 0xF7
#: Markers without a segment: start of image, TEM.
_BARE = {0xD8, 0x01}
#: Frame headers SOF0 to SOF15, less DHT, JPG and DAC, which share the range; and that of JPEG-LS.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {_JPEG_LS}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF, _JPEG_LS}
#: Markers that may follow the coded data of a pass; every other one within it is damage.
_FOLLOWING = code_table({0xC4, 0xCC, *range(0xD9, 0xE0), *range(0xE0, 0xF0), 0xFE, *_FRAMES})
_XMP = b"http://ns.adobe.com/xap/1.0/\0"

NOT_JPEG = "The file is damaged: it starts like a JPEG but contains no image."


@dataclass(frozen=True)
class JpegHeader:
    """What a JPEG stream says before its pixels.

    Attributes:
        precision: Bits per sample.
        frame: Low byte of the frame header's marker.
        block_height: Rows (pixels) of one coded row of blocks.
        orientation: 1 to 8, from EXIF or else XMP.
        end: Offset (bytes) at which the coded data stop.
        complete: Whether every pass over the first component is there (false only for progressive files).
        transform: What the Adobe segment says of colour: 0 none (RGB or CMYK), 1 YCbCr, 2 YCCK; None if absent.
        jfif: Whether there is a JFIF segment, which means YCbCr.
        identifiers: Of the components.
        pixel_shape: Height of a pixel by its width, as JFIF has it; 1.0 where it does not say.
        restarts: Units of blocks from one restart to the next; 0 without restarts.
        flaws: Offsets of markers within coded data that cannot be there.
        subsampled: Whether components differ in size.
    """

    width: int
    height: int
    components: int
    precision: int
    frame: int
    block_height: int
    orientation: int
    scans: int
    end: int
    complete: bool
    transform: int | None
    jfif: bool
    identifiers: bytes
    pixel_shape: float
    restarts: int
    flaws: tuple[int, ...]
    subsampled: bool

    @property
    def progressive(self) -> bool:
        """Whether the image comes in several passes, from coarse to fine."""
        return self.frame in _PROGRESSIVE

    @property
    def lossless(self) -> bool:
        """Whether values are predicted from their neighbours, and not transformed in blocks."""
        return self.frame in _LOSSLESS

    @property
    def jpeg_ls(self) -> bool:
        """Whether the stream is JPEG-LS."""
        return self.frame == _JPEG_LS

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and samples."""
        return self.height, self.width, self.components

    @property
    def says_rgb(self) -> bool:
        """Whether the stream says that its three components are red, green and blue, as decoders take it to say."""
        if self.components != 3 or self.jfif:
            return False
        return self.transform == 0 or (self.transform is None and self.identifiers == b"RGB")


class _Notes:
    """What the segments of a header have told so far."""

    def __init__(self, data: bytes) -> None:
        self.restart_markers = RestartFinder(data)
        self.frame: tuple[int, bytes] | None = None
        self.orientation: int | None = None
        self.xmp_orientation = 1
        self.transform: int | None = None
        self.jfif = False
        self.pixel_shape = 1.0
        self.restarts = 0
        self.scans = self.end = 0
        self.flaws: list[int] = []
        self.passes = np.full(64, 255, np.uint8)

    def segment(self, code: int, body: bytes) -> None:
        """Note what a segment other than a scan header tells."""
        if code in _FRAMES and self.frame is None:
            self.frame = (code, body)
        elif code == _EXIF and body.startswith(b"Exif\0\0") and self.orientation is None:
            self.orientation = exif_orientation(body)
        elif code == _EXIF and body.startswith(_XMP):
            self.xmp_orientation = xmp_orientation(body[len(_XMP) :])
        elif code == _ADOBE and body.startswith(b"Adobe") and len(body) >= 12:
            self.transform = body[11]
        elif code == _JFIF and body.startswith(b"JFIF\0") and len(body) >= 12:
            self.jfif = True
            across, down = struct.unpack_from(">HH", body, 8)
            self.pixel_shape = across / down if across and down else 1.0
        elif code == _RESTARTS and len(body) >= 2:
            self.restarts = int.from_bytes(body[:2], "big")

    def scan(self, body: bytes) -> None:
        """Note a pass: how many low bits of each coefficient of the first component are still to come."""
        self.scans += 1
        frame = self.frame[1] if self.frame else b""
        count = body[0] if body else 0
        if len(frame) < 9 or len(body) < 4 + 2 * count or frame[6] not in body[1 : 1 + 2 * count : 2]:
            return
        first, last, bits = body[1 + 2 * count : 4 + 2 * count]
        self.passes[first : last + 1] = np.minimum(self.passes[first : last + 1], bits & 15)


def is_jpeg_ls(data: bytes) -> bool:
    """Return whether a stream that starts like a JPEG is JPEG-LS, by its first frame header.

    Args:
        data: The stream.

    Returns:
        Whether it is.
    """
    position = 2
    for _ in range(_MAX_SEGMENTS):
        marker = find_marker(data, MARKERS, position)
        if marker is None:
            return False
        code, start = data[marker + 1], marker + 2
        if code in _FRAMES or code in (_START_OF_SCAN, _END):
            return code == _JPEG_LS
        position = start if code in _BARE else start + max(int.from_bytes(data[start : start + 2], "big"), 2)
    return False


def read_header(data: bytes) -> JpegHeader:
    """Read the segments of a JPEG or JPEG-LS stream.

    Args:
        data: The stream.

    Returns:
        The header.

    Raises:
        UnreadableRadiograph: They contain no image.
    """
    position, segments, notes = 2, 0, _Notes(data)
    while (marker := find_marker(data, MARKERS, position)) is not None and data[marker + 1] != _END:
        segments += 1
        if segments > _MAX_SEGMENTS:
            raise UnreadableRadiograph("The JPEG image is damaged: it has too many segments.")
        code, start = data[marker + 1], marker + 2
        if code in _BARE:
            position = start
            continue
        body = data[start + 2 : start + max(int.from_bytes(data[start : start + 2], "big"), 2)]
        position = start + 2 + len(body)
        if code == _START_OF_SCAN and notes.frame is not None:
            notes.scan(body)
            position = notes.end = _scan_end(data, position, notes)
        else:
            notes.segment(code, body)
    return _header(notes)


def _header(notes: _Notes) -> JpegHeader:
    if notes.frame is None or len(notes.frame[1]) < 9 or not notes.scans:
        raise UnreadableRadiograph(NOT_JPEG)
    code, segment = notes.frame
    precision, height, width, components = struct.unpack_from(">BHHB", segment)
    sampling = [value & 15 for value in segment[7::3][:components]]
    # A single component is coded in blocks of 8 rows whatever its sampling says (T.81, A.2.2); lossless in rows.
    block = (1 if code in _LOSSLESS else 8) * (max([1, *sampling]) if components > 1 else 1)
    return JpegHeader(
        width=width,
        height=height,
        components=components,
        precision=precision,
        frame=code,
        block_height=block,
        orientation=notes.xmp_orientation if notes.orientation is None else notes.orientation,
        scans=notes.scans,
        end=notes.end,
        complete=code not in _PROGRESSIVE or not notes.passes.any(),
        transform=notes.transform,
        jfif=notes.jfif,
        identifiers=segment[6::3][:components],
        pixel_shape=notes.pixel_shape,
        restarts=notes.restarts,
        flaws=tuple(notes.flaws),
        subsampled=len(set(segment[7::3][:components])) > 1,
    )


def _scan_end(data: bytes, start: int, notes: _Notes) -> int:
    """Return where coded data end, and note where damage in them starts.

    After a marker that cannot be there a decoder goes on at the next restart, so the data do as well; without
    restarts they end.
    """
    if notes.frame and notes.frame[0] == _JPEG_LS:
        marker = find_marker(data, MARKERS_LS, start)
        return len(data) if marker is None else marker
    while (marker := find_marker(data, MARKERS, start)) is not None:
        restart = notes.restart_markers.after(marker + 2) if notes.restarts else None
        if restart is None or _FOLLOWING[data[marker + 1]]:
            return marker
        notes.flaws.append(marker)
        if len(notes.flaws) > _MAX_FLAWS:
            raise UnreadableRadiograph("The JPEG image is damaged in too many places to be read.")
        if (following := find_marker(data, _FOLLOWING, marker + 2, restart)) is not None:
            return following
        start = restart
    return len(data)
