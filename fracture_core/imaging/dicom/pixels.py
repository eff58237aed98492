"""One frame of a DICOM file as it is stored, out of any transfer syntax that can be decoded.

Decoders: this package for native pixels and run lengths; imagecodecs (BSD licence) for JPEG in all its kinds, 12 bit
and lossless included, JPEG-LS, JPEG 2000, HTJ2K and JPEG XL. A compressed frame says its own size: it is compared with
the header's before it is decoded. Where the two disagree about what a sample is, the compressed frame is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import imagecodecs
import numpy as np

from fracture_core.imaging.bare_codestreams import MAX_COMPRESSED_PIXELS
from fracture_core.imaging.codestreams import decode_jpeg
from fracture_core.imaging.dicom.body import may_follow_pixels
from fracture_core.imaging.dicom.dataset import DicomFile
from fracture_core.imaging.dicom.encapsulation import compressed_frame
from fracture_core.imaging.dicom.native import Samples, deflated_samples, native_samples, rle_samples
from fracture_core.imaging.dicom.pixel_format import PixelFormat
from fracture_core.imaging.dicom.transfer_syntax import (
    DEFLATED_FRAME,
    JPEG,
    JPEG_2000,
    JPEG_XL,
    JPEG_XL_LOSSLESS,
    NATIVE,
    PIXELS_BIG_ENDIAN,
    RLE,
    own_syntax,
    syntax_name,
)
from fracture_core.imaging.jpeg_2000 import (
    decode_jpeg_2000,
    jpeg_2000_reversible,
    jpeg_2000_samples,
    jpeg_2000_shape,
    jpeg_2000_transforms,
)
from fracture_core.imaging.jpeg_header import read_header
from fracture_core.imaging.limits import UnreadableRadiograph, check_size

#: Of the header's range: how far lossy coding may have gone beyond it, in a file that was coded exactly since.
_OVERSHOOT = 1.125
#: What follows the last fragment of compressed pixel data (PS3.5, A.4).
_DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
_NO_HEADER = "The DICOM file is damaged: its compressed image has no header of its own."
_MORE_THAN_DESCRIBED = (
    "The DICOM file holds more pixel data than its header describes: the image may be incomplete or distorted."
)


@dataclass(frozen=True, eq=False)
class Frame:
    """A decoded frame.

    Attributes:
        values: Integers (H, W), or (H, W, 3) for colour; the sign extended.
        present: Which rows are in the file, bool (H,).
        damaged: Whether rows are lost because data are wrong.
        sound: False where rows that seem to be there may be wrong.
        bits: Of a sample, where a compressed frame has more than the header has room for; else 0.
        colour: "RGB" or "YBR_FULL" for three samples, as they are now; "" for one.
        warnings: Sentences.
        coarse: Whether the rows that are there lack fine detail, which came last in the file.
    """

    values: np.ndarray
    present: np.ndarray
    damaged: bool = False
    sound: bool = True
    bits: int = 0
    colour: str = ""
    warnings: tuple[str, ...] = field(default=())
    coarse: bool = False


def stored_frame(file: DicomFile, form: PixelFormat, frame: int, frames: int) -> Frame:
    """Decode one frame.

    Args:
        file: With pixel data.
        form: What its header says of them.
        frame: Which, from 0.
        frames: How many the header says there are.

    Returns:
        Its stored values, and which rows of it are present.

    Raises:
        UnreadableRadiograph: The syntax cannot be decoded (it is named), or the data contradict the header.
        Exception: Whatever the decoders raise for damage.
    """
    assert file.pixels is not None
    if file.pixels.real:
        raise UnreadableRadiograph("DICOM images of floating-point pixels are not supported: they are no radiographs.")
    syntax = file.syntax
    if file.pixels.length is None:
        data = compressed_frame(file.pixels.data, frame, frames)
        syntax = own_syntax(data, syntax)
    elif syntax in NATIVE or not _is_compressed(file.pixels.data):
        check_size(form.columns, form.rows, form.samples * -(-form.allocated // 8))
        return _native(file, form, frame, frames)
    else:
        data = file.pixels.data
    if not data:
        raise UnreadableRadiograph("The file is truncated: it contains no image data.")
    check_size(form.columns, form.rows, form.samples * -(-form.allocated // 8), max_pixels=MAX_COMPRESSED_PIXELS)
    if syntax == RLE:
        return _own_bits(rle_samples(data, form.shape, form.allocated, ends=_DELIMITER in file.pixels.data), form)
    return _decoder(syntax)(data, form)


def _is_compressed(data: bytes) -> bool:
    return data[:3] == b"\xff\xd8\xff" or data[:4] == b"\xff\x4f\xff\x51"


def _decoder(syntax: str) -> Callable[[bytes, PixelFormat], Frame]:
    if syntax in JPEG:
        return _jpeg
    if syntax in JPEG_2000:
        return _jpeg_2000
    if syntax in JPEG_XL:
        return partial(_jpeg_xl, lossless=syntax == JPEG_XL_LOSSLESS)
    if syntax == DEFLATED_FRAME:
        return _deflated
    raise UnreadableRadiograph(
        f"The image in this DICOM file is compressed in a way that cannot be read here ({syntax_name(syntax)}). "
        "Please export it uncompressed."
    )


def _is_halved(form: PixelFormat, length: int, frames: int) -> bool:
    """Return whether two pixels share their colour; some writers say so of data that have one for each."""
    if form.samples != 3 or form.by_plane or not form.photometric.endswith("_422"):
        return False
    padding = 1
    return length <= form.rows * form.columns * 2 * (form.allocated // 8) * frames + padding


def _native(file: DicomFile, form: PixelFormat, frame: int, frames: int) -> Frame:
    assert file.pixels is not None
    big_endian = file.big_endian or file.syntax == PIXELS_BIG_ENDIAN
    samples = native_samples(
        file.pixels.data,
        form.shape,
        frame,
        frames=frames,
        allocated=form.allocated,
        big_endian=big_endian,
        swapped=big_endian and form.allocated < 16 and file.pixels.representation == "OW",
        by_plane=form.by_plane,
        halved=_is_halved(form, file.pixels.length or 0, frames),
    )
    sound = bool(samples.present.all()) and may_follow_pixels(file.pixels.following)
    return _own_bits(samples._replace(sound=sound or not file.whole), form)


def _deflated(data: bytes, form: PixelFormat) -> Frame:
    return _own_bits(deflated_samples(data, form.shape, form.allocated, by_plane=form.by_plane), form)


def _own_bits(samples: Samples, form: PixelFormat) -> Frame:
    """Shift out and clear the bits that are not the pixel's own (old overlays), then extend the sign."""
    values = samples.values
    if values.dtype.itemsize * 8 != form.stored:
        values = _stored_bits(values, form)
    return Frame(
        values=_flat(_own_sign(values, form)),
        present=samples.present,
        colour=_colour(values, form.photometric),
        warnings=(_MORE_THAN_DESCRIBED,) if samples.more else (),
        sound=samples.sound,
    )


