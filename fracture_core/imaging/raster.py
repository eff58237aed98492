"""PNG, TIFF, BMP and WebP to one grey picture.

Pillow's readers are built directly, one per format: `Image.open` would try others, and its own size check comes
later and laxer than ours.
"""

from __future__ import annotations

import io
import struct
import warnings as python_warnings
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import BmpImagePlugin, Image, ImageFile, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from fracture_core.imaging.exif import exif_orientation, turned
from fracture_core.imaging.greyscale import (
    BILEVEL_WARNING,
    COLOUR_WARNING,
    TRANSPARENT_WARNING,
    flatten,
    is_colour,
    window_floats,
    window_integers,
)
from fracture_core.imaging.limits import DecodedImage, UnreadableRadiograph, check_size, size_warnings

# Damage is told in our sentences; Pillow's own notes on it would only fill a server's log.
python_warnings.filterwarnings("ignore", module=r"PIL\.")

_READERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
}
_BYTES_A_PIXEL = {"1": 1, "L": 1, "P": 5, "LA": 4, "PA": 5, "I;16": 2, "I": 4, "F": 4}
#: Pillow decodes WebP as an animation: two canvases and two copies of a frame, 4 bytes each.
_WEBP_BYTES_A_PIXEL = 10
_ORIENTATION, _BITS, _PHOTOMETRIC, _SAMPLES = 274, 258, 262, 277
_TILE_WIDTH, _TILE_LENGTH = 322, 323

#: Writers put 4 kB or more into a chunk; the largest file has 16,384 of those.
_MAX_CHUNKS = 20_000

SEVERAL_PAGES = "The file holds several pages or frames; only the first is read."


def read_raster(data: bytes, kind: str) -> DecodedImage:
    """Decode a "PNG", "TIFF", "BMP" or "WebP" file to grey; raise UnreadableRadiograph where it cannot be."""
    try:
        if kind == "WebP":
            check_size(*_webp_size(data), _WEBP_BYTES_A_PIXEL)
        elif kind == "PNG":
            _check_chunks(data)
        with _READERS[kind](io.BytesIO(data)) as image:
            return _read(image, data, kind)
    except UnreadableRadiograph:
        raise
    except Exception as error:  # decoders meet damage in every way there is; the reader is told one thing
        cut_short = "truncated" in str(error) or isinstance(error, (EOFError, struct.error))
        what = "cut short" if cut_short else "damaged"
        raise UnreadableRadiograph(
            f"The {kind} picture is {what} and cannot be decoded. Please export or send it again."
        ) from error


def _read(image: Any, data: bytes, kind: str) -> DecodedImage:
    deep_colour = _deep_samples(image, data, kind)
    bytes_a_pixel = 2 * deep_colour if deep_colour else _BYTES_A_PIXEL.get(image.mode, 4)
    width, height = image.size
    check_size(width, height, bytes_a_pixel)
    if kind == "TIFF":
        _check_tiles(image)
    several = _has_several(image)
    orientation = _orientation(image)
    if deep_colour:
        grey, warnings = _decode_deep(data, image.size)
    else:
        # A TIFF is turned by Pillow as it loads.
        inverted = kind == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0 and image.mode[0] in "IF"
        grey, warnings = _to_grey(image, inverted)
        orientation = 1 if kind == "TIFF" else orientation
    if several:
        warnings = (SEVERAL_PAGES, *warnings)
    grey = turned(grey, orientation)
    return DecodedImage(grey, size_warnings(*grey.shape[::-1]) + warnings)


def _check_chunks(data: bytes) -> None:
    """Refuse a PNG in absurdly many pieces: each costs the reader time, however little it holds."""
    position, count = 8, 0
    while position + 8 <= len(data):
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        count += 1
        if count > _MAX_CHUNKS:
            raise UnreadableRadiograph("The PNG picture is damaged: it is in too many pieces.")


