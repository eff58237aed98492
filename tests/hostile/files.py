"""Hostile image files: cut, flipped, lying about their size, exploding, nested, disguised."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial

import cv2
import imagecodecs
import numpy as np
from PIL import Image

from tests.support import dicom_files as dicom
from tests.support.made_pictures import encoded, phantom

Make = Callable[[], bytes]
Named = Iterator[tuple[str, Make]]


def _deep() -> np.ndarray:
    return phantom().astype(np.uint16) * 16


def _grey_scale() -> dict[str, object]:
    return {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}


def _colour() -> Image.Image:
    return Image.fromarray(phantom()).convert("RGB")


#: How one sound file of each kind that is read is made, small enough to be cut and flipped many times.
_MAKERS: dict[str, Make] = {
    "jpeg": lambda: encoded(phantom(), "JPEG"),
    "jpeg-colour": lambda: encoded(_colour(), "JPEG"),
    "jpeg-progressive": lambda: encoded(phantom(), "JPEG", progressive=True),
    "jpeg-restarts": lambda: encoded(phantom(), "JPEG", restart_marker_blocks=5),
    "jpeg-cmyk": lambda: encoded(_colour().convert("CMYK"), "JPEG"),
    "png": lambda: encoded(phantom(), "PNG"),
    "png-16": lambda: encoded(_deep(), "PNG"),
    "png-palette": lambda: encoded(_colour().quantize(64), "PNG"),
    "tiff": lambda: encoded(phantom(), "TIFF"),
    "tiff-lzw": lambda: encoded(_deep(), "TIFF", compression="tiff_lzw"),
    "tiff-deflate": lambda: encoded(phantom(), "TIFF", compression="tiff_adobe_deflate"),
    "tiff-jpeg": lambda: encoded(_colour(), "TIFF", compression="jpeg"),
    "bmp": lambda: encoded(phantom(), "BMP"),
    "webp": lambda: encoded(_colour(), "WebP"),
    "webp-lossless": lambda: encoded(_colour(), "WebP", lossless=True),
    "dicom": lambda: dicom.file_bytes(dicom.dataset(_deep(), **_grey_scale())),
    "dicom-implicit": lambda: dicom.file_bytes(dicom.dataset(_deep(), **_grey_scale()), dicom.IMPLICIT),
    "dicom-deflated": lambda: dicom.file_bytes(dicom.dataset(_deep(), **_grey_scale()), dicom.DEFLATED),
    "dicom-rle": lambda: dicom.compressed(_deep(), dicom.RLE, **_grey_scale()),
    "dicom-jpeg": lambda: dicom.compressed(_deep(), dicom.JPEG_EXTENDED, **_grey_scale()),
    "dicom-jpeg-lossless": lambda: dicom.compressed(_deep(), dicom.JPEG_LOSSLESS_SV1, **_grey_scale()),
    "dicom-jpeg-ls": lambda: dicom.compressed(_deep(), dicom.JPEG_LS, **_grey_scale()),
    "dicom-jpeg-2000": lambda: dicom.compressed(_deep(), dicom.JPEG_2000, **_grey_scale()),
}
#: The same, each made once.
SOUND: dict[str, Make] = {name: cache(make) for name, make in _MAKERS.items()}


def truncations() -> Named:
    """Every kind, cut at every tenth of its length."""
    for name, make in SOUND.items():
        for tenth in range(1, 10):
            yield f"{name} cut at {tenth}0 %", partial(_cut, make, tenth)


def _cut(make: Make, tenth: int) -> bytes:
    data = make()
    return data[: len(data) * tenth // 10]


def bit_flips() -> Named:
    """Every kind, with 1 to 64 random bits turned, in the header alone or anywhere."""
    for name, make in SOUND.items():
        for seed in range(8):
            yield f"{name} with {1 << seed % 7} bits flipped ({seed})", partial(_flipped, make, seed)


def _flipped(make: Make, seed: int) -> bytes:
    data = bytearray(make())
    random = np.random.default_rng(seed)
    reach = len(data) if seed % 2 else min(len(data), 900)
    for place in random.integers(0, reach, 1 << seed % 7):
        data[place] ^= 1 << random.integers(8)
    return bytes(data)


_SIZES = [(0, 0), (65_535, 1), (1, 65_535), (10_000, 10_000), (65_535, 65_535), (16_000, 2_000), (7, 3), (151, 201)]


def lying_headers() -> Named:
    """Headers that claim other sizes than the pixels have."""
    for width, height in _SIZES:
        said = f"{width} x {height}"
        yield f"jpeg that says {said}", partial(_jpeg_of_size, width, height, progressive=False)
        yield f"progressive jpeg that says {said}", partial(_jpeg_of_size, width, height, progressive=True)
        yield f"png that says {said}", partial(_png_of_size, width, height)
        yield f"bmp that says {said}", partial(_patched, "bmp", 18, struct.pack("<ii", width, -height))
        yield f"webp that says {said}", partial(_webp_of_size, width, height)
        for kind in ("tiff", "tiff-lzw", "tiff-deflate", "tiff-jpeg"):
            yield f"{kind} that says {said}", partial(_tiff_with, kind, {256: width, 257: height})


def _patched(kind: str, place: int, value: bytes) -> bytes:
    data = bytearray(SOUND[kind]())
    data[place : place + len(value)] = value
    return bytes(data)


def _jpeg_of_size(width: int, height: int, *, progressive: bool) -> bytes:
    data = SOUND["jpeg-progressive" if progressive else "jpeg"]()
    place = data.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def _png_of_size(width: int, height: int) -> bytes:
    return png(SOUND["png"]()[33:], width, height)


def png(rest: bytes, width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG whose header says this and whose chunks after the header are `rest`."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)) + rest


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def zeros(megabytes: int) -> bytes:
    """A zlib stream that inflates to so many megabytes of zero: one flushed block, again and again."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = (megabytes * 2**20 % 65_521) << 16 | 1
    return b"\x78\xda" + block * megabytes + packer.flush() + struct.pack(">I", checksum)


