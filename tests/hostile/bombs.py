"""Files that are small on disk and large in memory or time, and the largest files that are still read."""

from __future__ import annotations

import struct
import zlib
from functools import partial

import imagecodecs
import numpy as np
from PIL import Image

from fracture_core.imaging.bare_codestreams import MAX_COMPRESSED_PIXELS
from tests.hostile.files import SOUND, Named, chunk, png, tiff, zeros
from tests.support import dicom_files as dicom
from tests.support.made_pictures import encoded, phantom


def large(rows: int, columns: int, dtype: str = "uint8") -> np.ndarray:
    """Return a picture of many small ones, (rows, columns)."""
    tile = phantom(500, 500).astype(dtype)
    if dtype == "uint16":
        tile = tile * 16 + np.random.default_rng(0).integers(0, 16, tile.shape, dtype=np.uint16)
    return np.tile(tile, (-(-rows // 500), -(-columns // 500)))[:rows, :columns]


def bombs() -> Named:
    """Decompression bombs of every format, and files that take long to read."""
    yield from _exploding()
    yield from _slow()


def _exploding() -> Named:
    end = chunk(b"IEND", b"")
    yield "png of 100 megapixels", lambda: png(chunk(b"IDAT", zeros(96)) + end, 10_000, 10_000)
    yield "png of 2.6 gigapixels at 1 bit", lambda: png(chunk(b"IDAT", zeros(300)) + end, 51_200, 51_200, 1)
    yield "png of 65,535 x 1", lambda: png(chunk(b"IDAT", zlib.compress(bytes(65_536))) + end, 65_535, 1)
    yield "png of 1 x 65,535", lambda: png(chunk(b"IDAT", zlib.compress(bytes(131_070))) + end, 1, 65_535)
    yield "png whose data go on for a gigabyte", lambda: png(chunk(b"IDAT", zeros(1000)) + end, 100, 100)
    for kind, head in ((b"zTXt", b"Comment\0\0"), (b"iTXt", b"Comment\0\1\0\0\0"), (b"iCCP", b"profile\0\0")):
        body = chunk(kind, head + zeros(500)) + SOUND["png"]()[33:]
        yield f"png whose {kind.decode()} is 500 MB", lambda body=body: png(body, 150, 200)
    yield "png of 200,000 text chunks", lambda: png(chunk(b"tEXt", b"a\0b") * 200_000 + SOUND["png"]()[33:], 150, 200)
    yield "png of 1,000,000 empty data chunks", lambda: png(chunk(b"IDAT", b"") * 1_000_000, 150, 200)
    for compression, packed in ((8, zeros(1000)), (5, b""), (32773, b"\x81\0" * 500_000)):
        tags = {256: 100, 257: 100, 258: 8, 259: compression, 262: 1, 273: 122, 277: 1, 278: 100, 279: len(packed)}
        entries = [(tag, 4, 1, value) for tag, value in tags.items()]
        name = f"tiff strip that explodes in compression {compression}"
        yield name, lambda entries=entries, packed=packed: tiff(entries, body=packed)
        entries = [(tag, 4, 1, 30_000 if tag in (256, 257, 278) else v) for tag, v in tags.items()]
        name = f"tiff of 900 megapixels in compression {compression}"
        yield name, lambda entries=entries, packed=packed: tiff(entries, body=packed)
    yield "jpeg of 65,500 x 65,500", lambda: _jpeg_header(65_500, 65_500) + b"\0" * 2000
    yield "webp of 16,383 x 16,383", lambda: _webp_lossless(2_000, 500)[:21] + b"\xff" * 4 + bytes(5000)
    yield "64 MB and one byte", lambda: b"\xff\xd8\xff" + bytes(64 * 2**20 - 2)
    yield "64 MB of JPEG fill bytes", lambda: b"\xff\xd8" + b"\xff" * (64 * 2**20 - 2)
    yield "64 MB of JPEG comments", lambda: b"\xff\xd8" + b"\xff\xfe\0\x02" * (16 * 2**20 - 1)
    yield "64 MB of JPEG starts", lambda: b"\xff\xd8" * (32 * 2**20)
    yield "64 MB of nothing", lambda: bytes(64 * 2**20)
    yield "35 kB of SVG comments", lambda: b"<!---->" * 5_000 + b"x"
    yield from _slow_jpeg()


def _slow_jpeg() -> Named:
    """JPEG streams that a search from each marker on, or from each byte of a run, would not get through."""
    whole = SOUND["jpeg"]()
    scan = whole.index(b"\xff\xda")
    restarting = whole[:scan] + b"\xff\xdd\0\4\0\1" + whole[scan:-2]
    short_scan = whole[scan : scan + 10] + b"ab\xff\2"
    xmp = b"\xff\xe1\xff\xff" + b"http://ns.adobe.com/xap/1.0/\0tiff:Orientation".ljust(65_533)
    #: How each begins, what it repeats and how often, how it ends.
    streams = {
        "impossible markers before one restart": (restarting, b"\xff\1", 2**23, b"\xff\xd0"),
        "impossible markers and restarts": (restarting, b"\xff\1\xff\xd0", 2**22, b""),
        "scans of one marker before one restart": (restarting + short_scan * 1600, b"\0", 2**24, b"\xff\xd0"),
        "zeros within": (whole[:-2], b"\0", 2**24, b"\1"),
        "fill bytes within": (whole[:-2], b"\xff", 2**24, b""),
        "pairs of fill bytes": (whole[:-2], b"\xff\xff\0", 2**22, b""),
        "orientations that never come": (whole[:2], xmp, 250, whole[2:-2]),
    }
    for name, (start, part, times, end) in streams.items():
        yield f"jpeg of {name}", lambda a=start, b=part, n=times, c=end: a + b * n + c + b"\xff\xd9"


def _jpeg_header(width: int, height: int) -> bytes:
    data = SOUND["jpeg"]()
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def _webp_lossless(width: int, height: int) -> bytes:
    return encoded(Image.new("L", (width, height)).convert("RGB"), "WebP", lossless=True, quality=0, method=0)


def _slow() -> Named:
    for scans in (20, 900, 20_000):
        yield f"progressive jpeg of {scans} passes, 4 megapixels", lambda n=scans: _many_passes(2000, 2000, n)
    yield "progressive jpeg of 13 passes, 29 megapixels", lambda: _many_passes(6000, 4900, 13)
    yield "jpeg cut short at 30 megapixels", lambda: _cut_large_jpeg()
    yield "cmyk jpeg of 16 megapixels, cut short", _cut_ink
    yield "jpeg whose restart markers never fit", lambda: SOUND["jpeg-restarts"]().replace(b"\xff\xd3", b"\xff\xd6")
    yield "jpeg of nothing but restart markers", lambda: SOUND["jpeg"]()[:-400] + b"\xff\xd0" * 2_000_000


def _many_passes(width: int, height: int, passes: int) -> bytes:
    """A progressive JPEG whose last pass comes again and again."""
    data = encoded(np.zeros((height, width), np.uint8), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * passes + b"\xff\xd9"


def _cut_large_jpeg() -> bytes:
    data = encoded(large(5400, 5400), "JPEG")
    return data[: len(data) * 9 // 10]


def _cut_ink() -> bytes:
    data = encoded(Image.fromarray(large(4000, 4000)).convert("RGB").convert("CMYK"), "JPEG")
    return data[: len(data) // 2]


def largest() -> Named:
    """Honest files at the limits: they must be read, and in time."""
    yield "jpeg of 31 megapixels", lambda: encoded(large(6200, 5000), "JPEG", quality=90)
    yield "colour jpeg of 31 megapixels", lambda: _colour(imagecodecs.jpeg8_encode, 6200, 5000)
    yield (
        "progressive colour jpeg of 16 megapixels",
        lambda: encoded(Image.fromarray(large(4000, 4000)).convert("RGB"), "JPEG", progressive=True, subsampling=0),
    )
    yield "png of 31 megapixels", lambda: encoded(large(6200, 5000), "PNG", compress_level=1)
    yield "16 bit png of 31 megapixels", lambda: encoded(large(6200, 5000, "uint16"), "PNG", compress_level=1)
    yield "rgba png of 31 megapixels", lambda: _colour(imagecodecs.png_encode, 6200, 5000, alpha=True)
    yield (
        "16 bit rgba png of 20 megapixels",
        lambda: imagecodecs.png_encode(np.dstack([large(4500, 4500, "uint16") & 0xF00] * 4), level=1),
    )
    yield "16 bit tiff of 31 megapixels", lambda: encoded(large(6200, 5000, "uint16"), "TIFF")
    yield "lzw tiff of 31 megapixels", lambda: encoded(large(6200, 5000), "TIFF", compression="tiff_lzw")
    yield "float tiff of 16 megapixels", lambda: encoded(large(4000, 4000).astype(np.float32) * 3, "TIFF")
    yield (
        "float tiff of 31 megapixels, packed",
        lambda: encoded(large(6200, 5000).astype(np.float32), "TIFF", compression="tiff_adobe_deflate"),
    )
    yield "bmp of 31 megapixels", lambda: encoded(large(6200, 5000), "BMP")
    yield "webp of 16 megapixels", lambda: _webp_lossless(16_000, 1_000)
    yield "lossy webp of 16 megapixels", lambda: encoded(large(4000, 4000), "WebP", method=0)
    yield "dicom of 31 megapixels", lambda: dicom.file_bytes(dicom.dataset(large(6200, 5000, "uint16"), BitsStored=12))
    side = int(MAX_COMPRESSED_PIXELS**0.5)
    for name in ("RLE", "JPEG_LOSSLESS_SV1", "JPEG_LS", "JPEG_EXTENDED"):
        yield f"dicom of 20 megapixels, {name}", partial(_large_dicom, getattr(dicom, name), side, 0)
    # Less noise, or the limit on its bytes would refuse it.
    yield "dicom of 20 megapixels, JPEG 2000", partial(_large_dicom, dicom.JPEG_2000, side, 4)
    yield "dicom of 11 MB of JPEG 2000 noise", _noisy_jpeg_2000


def _large_dicom(syntax: str, side: int, shift: int) -> bytes:
    return dicom.compressed(large(side, side, "uint16") >> shift, syntax, BitsStored=12)


def _colour(encode: object, rows: int, columns: int, *, alpha: bool = False) -> bytes:
    grey = large(rows, columns)
    return encode(np.dstack([grey, grey, 255 - grey, *([grey] if alpha else [])]), level=1 if alpha else 85)


def _noisy_jpeg_2000() -> bytes:
    """As much as the limit on JPEG 2000 lets through, and as hard to decode as it can be."""
    noise = np.random.default_rng(0).integers(0, 4096, (2680, 2680), dtype=np.uint16)
    return dicom.compressed(noise, dicom.JPEG_2000, BitsStored=12)
