"""PNG, BMP, WebP, AVIF and HEIC to grey, by Pillow's decoders and libheif.

They are built directly, one per format: `Image.open` would try others, and its own size check comes later and laxer
than ours. Each is given only what was found whole.
"""

from __future__ import annotations

import io
import struct
import warnings as python_warnings
from collections.abc import Callable

import cv2
import numpy as np
from PIL import AvifImagePlugin, BmpImagePlugin, Image, ImageFile, PngImagePlugin, WebPImagePlugin

from fracture_core.imaging.appearance.screen_photo import tint_warnings
from fracture_core.imaging.exif import exif_orientation, hexadecimal_profile, turned, xmp_orientation
from fracture_core.imaging.greyscale import (
    ALL_TRANSPARENT_WARNING,
    BILEVEL_WARNING,
    COLOUR_WARNING,
    TRANSPARENT_WARNING,
    flatten,
    is_colour,
    pixel_shape_warnings,
    window_integers,
)
from fracture_core.imaging.limits import DecodedImage, UnreadableRadiograph, check_size, size_warnings
from fracture_core.imaging.raster.bmp import bmp_colours, bmp_completed, bmp_pixel_shape
from fracture_core.imaging.raster.boxes import check_boxes, largest_size
from fracture_core.imaging.raster.heic import open_heic
from fracture_core.imaging.raster.interlacing import filled_in
from fracture_core.imaging.raster.png import PngStructure, completed, png_structure
from fracture_core.imaging.raster.webp import BYTES_PER_PIXEL as WEBP_BYTES_PER_PIXEL
from fracture_core.imaging.raster.webp import is_truncated, webp_as_far_as_it_goes, webp_size
from fracture_core.imaging.truncation import blacken_missing, lacks_detail

# Damage is told in our sentences; Pillow's own notes on it would only fill a server's log.
python_warnings.filterwarnings("ignore", module=r"PIL\.")

_READERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
_BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 5, "LA": 4, "PA": 5, "I;16": 2, "I": 4, "F": 4}
SEVERAL_PAGES = "The file holds several pages or frames; only the first is read."

Grey = tuple[np.ndarray, tuple[str, ...]]


def read_raster(data: bytes, kind: str, *, accept_cut_short: bool = False) -> DecodedImage:
    """Decode a "PNG", "BMP", "WebP", "AVIF" or "HEIC" file to grey.

    Args:
        data: The file.
        kind: Its format.
        accept_cut_short: Read a truncated PNG, BMP or lossy WebP file as far as it goes, its missing rows black (air).

    Returns:
        The image.

    Raises:
        UnreadableRadiograph: The file contains no image, is too large, damaged, or truncated.
    """
    structure = png_structure(data) if kind == "PNG" else None
    lost: tuple[str, ...] = ()
    present: np.ndarray | None = None
    whole = data
    try:
        if structure is not None and not (structure.ended and structure.whole):
            whole = completed(structure)
        elif kind == "BMP":
            whole, present = bmp_completed(data)
        elif kind == "WebP":
            webp_size(data)
            if is_truncated(data):
                whole, present, lost = webp_as_far_as_it_goes(data, lambda file: _decoded(file, "WebP", None)[0])
        elif kind in ("AVIF", "HEIC"):
            check_size(*largest_size(data, kind), WEBP_BYTES_PER_PIXEL)
            check_boxes(data, kind)
        grey, warnings = _decoded(whole, kind, structure)
        # A completed file holds rows alone; what the original says before its rows still counts.
        orientation = 1
        if kind not in ("HEIC", "BMP"):
            orientation = _orientation(_READERS[kind](io.BytesIO(whole if kind == "WebP" else data)))
    except (UnreadableRadiograph, MemoryError):
        raise
    except Exception as error:  # decoders meet damage in every way there is; the reader is told one thing
        short = "truncated" in str(error) or isinstance(error, (EOFError, struct.error))
        raise UnreadableRadiograph(
            f"The {kind} image is {'truncated' if short else 'damaged'} and cannot be decoded. "
            "Please export or send it again."
        ) from error
    missing, truncated = _completeness(grey, structure, present, accept=accept_cut_short)
    grey = turned(grey, orientation)
    shape = structure.pixel_shape if structure else bmp_pixel_shape(data) if kind == "BMP" else 1.0
    return DecodedImage(
        grey, size_warnings(*grey.shape[::-1]) + truncated + lost + pixel_shape_warnings(shape) + warnings, missing
    )


def _opened(data: bytes, kind: str) -> Image.Image:
    if kind == "HEIC":
        return open_heic(data)
    try:
        image = _READERS[kind](io.BytesIO(data))
        if kind == "BMP":
            image.load()
        return image
    except (OSError, ValueError):
        if kind != "BMP":
            raise
        return Image.fromarray(bmp_colours(data))


def _decoded(data: bytes, kind: str, structure: PngStructure | None) -> Grey:
    with _opened(data, kind) as image:
        _check_size(image, structure)
        return _read(image, data, structure)