def _webp_of_size(width: int, height: int) -> bytes:
    body = SOUND["webp"]()[12:]
    canvas = b"\0\0\0\0" + max(width - 1, 0).to_bytes(3, "little") + max(height - 1, 0).to_bytes(3, "little")
    body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + canvas + body
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _tiff_with(kind: str, values: dict[int, int]) -> bytes:
    """A sound TIFF with the values of some of its one-valued tags replaced in place."""
    data = bytearray(SOUND[kind]())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", data, entry)
        if tag in values:
            struct.pack_into("<HII", data, entry + 2, 4, 1, values[tag] & 0xFFFFFFFF)
    return bytes(data)


def tiff(entries: list[tuple[int, int, int, int]], *, then: int = 0, body: bytes = b"") -> bytes:
    """A TIFF of one directory of (tag, type, count, value) at offset 8, its next directory at `then`, and a body."""
    fields = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + fields + struct.pack("<I", then) + body


def _basic(width: int = 100, height: int = 100, offset: int = 200, **more: int) -> list[tuple[int, int, int, int]]:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: offset, 277: 1, 278: height, 279: width * height}
    tags.update({int(key[1:]): value for key, value in more.items()})
    return [(tag, 4, 1, value) for tag, value in sorted(tags.items())]


def _many_directories() -> bytes:
    """A chain of 100,000 pages of nothing."""
    pages = b"".join(struct.pack("<HI", 0, 142 + 6 * number) for number in range(1, 100_000))
    first = tiff(_basic(offset=0), then=142)
    return first.ljust(142, b"\0") + pages


