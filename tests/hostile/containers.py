"""Containers that lie about what is in them: forged sizes, foreign streams, pieces without number."""

from __future__ import annotations

import struct
from functools import partial

import imagecodecs
import numpy as np
from PIL import Image

from tests.hostile.files import Named, zeros
from tests.support import dicom_files as dicom
from tests.support.made_pictures import encoded, phantom
from tests.support.tiff_files import DEFLATE, LZW, PACKBITS, tiff_file

_PHANTOM = phantom()
_DEEP = _PHANTOM.astype(np.uint16) * 16
_COLOUR = np.dstack([_PHANTOM] * 3)
_SIZES = ((0, 0), (1, 65_535), (16_000, 2_000), (65_535, 65_535), (2**31 - 1, 2**31 - 1))


def forged_containers() -> Named:
    """Files of every container whose outer sizes, kinds or counts are not those of what they hold."""
    yield from _streams()
    yield from _tiffs()
    yield from _dicoms()


def _streams() -> Named:
    avif = encoded(Image.fromarray(_COLOUR), "AVIF")
    jp2 = imagecodecs.jpeg2k_encode(_DEEP)
    for width, height in _SIZES:
        stated = f"{width} x {height}"
        yield f"avif that says {stated}", partial(_forged, avif, b"ispe", 8, ">II", (width, height))
        yield f"jpeg 2000 that says {stated}", partial(_forged, jp2, b"\xff\x51", 6, ">II", (width, height))
        yield f"jpeg 2000 box that says {stated}", partial(_forged, jp2, b"ihdr", 4, ">II", (height, width))
    jxl = imagecodecs.jpegxl_encode(_DEEP)
    for seed in range(16):
        yield f"jpeg xl with another size header ({seed})", partial(_noisy_start, jxl, seed)
    sound = {"avif": avif, "jpeg 2000": jp2, "jpeg xl": jxl, "jpeg-ls": imagecodecs.jpegls_encode(_DEEP)}
    for name, data in sound.items():
        for tenth in range(1, 10, 2):
            yield f"{name} cut at {tenth}0 %", partial(bytes, data[: len(data) * tenth // 10])
        for seed in range(8):
            yield f"{name} with flipped bits ({seed})", partial(_flipped, data, seed)
    for width, height in ((65_535, 65_535), (7, 3)):
        yield (
            f"jpeg-ls that says {width} x {height}",
            partial(_forged, sound["jpeg-ls"], b"\xff\xf7", 5, ">HH", (height, width)),
        )


def _forged(data: bytes, mark: bytes, place: int, layout: str, values: tuple[int, ...]) -> bytes:
    """Write values at a place counted from a mark."""
    changed = bytearray(data)
    struct.pack_into(layout, changed, data.index(mark) + place, *values)
    return bytes(changed)


def _noisy_start(data: bytes, seed: int) -> bytes:
    noise = np.random.default_rng(seed).bytes(6)
    start = data.index(b"\xff\x0a") + 2
    return data[:start] + noise + data[start + 6 :]


def _flipped(data: bytes, seed: int) -> bytes:
    changed = bytearray(data)
    random = np.random.default_rng(seed)
    for place in random.integers(0, len(data), 1 << seed % 6):
        changed[place] ^= 1 << random.integers(8)
    return bytes(changed)


def _tiffs() -> Named:
    for kind, samples in (("8 bit", _COLOUR), ("16 bit", _COLOUR.astype(np.uint16) * 257)):
        for compression in (1, LZW, DEFLATE, PACKBITS):
            for tile in (None, (64, 32)):
                layout = f"{kind} {'tiled' if tile else 'stripped'} tiff in planes, compression {compression}"
                yield (
                    f"{layout}, without a segment",
                    partial(tiff_file, samples, by_plane=True, compression=compression, tile=tile, drop=(2, 5)),
                )
                yield (
                    f"{layout}, without any segment",
                    partial(
                        tiff_file, samples, by_plane=True, compression=compression, tile=tile, drop=tuple(range(400))
                    ),
                )
    forged = imagecodecs.jpeg8_encode(_PHANTOM)
    place = forged.index(b"\xff\xc0") + 5
    forged = forged[:place] + struct.pack(">HH", 65_535, 65_535) + forged[place + 4 :]
    yield "tiff whose jpeg strip says 65535 x 65535", partial(_tiff_around, forged, 7)
    siz = _forged(imagecodecs.jpeg2k_encode(_PHANTOM, codecformat="j2k"), b"\xff\x51", 6, ">II", (60_000, 60_000))
    yield "tiff whose jpeg 2000 strip says 60000 x 60000", partial(_tiff_around, siz, 34712)
    yield (
        "tiff whose jpeg xl strip is of another size",
        partial(_tiff_around, imagecodecs.jpegxl_encode(_DEEP[:90]), 50002),
    )
    yield (
        "tiff whose webp strip is of another size",
        partial(_tiff_around, encoded(Image.fromarray(_COLOUR), "WebP"), 50001),
    )
    for compression in (8, 50000, 34925, 32773, 5):
        packed = zeros(60) if compression == 8 else b"\x81\0" * 200_000
        yield (
            f"tiff strip that unpacks without end, compression {compression}",
            partial(_tiff_around, packed, compression),
        )
    tags = {256: ("I", [5000]), 257: ("I", [5000]), 322: ("I", [16]), 323: ("I", [16])}
    yield "tiff of 100,000 tiles", partial(tiff_file, _PHANTOM, tile=(16, 16), tags=tags)
    for predictor in (0, 2, 3, 9):
        yield (
            f"tiff with predictor {predictor} of 16 bit",
            partial(tiff_file, _DEEP, compression=LZW, tags={317: ("H", [predictor])}),
        )
    for subsampling in ([0, 0], [3, 3], [255, 1], [4, 4]):
        tags = {262: ("H", [6]), 530: ("H", subsampling)}
        yield f"ycbcr tiff subsampled by {subsampling}", partial(tiff_file, _COLOUR, tags=tags)
    yield "palette tiff without a palette", partial(tiff_file, _PHANTOM, tags={262: ("H", [3])})
    yield (
        "palette tiff with a short palette",
        partial(tiff_file, _PHANTOM, tags={262: ("H", [3]), 320: ("H", [1, 2, 3] * 4)}),
    )


def _tiff_around(data: bytes, compression: int) -> bytes:
    """A TIFF of one strip of these bytes, which says that it is 150 x 200 pixels of 8 bits."""
    filler = np.zeros((1, len(data)), np.uint8)
    tags = {256: ("I", [150]), 257: ("I", [200]), 278: ("I", [200]), 259: ("H", [compression])}
    made = tiff_file(filler, rows_per_strip=1, tags=tags)
    return made[: -len(data) - len(data) % 2] + data + b"\0" * (len(data) % 2)


def _dicoms() -> Named:
    twelve = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    for representation, value in (
        ("OB", b"\xc8\0"),
        ("UN", b"\xc8\0\0\0"),
        ("AT", b"\x28\0\x10\0"),
        ("LT", b"9" * 5000),
    ):
        yield f"dicom whose rows are of kind {representation}", partial(_with_rows, representation, value)
    pam = b"P7\nWIDTH 150\nHEIGHT 200\nDEPTH 1\nMAXVAL 4095\nTUPLTYPE GRAYSCALE\nENDHDR\n" + _DEEP.tobytes()
    foreign = {
        "a pam": pam,
        "a png": encoded(_PHANTOM, "PNG"),
        "a tiff": encoded(_DEEP, "TIFF"),
        "a bmp": encoded(_PHANTOM, "BMP"),
    }
    for name, data in foreign.items():
        for syntax in (dicom.JPEG_BASELINE, dicom.JPEG_LS, dicom.JPEG_2000, dicom.RLE, "1.2.840.10008.1.2.4.110"):
            made = partial(dicom.dataset, _DEEP, **twelve)
            yield f"dicom with {name} in {syntax}", lambda d=data, s=syntax, m=made: dicom.file_bytes(m(), s, [d])
        yield f"dicom with {name} as native pixels", lambda d=data: _native(d, **twelve)
    for private in ("1.2.840.113619.5.2", "1.3.46.670589.33.1.4.1", "1.2.276.0.7230010.3.1", "9"):
        yield (
            f"dicom in the private syntax {private}",
            lambda s=private: dicom.file_bytes(dicom.dataset(_DEEP, **twelve), s, [_DEEP.tobytes()]),
        )
    places = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [4, 0, 16]), ("Data", b"\1\0\2\0\3\0\4\0"))
    }
    yield (
        "dicom whose pixels lie beyond its palette",
        lambda: dicom.file_bytes(dicom.dataset(_DEEP, PhotometricInterpretation="PALETTE COLOR", **places)),
    )
    yield (
        "dicom with one channel of a palette",
        lambda: dicom.file_bytes(
            dicom.dataset(
                _DEEP,
                PhotometricInterpretation="PALETTE COLOR",
                **{key: value for key, value in places.items() if key.startswith("Red")},
            )
        ),
    )
    for syntax in (dicom.JPEG_LS, dicom.JPEG_2000, dicom.RLE, dicom.JPEG_LOSSLESS_SV1):
        frame = dicom.encode(_DEEP, syntax, 12)
        for share in (1, 5, 9):
            yield f"dicom file of {syntax} cut at {share}0 % of its frame", partial(_cut, syntax, frame, share, twelve)
    for spacing in ([1e-30, 1e30], [1, 50], [-1, 1], [0, 0], [1e-5, 1e-5]):
        yield (
            f"dicom with pixels of {spacing}",
            lambda s=spacing: dicom.file_bytes(dicom.dataset(_DEEP, PixelSpacing=s, **twelve)),
        )


def _with_rows(representation: str, value: bytes) -> bytes:
    """Write the number of rows as another kind of value, which pydicom would refuse to write."""
    data = dicom.file_bytes(dicom.dataset(_DEEP, BitsStored=12))
    name = representation.encode()
    length = struct.pack("<HI", 0, len(value)) if name in (b"OB", b"UN") else struct.pack("<H", len(value))
    tag = b"\x28\0\x10\0"
    sound = tag + b"US\x02\0" + struct.pack("<H", 200)
    assert data.count(sound) == 1
    return data.replace(sound, tag + name + length + value)


def _native(data: bytes, **header: object) -> bytes:
    made = dicom.dataset(_DEEP, **header)
    made.PixelData = data + b"\0" * (len(data) % 2)
    return dicom.file_bytes(made)


def _cut(syntax: str, frame: bytes, share: int, header: dict[str, object]) -> bytes:
    whole = dicom.file_bytes(dicom.dataset(_DEEP, **header), syntax, [frame])
    return whole[: whole.index(frame) + len(frame) * share // 10]
