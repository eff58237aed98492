"""One frame of a DICOM file as it is stored, out of any transfer syntax that can be decoded.

Decoders: pydicom for native pixels; imagecodecs (BSD licence) for JPEG in all its kinds, 12 bit and lossless
included, JPEG-LS, JPEG 2000, HTJ2K and RLE. A compressed frame says its own size: it is held against the header's
before it is decoded.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import UID

from fracture_core.imaging.limits import UnreadableRadiograph

#: Largest compressed picture in a DICOM file, in pixels: a flat panel of 4,336 x 4,336 fits.
MAX_COMPRESSED_PIXELS = 20_000_000
#: Longest JPEG 2000 data, in bytes: some 9 million are decoded in a second, whatever they show.
MAX_JPEG_2000_BYTES = 12_000_000
_MAX_FRAGMENTS = 20_000

_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
_RLE = "1.2.840.10008.1.2.5"
_DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"
_JPEG = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70)}
_JPEG_LS = {f"1.2.840.10008.1.2.4.{n}" for n in (80, 81)}
_JPEG_2000 = {f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203)}
#: Transfer syntaxes that pydicom does not know by name yet.
_NEW_SYNTAXES = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}


def stored_frame(dataset: Dataset, syntax: str, shape: tuple[int, int, int], frame: int, frames: int) -> np.ndarray:
    """Decode frame number `frame` (from 0) as integers (H, W), or (H, W, 3) for colour.

    `shape` is (rows, columns, samples) as the header has it. Bits that belong to no pixel (old overlays) are cleared
    and the sign extended. Raises UnreadableRadiograph for a syntax that cannot be decoded, naming it, and for data
    that contradict the header; decoders' own exceptions come through.
    """
    if is_native(syntax):
        _check_length(dataset, shape, frame)
        # pydicom would clear unused bits as if they always lay above the value; older files have them below.
        pixels = pixel_array(dataset, index=frame, raw=True, correct_unused_bits=False)
        return _own_bits(pixels.astype(pixels.dtype.newbyteorder("="), copy=False), dataset)
    decode = _decoder(syntax)
    _check_fragments(dataset.PixelData)
    data = get_frame(dataset.PixelData, frame, number_of_frames=frames)
    pixels = decode(data, dataset, shape)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.shape != (shape[:2] if shape[2] == 1 else shape):
        raise UnreadableRadiograph("The DICOM file is damaged: its picture is not of the size that its header says.")
    return _own_bits(pixels, dataset) if syntax in (_RLE, _DEFLATED_FRAME) else _own_sign(pixels, dataset)


def is_native(syntax: str) -> bool:
    """Whether pixels are stored as they are, not compressed one by one."""
    return syntax in _NATIVE


def syntax_name(syntax: str) -> str:
    """Name a transfer syntax: its DICOM name, or its number where it has none."""
    name = _NEW_SYNTAXES.get(syntax) or UID(syntax).name
    return name if name == syntax else f"{name}, {syntax}"


def _decoder(syntax: str) -> Callable[[bytes, Dataset, tuple[int, int, int]], np.ndarray]:
    if syntax in _JPEG:
        return _decode_jpeg
    if syntax in _JPEG_LS:
        return lambda data, _, shape: imagecodecs.jpegls_decode(_sized(data, shape))
    if syntax in _JPEG_2000:
        return lambda data, _, shape: imagecodecs.jpeg2k_decode(_sized_2000(data, shape), numthreads=1)
    if syntax == _RLE:
        return _decode_rle
    if syntax == _DEFLATED_FRAME:
        return _decode_deflated
    raise UnreadableRadiograph(
        f"The picture in this DICOM file is compressed in a way that cannot be read here ({syntax_name(syntax)}). "
        "Please export it uncompressed."
    )


def _decode_jpeg(data: bytes, dataset: Dataset, shape: tuple[int, int, int]) -> np.ndarray:
    return imagecodecs.jpeg8_decode(_sized(data, shape))


def _dtype(dataset: Dataset) -> np.dtype:
    return np.dtype(f"<u{int(dataset.BitsAllocated) // 8}")


def _decode_rle(data: bytes, dataset: Dataset, shape: tuple[int, int, int]) -> np.ndarray:
    dtype = _dtype(dataset)
    size = int(np.prod(shape)) * dtype.itemsize
    decoded = imagecodecs.dicomrle_decode(data, dtype, out=size)
    return _planes(np.frombuffer(decoded, dtype), shape)


def _decode_deflated(data: bytes, dataset: Dataset, shape: tuple[int, int, int]) -> np.ndarray:
    dtype = _dtype(dataset)
    size = int(np.prod(shape)) * dtype.itemsize
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size)
    pixels = np.frombuffer(inflated, dtype)
    return _planes(pixels, shape) if dataset.get("PlanarConfiguration") else pixels.reshape(shape)


def _planes(pixels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    rows, columns, samples = shape
    return np.ascontiguousarray(pixels.reshape(samples, rows, columns).transpose(1, 2, 0))


def _check_length(dataset: Dataset, shape: tuple[int, int, int], frame: int) -> None:
    """Refuse native pixel data that end before the frame does, and say by how much."""
    bits = int(np.prod(shape)) * int(dataset.BitsAllocated)
    if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
        bits = bits * 2 // 3
    needed = -(-bits * (frame + 1) // 8)
    if (there := len(dataset.PixelData)) < needed:
        raise UnreadableRadiograph(
            f"The DICOM file is cut short: it holds {there:,} of the {needed:,} bytes of its picture. "
            "Please export or send it again."
        )


def _check_fragments(data: bytes) -> None:
    """Refuse compressed pixel data in absurdly many pieces."""
    position = count = 0
    while position + 8 <= len(data):
        tag, length = struct.unpack_from("<II", data, position)
        if tag != 0xE000FFFE:
            return
        count += 1
        position += 8 + length
        if count > _MAX_FRAGMENTS:
            raise UnreadableRadiograph("The DICOM file is damaged: its picture is in too many pieces.")


def _sized(data: bytes, shape: tuple[int, int, int]) -> bytes:
    """Give JPEG or JPEG-LS data back if its own header agrees with the DICOM header."""
    position = data.find(b"\xff\xd8") + 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            break
        if data[position + 1] == 0xFF:
            position += 1
            continue
        if data[position + 1] in _SIZE_MARKERS:
            height, width, samples = struct.unpack_from(">HHB", data, position + 5)
            return _agreed(data, (height, width, samples), shape)
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise UnreadableRadiograph("The DICOM file is damaged: its compressed picture has no header of its own.")


def _sized_2000(data: bytes, shape: tuple[int, int, int]) -> bytes:
    """Give JPEG 2000 data back if its own header (SIZ, ITU-T T.800 A.5.1) agrees with the DICOM header."""
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(data) < start + 42:
        raise UnreadableRadiograph("The DICOM file is damaged: its compressed picture has no header of its own.")
    if len(data) > MAX_JPEG_2000_BYTES:
        raise UnreadableRadiograph(
            f"The JPEG 2000 picture in this DICOM file has {len(data) / 1e6:.0f} MB; at most "
            f"{MAX_JPEG_2000_BYTES / 1e6:.0f} can be read here. Please export it uncompressed or at a smaller size."
        )
    right, bottom, left, top, *_, samples = struct.unpack_from(">8IH", data, start + 8)
    return _agreed(data, (bottom - top, right - left, samples), shape)


def _agreed(data: bytes, own: tuple[int, int, int], shape: tuple[int, int, int]) -> bytes:
    if own != shape:
        raise UnreadableRadiograph(
            f"The DICOM file contradicts itself: its header says {shape[1]:,} x {shape[0]:,} pixels and its compressed "
            f"picture {own[1]:,} x {own[0]:,}."
        )
    return data


def _own_bits(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Shift out and clear the bits that are not the pixel's own, then extend the sign."""
    stored, high = int(dataset.BitsStored), int(dataset.HighBit)
    if pixels.dtype.itemsize * 8 == stored:
        return pixels if pixels.dtype.kind == "i" else _own_sign(pixels, dataset)
    unsigned = pixels.view(f"u{pixels.dtype.itemsize}")
    unsigned = (unsigned >> max(high + 1 - stored, 0)) & ((1 << stored) - 1)
    return _own_sign(unsigned, dataset)


def _own_sign(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Read unsigned values as two's complement of BitsStored bits where the header says that they are signed."""
    if not dataset.PixelRepresentation or pixels.dtype.kind == "i":
        return pixels
    half = 1 << (int(dataset.BitsStored) - 1)
    masked = pixels.astype(np.int32) & (2 * half - 1)
    return (masked ^ half) - half