def _stored_bits(values: np.ndarray, form: PixelFormat) -> np.ndarray:
    return (values >> max(form.high + 1 - form.stored, 0)) & ((1 << form.stored) - 1)


def _own_sign(values: np.ndarray, form: PixelFormat) -> np.ndarray:
    """Read unsigned values as two's complement of the stored bits where the header says that they are signed."""
    if not form.signed or values.dtype.kind == "i":
        return values
    half = 1 << (form.stored - 1)
    return ((values.astype(np.int32) & (2 * half - 1)) ^ half) - half


def _flat(values: np.ndarray) -> np.ndarray:
    return values[:, :, 0] if values.ndim == 3 and values.shape[2] == 1 else values


def _colour(values: np.ndarray, photometric: str) -> str:
    if values.ndim < 3 or values.shape[2] != 3:
        return ""
    return "YBR_FULL" if photometric.startswith("YBR_FULL") else photometric if photometric[:3] == "YBR" else "RGB"


def _jpeg(data: bytes, form: PixelFormat) -> Frame:
    start = data.find(b"\xff\xd8")
    if start < 0:
        raise UnreadableRadiograph(_NO_HEADER)
    data = data[start:]
    try:
        header = read_header(data)
    except UnreadableRadiograph as error:
        raise UnreadableRadiograph(_NO_HEADER) from error
    warnings = _agreement(header.shape, form)
    in_ycbcr = form.samples == 1 or form.photometric != "RGB"
    values, present, sound = decode_jpeg(data, header, colour="YCBCR" if in_ycbcr else "RGB")
    values, bits = _at_header_depth(values, header.precision, form, exact=header.lossless)
    # Transformed colour comes out as RGB; lossless colour as it is coded.
    colour = ("RGB" if form.samples == 1 else _colour(values, form.photometric)) if header.lossless else "RGB"
    frame = _compressed(values, present, form, colour, warnings)
    return replace(frame, damaged=bool(header.flaws), sound=sound, bits=bits, coarse=not header.complete)