def broken_tiffs() -> Named:
    """Directories that loop or nest, counts and offsets beyond any file, tiles beyond any image."""
    yield "tiff whose next page is itself", lambda: tiff(_basic(), then=8, body=bytes(10_200))
    yield "tiff of 100,000 empty pages", _many_directories
    yield "tiff whose sub-directory is itself", lambda: tiff([*_basic(), (330, 4, 1, 8)], body=bytes(10_200))
    yield "tiff whose EXIF directory is itself", lambda: tiff([*_basic(), (34665, 4, 1, 8)], body=bytes(10_200))
    yield "tiff with a directory beyond its end", lambda: b"II*\0\xff\xff\xff\x7f" + bytes(100)
    yield "tiff with 65,535 tags", lambda: tiff([(1 + n, 4, 1, n) for n in range(65_535)])
    yield "tiff with a tag of 4 billion values", lambda: tiff([*_basic(), (700, 1, 0xFFFFFFFF, 8)], body=bytes(10_200))
    yield (
        "tiff with 4 billion strips",
        lambda: tiff([(t, 4, 0xFFFFFFFF if t == 273 else n, v) for t, _, n, v in _basic()]),
    )
    yield "tiff with pixels beyond its end", lambda: tiff(_basic(offset=0x7FFFFFFF), body=bytes(500))
    yield "tiff with a width of nought", lambda: tiff(_basic(width=0))
    yield "tiff without a width", lambda: tiff(_basic()[1:])
    for compression in (2, 3, 4, 5, 6, 7, 8, 32773, 34676, 34712, 34925, 50000, 50001, 65000):
        noise = np.random.default_rng(compression).bytes(10_200)
        yield (
            f"tiff of noise in compression {compression}",
            partial(tiff, _basic(t259=compression), body=bytes(76) + noise),
        )
    for width, length in ((65_520, 65_520), (1_000_000_016, 16), (16, 0xFFFFFFF0), (0, 0)):
        tags = [e for e in _basic(t322=width, t323=length, t324=300, t325=4) if e[0] not in (273, 278, 279)]
        yield f"tiff with tiles of {width} x {length}", partial(tiff, tags, body=bytes(500))
        tags = [(t, k, n, 8 if t == 259 else v) for t, k, n, v in tags]
        yield f"tiff with deflated tiles of {width} x {length}", partial(tiff, tags, body=bytes(50) + zeros(1))
    for bits, samples, sort in (
        (32, 1, 3),
        (64, 1, 3),
        (16, 1, 3),
        (24, 1, 1),
        (12, 1, 1),
        (7, 1, 1),
        (16, 9, 1),
        (8, 65_535, 1),
    ):
        tags = _basic(t258=bits, t277=samples, t339=sort)
        name = f"tiff of {samples} samples of {bits} bits of sort {sort}"
        yield name, partial(tiff, tags, body=np.random.default_rng(1).bytes(90_000))
    yield "big tiff with nothing in it", lambda: b"II+\0\x08\0\0\0\x10" + bytes(30)


def unusual_pictures() -> Named:
    """Sound files of unusual kinds; all but a few are radiographs as good as any."""
    floats = phantom().astype(np.float32)
    for name, extreme in (("infinite", np.inf), ("largest", 3.4e38), ("not-a-number", np.nan), ("negative", -1e30)):
        values = floats.copy()
        values[::7, ::5] = extreme
        yield f"float tiff with {name} values", partial(encoded, values, "TIFF")
    yield "float tiff of nothing but not-a-number", partial(encoded, np.full_like(floats, np.nan), "TIFF")
    yield "32 bit tiff", partial(encoded, (floats * 1e6).astype(np.int32), "TIFF")
    for kind in ("PNG", "TIFF", "BMP"):
        yield f"1 bit {kind}", partial(encoded, Image.fromarray(phantom()).convert("1"), kind)
    yield "cmyk tiff", lambda: encoded(_colour().convert("CMYK"), "TIFF")
    yield "ycbcr tiff", lambda: encoded(_colour().convert("YCbCr"), "TIFF")
    yield "lab tiff", lambda: encoded(Image.new("LAB", (100, 100)), "TIFF")
    yield "png palette with alpha", lambda: encoded(_colour().quantize(8), "PNG", transparency=bytes(range(8)))
    yield "png palette without a palette", lambda: png(SOUND["png"]()[33:], 150, 200, 8, 3)
    yield "png rgba 16", lambda: cv2.imencode(".png", np.dstack([_deep()] * 4))[1].tobytes()
    yield "interlaced png", lambda: _patched("png", 28, b"\x01")
    yield "png of impossible depth", lambda: png(SOUND["png"]()[33:], 150, 200, 5, 0)
    for kind in ("PNG", "WebP", "TIFF", "GIF"):
        frames = [Image.fromarray(np.roll(phantom(), n)).convert("RGB") for n in range(1, 40)]
        yield f"animated {kind}", partial(_animated, kind, frames)
    yield "12 bit jpeg", lambda: imagecodecs.jpeg8_encode(_deep(), bitspersample=12)
    yield "lossless 16 bit jpeg", lambda: imagecodecs.jpeg8_encode(_deep(), lossless=True, bitspersample=16)
    yield "upside-down bmp", lambda: _patched("bmp", 22, struct.pack("<i", -200))
    for bits in (0, 2, 3, 16, 24, 32, 255):
        yield f"bmp that says {bits} bits", partial(_patched, "bmp", 28, struct.pack("<H", bits))
    for code in (1, 2, 3, 4, 5, 99):
        yield f"bmp that says compression {code}", partial(_patched, "bmp", 30, struct.pack("<I", code))


def _animated(kind: str, frames: list[Image.Image]) -> bytes:
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])
