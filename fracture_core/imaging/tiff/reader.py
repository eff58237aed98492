"""TIFF files to grey: classic and BigTIFF, strips and tiles, every depth, layout and compression in use.

The file is parsed here and not by a library, because libraries leave memory uninitialised where a file lacks strips or
stores its planes apart, apply an orientation in some layouts only, and refuse sound files of unusual depth.
"""

from __future__ import annotations

import math

import numpy as np

from fracture_core.imaging.exif import turned, xmp_orientation
from fracture_core.imaging.greyscale import (
    BILEVEL_WARNING,
    COLOUR_WARNING,
    flatten,
    is_colour,
    pixel_shape_warnings,
    scaled_integers,
    window_floats,
    window_integers,
)
from fracture_core.imaging.limits import DecodedImage, UnreadableRadiograph, size_warnings
from fracture_core.imaging.tiff.directory import Directory, directories
from fracture_core.imaging.tiff.layout import (
    BLACK_IS_ZERO,
    CIELAB,
    CMYK,
    ICCLAB,
    IMAGES,
    PALETTE,
    RGB,
    WHITE_IS_ZERO,
    YCBCR,
    TiffLayout,
    layout_of,
    unsupported,
)
from fracture_core.imaging.tiff.samples import read_samples
from fracture_core.imaging.truncation import blacken_missing

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _T4_OPTIONS, _COLOUR_MAP, _JPEG_TABLES, _XMP = (
    274,
    282,
    283,
    292,
    320,
    347,
    700,
)

Grey = tuple[np.ndarray, tuple[str, ...]]


def read_tiff(data: bytes, *, accept_cut_short: bool = False) -> DecodedImage:
    """Decode the first full-size image of a TIFF file to grey.

    Args:
        data: The file.
        accept_cut_short: Read a file that lacks strips or tiles as far as it goes, its missing rows black (air).

    Returns:
        The image.

    Raises:
        UnreadableRadiograph: The file contains no image, one of an unsupported kind, or one that is too large or
            truncated.
    """
    pages, _ = directories(data)
    directory = pages[0]
    layout = layout_of(directory)
    tables = b"".join(value for value in directory.values(_JPEG_TABLES) if isinstance(value, bytes))
    samples = read_samples(data, layout, tables, directory.number(_T4_OPTIONS, 0))
    grey, warnings = _to_grey(samples.values, layout, directory)
    missing, truncated = blacken_missing(
        grey, samples.present, accept=accept_cut_short, damaged=samples.damaged, sound=samples.sound
    )
    grey = turned(grey, _orientation(directory))
    if len(pages) > 1:
        warnings = (f"The file holds {len(pages)} pages; only the first is read.", *warnings)
    shape = pixel_shape_warnings(_pixel_shape(directory))
    return DecodedImage(grey, size_warnings(*grey.shape[::-1]) + truncated + shape + warnings, missing)


def _orientation(directory: Directory) -> int:
    stated = directory.number(_ORIENTATION)
    if stated is not None:
        return stated
    packet = directory.values(_XMP)
    return xmp_orientation(packet[0]) if packet and isinstance(packet[0], bytes) else 1


def _pixel_shape(directory: Directory) -> float:
    """Return the height of a pixel by its width; 1.0 where the file does not say."""
    across, down = directory.values(_X_RESOLUTION), directory.values(_Y_RESOLUTION)
    if len(across) != 2 or len(down) != 2 or not all(across + down):
        return 1.0
    return across[0] / across[1] / (down[0] / down[1])


def _to_grey(values: np.ndarray, layout: TiffLayout, directory: Directory) -> Grey:
    """Turn samples (H, W, n) into grey uint8 (H, W), by their photometric interpretation and depth."""
    photometric = layout.photometric
    if photometric == YCBCR and layout.compression in IMAGES:
        photometric = RGB  # the decoder has undone it
    if photometric == PALETTE:
        return _palette(values[:, :, 0], layout, directory)
    values = values[:, :, : layout.used]
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        return _real(values, layout, photometric)
    if photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) or values.shape[2] < 3:
        return _monochrome(values, layout, photometric)
    values = _at_full_depth(values, layout.bits)
    if photometric == CMYK:
        values = _without_ink(values)
    elif photometric in (YCBCR, CIELAB, ICCLAB):
        return _lightness(values, photometric)
    grey, warnings = flatten(np.ascontiguousarray(values))
    if grey.dtype == np.uint8:
        return grey, warnings
    grey, more = window_integers(grey)
    return grey, warnings + more


