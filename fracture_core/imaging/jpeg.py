"""JPEG: the header without the pixels, the pixels as grey, and how much of a cut-short file is missing.

Decoders fill what a cut-short file lacks with grey and say nothing. To find the end of the real picture, the
compressed stream is decoded a second time with noise where it stops: from the first row that differs, the decoder
had run out of data. Nothing global is switched (Pillow's LOAD_TRUNCATED_IMAGES would be), so threads do not meet.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass

import imagecodecs
import numpy as np
from PIL import JpegImagePlugin

from fracture_core.imaging.exif import exif_orientation, turned
from fracture_core.imaging.greyscale import COLOUR_WARNING, flatten, is_colour, window_integers
from fracture_core.imaging.limits import DecodedImage, UnreadableRadiograph, check_size, percent, size_warnings

#: A progressive file repeats its passes over the whole picture; passes x pixels beyond this would take seconds.
MAX_SCANNED_PIXELS = 400_000_000
#: Most segments that a header is walked through; a passport of colour profiles and passes needs some hundreds.
_MAX_SEGMENTS = 5_000

_END_OF_IMAGE, _START_OF_SCAN, _EXIF = 0xD9, 0xDA, 0xE1
#: Markers without a segment: start of image, TEM.
_BARE = {0xD8, 0x01}
#: Frame headers SOF0 to SOF15, less DHT, JPG and DAC, which share the range.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
#: What ends entropy-coded data: a marker that is no stuffed zero, restart (D0..D7) or fill byte (ITU-T T.81, B.1.1).
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_PADDING = re.compile(rb"[\x00\xff]{8,}\Z")
_NOISE = bytes(np.random.default_rng(0).integers(1, 255, 512, dtype=np.uint8))

NOT_JPEG = "The file is damaged: it begins like a JPEG picture, but no picture can be found in it."
DAMAGED = "The JPEG picture is damaged and cannot be decoded."


@dataclass(frozen=True)
class JpegHeader:
    """What a JPEG says before its pixels.

    `block_height`: rows (pixels) of one coded row of blocks. `end`: offset (bytes) at which the compressed data
    stop. `complete`: whether every pass over the first component is there (false only for progressive files).
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

    @property
    def progressive(self) -> bool:
        """Whether the picture comes in several passes, from coarse to fine."""
        return self.frame in _PROGRESSIVE


def read_header(data: bytes) -> JpegHeader:
    """Walk the segments of a JPEG file; raise UnreadableRadiograph where they hold no picture."""
    position, orientation, scans, end, segments = 2, 1, 0, 0, 0
    frame: tuple[int, bytes] | None = None
    passes = np.full(64, 255, np.uint8)
    while (marker := _next_marker(data, position)) is not None and marker[0] != _END_OF_IMAGE:
        segments += 1
        if segments > _MAX_SEGMENTS:
            raise UnreadableRadiograph("The JPEG picture is damaged: it is in too many pieces.")
        code, start = marker
        if code in _BARE:
            position = start
            continue
        segment = data[start + 2 : start + max(_length(data, start), 2)]
        position = start + 2 + len(segment)
        if code in _FRAMES and frame is None:
            frame = (code, segment)
        elif code == _EXIF and segment.startswith(b"Exif\0\0"):
            orientation = exif_orientation(segment)
        elif code == _START_OF_SCAN and frame is not None:
            scans += 1
            _note_pass(frame[1], segment, passes)
            found = _MARKER.search(data, position)
            position = end = found.start() if found else len(data)
    if frame is None or len(frame[1]) < 9 or not scans:
        raise UnreadableRadiograph(NOT_JPEG)
    code, segment = frame
    precision, height, width, components = struct.unpack_from(">BHHB", segment)
    sampling = [value & 15 for value in segment[7::3][:components]]
    complete = code not in _PROGRESSIVE or not passes.any()
    # A single component is coded in blocks of 8 rows whatever its sampling says (T.81, A.2.2).
    block_height = 8 * (max([1, *sampling]) if components > 1 else 1)
    return JpegHeader(width, height, components, precision, code, block_height, orientation, scans, end, complete)


def _next_marker(data: bytes, position: int) -> tuple[int, int] | None:
    """(code, offset of the segment's length) of the next marker."""
    found = _MARKER.search(data, position)
    return (data[found.start() + 1], found.end()) if found else None


def _length(data: bytes, start: int) -> int:
    return int.from_bytes(data[start : start + 2], "big")


def _note_pass(frame: bytes, scan: bytes, passes: np.ndarray) -> None:
    """Note in `passes` (64 coefficients) how many low bits of the first component are still to come."""
    count = scan[0] if scan else 0
    if len(frame) < 9 or len(scan) < 4 + 2 * count or frame[6] not in scan[1 : 1 + 2 * count : 2]:
        return
    first, last, bits = scan[1 + 2 * count : 4 + 2 * count]
    passes[first : last + 1] = np.minimum(passes[first : last + 1], bits & 15)