def _webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) of a WebP canvas, read here because Pillow allocates the canvas as it opens the file."""
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", body, 6)
    return width & 0x3FFF, height & 0x3FFF


def _deep_samples(image: Any, data: bytes, kind: str) -> int:
    """Count the samples a pixel of a picture with 16 bit colour or alpha, which Pillow would cut to 8 bit; else 0."""
    if kind == "PNG" and data[24] == 16:
        return {2: 3, 4: 4, 6: 4}.get(data[25], 0)
    if kind == "TIFF":
        bits = image.tag_v2.get(_BITS, (1,))
        samples = image.tag_v2.get(_SAMPLES, 1)
        return samples if samples > 1 and bits[0] == 16 else 0
    return 0


def _check_tiles(image: TiffImagePlugin.TiffImageFile) -> None:
    """Refuse a TIFF whose tiles are far larger than its picture: each is allocated whole."""
    width, length = image.tag_v2.get(_TILE_WIDTH), image.tag_v2.get(_TILE_LENGTH)
    if width and length and width * length > 4 * max(image.width * image.height, 512 * 512):
        raise UnreadableRadiograph("The TIFF picture is damaged: its tiles are larger than the picture.")


def _has_several(image: ImageFile.ImageFile) -> bool:
    """Whether there is a second page or frame; only one step is taken, a chain of pages may be endless."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return bool(image.tag_v2.next)
    return bool(getattr(image, "is_animated", False))


def _orientation(image: ImageFile.ImageFile) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        value = image.tag_v2.get(_ORIENTATION, 1)
        return value if isinstance(value, int) else 1
    block = image.info.get("exif")
    if not block:
        return 1
    return exif_orientation(block if block.startswith(b"Exif\0\0") else b"Exif\0\0" + block)


def _to_grey(image: ImageFile.ImageFile, inverted: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """Load the pixels and give uint8 (H, W) with warnings; `inverted`: deep greys in which 0 is white."""
    image.load()
    if image.mode == "1":
        return np.array(image.convert("L")), (BILEVEL_WARNING,)
    if image.mode == "L" and "transparency" not in image.info:
        return np.array(image), ()
    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint16, copy=False)
        return window_integers(np.invert(deep) if inverted else deep)
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        if values.dtype == np.int32 and values.min() >= 0 and values.max() <= 65_535:
            return window_integers(values.astype(np.uint16))
        return window_floats(np.negative(values) if inverted else values)
    return _flat(image)


def _flat(image: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    """Flatten colour and transparency within Pillow, which keeps one copy of the picture, not four."""
    if "transparency" in image.info or image.mode in ("PA", "La", "RGBa"):
        image = image.convert("RGBA")
    elif image.mode not in ("RGB", "RGBA", "LA"):
        image = image.convert("RGB")
    grey = np.array(image.convert("L"))
    warnings: tuple[str, ...] = ()
    step = max(int((image.width * image.height / 500_000) ** 0.5), 1)
    sample = image.resize((-(-image.width // step), -(-image.height // step)), Image.Resampling.NEAREST)
    if is_colour(np.asarray(sample.convert("RGB"))):
        warnings = (COLOUR_WARNING,)
    if image.mode in ("RGBA", "LA"):
        alpha = np.asarray(image.getchannel("A"))
        if alpha.min() < 255:
            cv2.multiply(grey, alpha, dst=grey, scale=1 / 255)
            warnings = (*warnings, TRANSPARENT_WARNING)
    return grey, warnings


def _decode_deep(data: bytes, size: tuple[int, int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode 16 bit colour or alpha with OpenCV, which keeps the depth, as stored."""
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if stored is None or stored.shape[1::-1] != size or stored.dtype != np.uint16:
        raise ValueError("OpenCV cannot decode this picture")
    if stored.ndim == 2:
        return window_integers(stored)
    if stored.shape[2] >= 3:
        cv2.cvtColor(stored, cv2.COLOR_BGR2RGB if stored.shape[2] == 3 else cv2.COLOR_BGRA2RGBA, dst=stored)
    grey, warnings = flatten(stored)
    windowed, more = window_integers(grey)
    return windowed, warnings + more