def _monochrome(values: np.ndarray, layout: TiffLayout, photometric: int) -> Grey:
    warnings: tuple[str, ...] = ()
    transparent = values.shape[2] == 2
    if transparent:
        values = _at_full_depth(values, layout.bits)
        if photometric == WHITE_IS_ZERO:
            # Before what is transparent becomes black.
            values = np.dstack([np.iinfo(values.dtype).max - values[:, :, 0], values[:, :, 1]])
        grey, warnings = flatten(np.ascontiguousarray(values))
    else:
        grey = np.ascontiguousarray(values[:, :, 0])
    if layout.bits == 1:
        warnings += (BILEVEL_WARNING,)
    if grey.dtype != np.uint8:
        grey, more = window_integers(grey)
        warnings += more
    elif layout.bits < 8 and not transparent:
        grey = scaled_integers(grey, layout.bits)
    return (255 - grey if photometric == WHITE_IS_ZERO and not transparent else grey), warnings


def _at_full_depth(values: np.ndarray, bits: int) -> np.ndarray:
    """Scale colours of an odd depth to the whole of the type that holds them."""
    full = 8 * values.dtype.itemsize
    if bits == full:
        return values
    top = (1 << bits) - 1
    return ((values.astype(np.uint32) * ((1 << full) - 1) + top // 2) // top).astype(values.dtype)


def _without_ink(values: np.ndarray) -> np.ndarray:
    """Turn cyan, magenta, yellow and black (H, W, 4) into RGB of the same depth."""
    top = np.iinfo(values.dtype).max
    paper = top - values.astype(np.uint32)
    return (paper[:, :, :3] * paper[:, :, 3:] // top).astype(values.dtype)


def _lightness(values: np.ndarray, photometric: int) -> Grey:
    """Return the first of three samples, which is the grey, with a warning where the other two hold colour."""
    if values.dtype != np.uint8:
        values = (values >> 8).astype(np.uint8)
    centre = 0 if photometric == CIELAB else 128
    step = max(1, math.isqrt(values.shape[0] * values.shape[1] // 500_000))
    chroma = (values[::step, ::step, 1:3] - np.uint8(centre)).view(np.int8).astype(int)
    coloured = np.count_nonzero(np.abs(chroma).max(axis=2) > 8) > 0.001 * chroma[:, :, 0].size
    return np.ascontiguousarray(values[:, :, 0]), ((COLOUR_WARNING,) if coloured else ())


def _palette(places: np.ndarray, layout: TiffLayout, directory: Directory) -> Grey:
    entries = np.array(directory.values(_COLOUR_MAP), np.uint32)
    count = len(entries) // 3
    if layout.bits > 16 or places.dtype.kind != "u" or not count:
        raise unsupported(f"a palette of {count} colours for {layout.bits} bits")
    table = entries[: 3 * count].reshape(3, count).T
    # Some writers fill in 8 bit colours where 16 belong.
    table = (table if table.max() < 256 else table >> 8).astype(np.uint8)
    if int(places.max()) >= count:
        raise UnreadableRadiograph("The TIFF image is damaged: it uses colours beyond its palette.")
    grey_table, _ = flatten(table[None])
    step = max(1, math.isqrt(places.size // 500_000))
    coloured = is_colour(table[places[::step, ::step]])
    return grey_table[0][places], ((COLOUR_WARNING,) if coloured else ())


def _real(values: np.ndarray, layout: TiffLayout, photometric: int) -> Grey:
    """Window samples that are signed, wide or floating-point."""
    warnings: tuple[str, ...] = ()
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        raise unsupported(f"photometric interpretation {photometric} of {layout.bits} bits")
    if photometric == RGB:
        with np.errstate(all="ignore"):
            values = values[:, :, :3].astype(np.float64) @ (0.299, 0.587, 0.114)
    else:
        values = values[:, :, 0]
    if values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 65_535:
        grey, more = window_integers(np.ascontiguousarray(values).astype(np.uint16))
    else:
        grey, more = window_floats(values)
    if photometric == WHITE_IS_ZERO:
        grey = 255 - grey
        if values.dtype.kind == "f":
            grey[~np.isfinite(values)] = 0
    return grey, warnings + more