def read_jpeg(data: bytes, *, accept_cut_short: bool = False) -> DecodedImage:
    """Decode a JPEG file to grey.

    A cut-short file raises UnreadableRadiograph; with `accept_cut_short` it is read, its missing rows black (air),
    with a warning that says how much is missing.
    """
    header = read_header(data)
    _check(header)
    grey, warnings = _decode(data, header)
    missing = _missing_rows(data, header, grey)
    if missing == header.height:
        raise UnreadableRadiograph("The file is cut short: nothing of the picture is in it.")
    if missing or not header.complete:
        sentence = _cut_short_sentence(missing / header.height)
        if not accept_cut_short:
            raise UnreadableRadiograph(f"{sentence} Please export or send it again.")
        grey[header.height - missing :] = 0
        warnings = (sentence, *warnings)
    share = _share(missing, header)
    return DecodedImage(turned(grey, header.orientation), size_warnings(*grey.shape[::-1]) + warnings, share)


def missing_share(data: bytes) -> float:
    """Share of a JPEG picture's rows, counted from the bottom as stored, that the file does not hold.

    0.0 when whole, whatever follows the picture's end. A progressive file that lacks only fine detail gives the
    share of one row. Raises UnreadableRadiograph where there is no JPEG picture to speak of.
    """
    header = read_header(data)
    _check(header)
    grey, _ = _decode(data, header, look_for_colour=False)
    return _share(_missing_rows(data, header, grey), header)


def _check(header: JpegHeader) -> None:
    # A progressive decoder keeps every coefficient (2 bytes) beside the picture; ink passes through RGB.
    bytes_a_sample = 3 if header.progressive else 2 if header.components == 4 else 1
    check_size(header.width, header.height, header.components * bytes_a_sample)
    if header.scans * header.width * header.height > MAX_SCANNED_PIXELS:
        raise UnreadableRadiograph(
            f"The JPEG picture has {header.scans} passes over {header.width:,} x {header.height:,} pixels, too many to "
            "be read. Please export it again as an ordinary (baseline) JPEG."
        )


def _share(missing: int, header: JpegHeader) -> float:
    rows = missing or (0 if header.complete else 1)
    return rows / header.height


def _cut_short_sentence(share: float) -> str:
    if share:
        return f"The file is cut short: {percent(share)} of the picture is missing at the bottom."
    return "The file is cut short: the whole picture is there, but without its fine detail."


def _decode(data: bytes, header: JpegHeader, *, look_for_colour: bool = True) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode to grey uint8 (H, W), as stored, writable; and warnings."""
    if header.components == 4:
        return flatten(_decode_cmyk(data))
    stored = _decode_grey(data)
    if stored.shape != (header.height, header.width):
        raise UnreadableRadiograph(DAMAGED)
    if stored.dtype != np.uint8:
        return window_integers(stored)
    colour = look_for_colour and header.components == 3 and _shows_colour(data, header)
    return stored, ((COLOUR_WARNING,) if colour else ())


def _decode_grey(data: bytes) -> np.ndarray:
    try:
        # YCbCr carries its own grey: the colour channels are not even transformed.
        return imagecodecs.jpeg8_decode(data, outcolorspace="gray")
    except Exception as error:  # whatever the decoder trips over, the reader is told one thing
        raise UnreadableRadiograph(DAMAGED) from error


def _decode_cmyk(data: bytes) -> np.ndarray:
    """Decode ink to RGB, uint8 (H, W, 3); Pillow knows Adobe's inverted inks."""
    try:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(data + b"\xff\xd9")) as image:
            return np.array(image.convert("RGB"))
    except Exception as error:
        raise UnreadableRadiograph(DAMAGED) from error


def _shows_colour(data: bytes, header: JpegHeader) -> bool:
    """Look at the picture an eighth its size, which needs no inverse transform."""
    try:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
            image.draft("RGB", (max(header.width // 8, 1), max(header.height // 8, 1)))
            return image.mode == "RGB" and is_colour(np.asarray(image))
    except Exception:  # a damaged end: what is missing is said elsewhere
        return False


def _missing_rows(data: bytes, header: JpegHeader, grey: np.ndarray) -> int:
    """Count the rows, from the bottom, for which the decoder had no data."""
    ends_well = data[header.end : header.end + 2] == b"\xff\xd9"
    if not header.progressive and header.components < 4 and ends_well:
        # Out of data, the decoder leaves blocks of mid-grey: a last block of anything else was really there.
        middle = 128 if header.precision == 8 else None
        last = grey[(header.height - 1) // 8 * 8 :, (header.width - 1) // 8 * 8 :]
        if middle is not None and (last != middle).any():
            return 0
    stream = data[: header.end]
    if not ends_well and (padding := _PADDING.search(stream)):
        stream = stream[: padding.start()]
    stream = stream.rstrip(b"\xff")
    if header.components == 4:
        ends = [_decode_cmyk(stream + tail)[:, :, 0] for tail in (b"", _NOISE)]
    else:
        ends = [_decode_grey(stream + tail + b"\xff\xd9") for tail in (b"", _NOISE)]
    different = np.flatnonzero((ends[0] != ends[1]).any(axis=1))
    if not different.size:
        return 0
    # Smoothing between blocks may reach one row up; the coded row of blocks in which data ended is not whole.
    first = (int(different[0]) + 1) // header.block_height * header.block_height
    return header.height - first
