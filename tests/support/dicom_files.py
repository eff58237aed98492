"""Made-up DICOM radiographs for the tests: every header and pixel chosen here, none of any patient."""

from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

EXPLICIT, IMPLICIT, BIG_ENDIAN = ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1 = (f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
JPEG_LS, JPEG_2000, HTJ2K = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"
MPEG_4 = "1.2.840.10008.1.2.4.102"
DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"


_PIECE = b"\xfe\xff\x00\xe0"


def dataset(pixels: np.ndarray, **header: object) -> Dataset:
    """A CR data set around stored values (H, W), (H, W, 3) or, with NumberOfFrames, (N, H, W); header last wins."""
    made = Dataset()
    # Made from the pixels, so that a file and its digest are the same in every run.
    made.SOPInstanceUID = generate_uid(entropy_srcs=[str(zlib.crc32(pixels.tobytes()))])
    made.SOPClassUID = ComputedRadiographyImageStorage
    made.Modality, made.PatientName, made.PatientID = "CR", "Doe^Jane", "12345"
    frames = pixels.ndim == 3 and pixels.shape[2] != 3
    made.Rows, made.Columns = pixels.shape[int(frames) : int(frames) + 2]
    made.SamplesPerPixel = 3 if pixels.ndim == 3 and not frames else 1
    made.PhotometricInterpretation = "RGB" if made.SamplesPerPixel == 3 else "MONOCHROME2"
    if made.SamplesPerPixel == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in header.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    if "HighBit" not in header and "BitsStored" in made:
        made.HighBit = max(made.BitsStored - 1, 0)
    made.PixelData = pixels.tobytes()
    return made


def encode(pixels: np.ndarray, syntax: str, bits: int) -> bytes:
    """Compress one frame (H, W) in a transfer syntax."""
    unsigned = pixels.view(f"u{pixels.dtype.itemsize}")
    if syntax == RLE:
        return _rle(unsigned)
    if syntax == DEFLATED_FRAME:
        return zlib.compress(pixels.tobytes())[2:-4]
    if syntax in (JPEG_BASELINE, JPEG_EXTENDED):
        return imagecodecs.jpeg8_encode(unsigned, level=98, bitspersample=8 if syntax == JPEG_BASELINE else 12)
    if syntax in (JPEG_LOSSLESS, JPEG_LOSSLESS_SV1):
        return imagecodecs.jpeg8_encode(unsigned, lossless=True, predictor=1, bitspersample=bits)
    if syntax == HTJ2K:
        return imagecodecs.htj2k_encode(pixels, reversible=True)
    if syntax == JPEG_LS:
        return imagecodecs.jpegls_encode(unsigned)
    return imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, level=0, bitspersample=bits)


def _rle(pixels: np.ndarray) -> bytes:
    """DICOM RLE (PS3.5 annex G): a header of 16 numbers, then each byte plane, high byte first, as PackBits."""
    planes = pixels.view(np.uint8).reshape(-1, pixels.dtype.itemsize)[:, ::-1].T
    segments = []
    for plane in planes:
        packed = b"".join(imagecodecs.packbits_encode(row.tobytes()) for row in plane.reshape(pixels.shape))
        segments.append(packed + b"\0" * (len(packed) % 2))
    offsets = np.cumsum([64] + [len(segment) for segment in segments[:-1]])
    header = np.zeros(16, "<u4")
    header[0], header[1 : 1 + len(segments)] = len(segments), offsets
    return header.tobytes() + b"".join(segments)


def file_bytes(made: Dataset, syntax: str = EXPLICIT, frames: list[bytes] | None = None) -> bytes:
    """Write a data set as a file; `frames`, where given, are the compressed frames."""
    made.file_meta = FileMetaDataset()
    # pydicom writes only what it knows: anything compressed is written as MPEG-4 and renamed in place.
    made.file_meta.TransferSyntaxUID = syntax if frames is None else MPEG_4
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    if frames is not None:
        # An empty table of offsets, then each frame as one piece (PS3.5 A.4).
        pieces = [b"", *(frame + b"\0" * (len(frame) % 2) for frame in frames)]
        made.PixelData = b"".join(_PIECE + struct.pack("<I", len(piece)) + piece for piece in pieces)
        made["PixelData"].VR = "OB"
        made["PixelData"].is_undefined_length = True
    elif syntax == BIG_ENDIAN and made.BitsAllocated == 16:
        made.PixelData = np.frombuffer(made.PixelData, "<u2").astype(">u2").tobytes()
    if "PixelData" in made and frames is None:
        made["PixelData"].VR = "OW" if made.BitsAllocated > 8 or syntax == IMPLICIT else "OB"
    file = io.BytesIO()
    implicit, little = syntax == IMPLICIT, syntax != BIG_ENDIAN
    if syntax == DEFLATED:
        dcmwrite(file, made, enforce_file_format=True)
    else:
        dcmwrite(file, made, enforce_file_format=True, implicit_vr=implicit, little_endian=little)
    data = file.getvalue()
    if frames is not None:
        assert data.count(MPEG_4.encode()) == 1
        data = data.replace(MPEG_4.encode() + b"\0", syntax.encode().ljust(len(MPEG_4) + 1, b"\0"))
    return data


def compressed(pixels: np.ndarray, syntax: str, **header: object) -> bytes:
    """A one-frame file in a compressed transfer syntax."""
    made = dataset(pixels, **header)
    return file_bytes(made, syntax, [encode(pixels, syntax, int(made.BitsStored))])