def _at_header_depth(values: np.ndarray, precision: int, form: PixelFormat, *, exact: bool) -> tuple[np.ndarray, int]:
    """Take the header's own bits out of deeper samples; or return the frame's depth if the header has no room for it.

    What lossy coding pushed a little beyond the header's range is no bit of anything else, and is clipped later.
    """
    if precision > form.allocated:
        return values, min(precision, 16)
    others = form.high + 1 != form.stored or int(values.max()) > _OVERSHOOT * (1 << form.stored)
    return (_stored_bits(values, form) if exact and others and precision > form.stored else values), 0


def _jpeg_2000(data: bytes, form: PixelFormat) -> Frame:
    try:
        shape = jpeg_2000_shape(data)
    except UnreadableRadiograph as error:
        raise UnreadableRadiograph(_NO_HEADER) from error
    warnings = _agreement(shape, form)
    stream = decode_jpeg_2000(data)
    colour = "RGB" if jpeg_2000_transforms(data) else _colour(stream.values, form.photometric)
    precision = jpeg_2000_samples(data).bits
    values, bits = _at_header_depth(stream.values, precision, form, exact=jpeg_2000_reversible(data))
    frame = _compressed(values, stream.present, form, colour, warnings)
    return replace(frame, bits=bits, coarse=stream.coarse)


def _jpeg_xl(data: bytes, form: PixelFormat, *, lossless: bool) -> Frame:
    if not data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        raise UnreadableRadiograph(_NO_HEADER)
    shape = form.shape if form.samples > 1 else form.shape[:2]
    values = np.zeros(shape, np.uint8 if form.allocated <= 8 else np.uint16)
    values = np.asarray(imagecodecs.jpegxl_decode(data, numthreads=1, out=values))
    values, _ = _at_header_depth(values, form.allocated, form, exact=lossless)
    return _compressed(values, np.ones(form.rows, bool), form, "RGB", ())


def _agreement(own: tuple[int, int, int], form: PixelFormat) -> tuple[str, ...]:
    """Refuse a compressed frame of another size than the header says; warn where it has other samples."""
    if own[:2] != (form.rows, form.columns):
        raise UnreadableRadiograph(
            f"The DICOM file contradicts itself: its header says {form.columns:,} x {form.rows:,} pixels and its "
            f"compressed image {own[1]:,} x {own[0]:,}."
        )
    if own[2] == form.samples:
        return ()
    if own[2] not in (1, 3):
        raise UnreadableRadiograph(f"DICOM images of {own[2]} samples per pixel are not supported.")
    check_size(own[1], own[0], own[2] * -(-form.allocated // 8), max_pixels=MAX_COMPRESSED_PIXELS)
    stated = f"{form.samples} sample{'s' if form.samples > 1 else ''}"
    return (f"The DICOM header says {stated} per pixel and the compressed image {own[2]}; the latter was used.",)


def _compressed(
    values: np.ndarray,
    present: np.ndarray,
    form: PixelFormat,
    colour: str,
    warnings: tuple[str, ...],
) -> Frame:
    """Hold what a decoder returned to the header, and extend the sign."""
    values = _flat(values)
    expected = values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 3)
    if values.shape[:2] != (form.rows, form.columns) or not expected or values.dtype.kind not in "iu":
        raise UnreadableRadiograph("The DICOM file is damaged: its image is not of the size that its header says.")
    return Frame(
        values=_own_sign(values, form),
        present=present,
        colour=colour if values.ndim == 3 else "",
        warnings=warnings,
    )