def _completeness(
    grey: np.ndarray, structure: PngStructure | None, present: np.ndarray | None, *, accept: bool
) -> tuple[float, tuple[str, ...]]:
    """Blacken or refuse rows that are missing; return their share and the warnings."""
    coarse = False
    if structure is not None and not structure.whole:
        coarse = structure.interlaced
        present = filled_in(grey, structure.held) if coarse else np.arange(structure.height) < structure.held[0]
    if present is None:
        return 0.0, ()
    damaged = structure is not None and structure.damaged
    missing, truncated = blacken_missing(grey, present, accept=accept, damaged=damaged)
    return lacks_detail(len(grey), missing, truncated, accept=accept) if coarse else (missing, truncated)


def _check_size(image: Image.Image, structure: PngStructure | None) -> None:
    samples = _BYTES_PER_PIXEL.get(image.mode, 4)
    if structure is not None and structure.depth == 16 and structure.colour != 0:
        samples = 2 * (4 if structure.colour == 4 else structure.samples)
    check_size(*image.size, samples)
    if structure is not None and image.size != (structure.width, structure.height):
        raise ValueError("Pillow and the header disagree about the size.")


def _read(image: Image.Image, data: bytes, structure: PngStructure | None) -> Grey:
    several = bool(getattr(image, "is_animated", False))
    if structure is not None and structure.depth == 16 and structure.colour != 0:
        image.load()  # for the text after the pixels
        grey, warnings = _decode_deep(data, image.size)
    else:
        grey, warnings = pillow_to_grey(image)
    return grey, ((SEVERAL_PAGES, *warnings) if several else warnings)


def _orientation(image: Image.Image) -> int:
    """Return orientation 1 to 8 from EXIF, else from ImageMagick's profiles, else from XMP."""
    if isinstance(image, AvifImagePlugin.AvifImageFile):
        # Pillow moves AVIF's own turn into EXIF.
        return image.getexif().get(0x0112, 1)
    block = image.info.get("exif")
    for name in ("exif", "APP1", "app1"):
        block = block or hexadecimal_profile(image.info.get(f"Raw profile type {name}", ""))
    if block and (orientation := exif_orientation(block)) != 1:
        return orientation
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    packet = packet or hexadecimal_profile(image.info.get("Raw profile type xmp", ""))
    return xmp_orientation(packet)


def pillow_to_grey(image: Image.Image) -> Grey:
    """Load the pixels of an image whose size was checked, and flatten them.

    Args:
        image: Opened by Pillow.

    Returns:
        uint8 (H, W), writable, and warnings.
    """
    image.load()
    if image.mode == "1":
        return np.array(image.convert("L")), (BILEVEL_WARNING,)
    if image.mode == "L" and "transparency" not in image.info:
        return np.array(image), ()
    if image.mode.startswith("I;16"):
        return window_integers(np.asarray(image).astype(np.uint16, copy=False))
    if image.mode == "I":
        return window_integers(np.asarray(image).astype(np.uint16))
    return _flat(image)


def _flat(image: Image.Image) -> Grey:
    """Flatten colour and transparency within Pillow, which keeps one copy of the image, not four."""
    if "transparency" in image.info or image.mode in ("PA", "La", "RGBa"):
        image = image.convert("RGBA")
    elif image.mode not in ("RGB", "RGBA", "LA"):
        image = image.convert("RGB")
    grey = np.array(image.convert("L"))
    warnings: tuple[str, ...] = ()
    step = max(int((image.width * image.height / 500_000) ** 0.5), 1)
    sample = image.resize((-(-image.width // step), -(-image.height // step)), Image.Resampling.NEAREST)
    colours = np.asarray(sample.convert("RGB"))
    if is_colour(colours):
        warnings = (COLOUR_WARNING, *tint_warnings(colours))
    if image.mode in ("RGBA", "LA"):
        alpha = np.asarray(image.getchannel("A"))
        if not alpha.any():
            # Programs that know nothing of transparency leave it at zero.
            warnings = (*warnings, ALL_TRANSPARENT_WARNING)
        elif alpha.min() < 255:
            cv2.multiply(grey, alpha, dst=grey, scale=1 / 255)
            warnings = (*warnings, TRANSPARENT_WARNING)
    return grey, warnings


def _decode_deep(data: bytes, size: tuple[int, int]) -> Grey:
    """Decode 16 bit colour or alpha with OpenCV, which keeps the depth, as stored."""
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if stored is None or stored.shape[1::-1] != size or stored.dtype != np.uint16:
        raise ValueError("OpenCV cannot decode this image")
    if stored.ndim == 2:
        return window_integers(stored)
    if stored.shape[2] >= 3:
        cv2.cvtColor(stored, cv2.COLOR_BGR2RGB if stored.shape[2] == 3 else cv2.COLOR_BGRA2RGBA, dst=stored)
    grey, warnings = flatten(stored)
    windowed, more = window_integers(grey)
    return windowed, warnings + more
