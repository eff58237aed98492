"""The layout of a TIFF image in its file: sizes, depths, strips or tiles, and what is not supported."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from fracture_core.imaging.limits import UnreadableRadiograph, check_size
from fracture_core.imaging.tiff.directory import Directory

#: Tags, by their names in the specification.
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_COUNTS, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_COUNTS = 322, 323, 324, 325
_EXTRA, _FORMAT, _WHOLE_JPEG, _WHOLE_JPEG_LENGTH, _SUBSAMPLING = 338, 339, 513, 514, 530
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_UNASSOCIATED = 2

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 4, 5, 6, 8, 9
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, MASK: 1, CMYK: 4, YCBCR: 3, CIELAB: 3, ICCLAB: 3}
NONE, LZW, OLD_JPEG, JPEG, PACKBITS, LZMA, ZSTD, WEBP, JPEG_XL = 1, 5, 6, 7, 32773, 34925, 50000, 50001, 50002
CCITT, DEFLATE, JPEG_2000 = (2, 3, 4), (8, 32946), (34712, 33003, 33004, 33005)
#: Compressions that hold a whole image of their own, not a run of samples.
IMAGES = (OLD_JPEG, JPEG, WEBP, JPEG_XL, *JPEG_2000)
_KNOWN = (NONE, LZW, PACKBITS, LZMA, ZSTD, *CCITT, *DEFLATE, *IMAGES)
_NAMES = {32766: "NeXT", 32809: "ThunderScan", 34676: "SGI LogL", 34677: "SGI LogLuv", 34887: "LERC"}
_MAX_SAMPLES = 16
#: Strips or tiles that are put together one by one; more would take seconds.
_MAX_SEGMENTS = 60_000


@dataclass(frozen=True)
class TiffLayout:
    """Where the samples of one TIFF image are, and what they are.

    Attributes:
        dtype: Of a decoded sample, in the machine's byte order; samples of other depths are widened to it.
        bits: Of a sample as it is stored.
        planes: 1 where the samples of a pixel are stored together, else `samples`.
        segment: Height and width of a strip or tile, in pixels.
        tiled: Whether segments are tiles, which are stored whole even where they reach beyond the image.
        offsets, lengths: Of each segment in the file, in bytes; one plane after the other.
        subsampling: Horizontal and vertical, of the colour of a YCbCr image.
    """

    order: str
    height: int
    width: int
    samples: int
    bits: int
    dtype: np.dtype
    photometric: int
    compression: int
    predictor: int
    fill_order: int
    planes: int
    tiled: bool
    segment: tuple[int, int]
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    extra: tuple[int, ...]
    subsampling: tuple[int, int]

    @property
    def colours(self) -> int:
        """Samples of a pixel that are colour or grey; the others are transparency or of no known meaning."""
        return min(_COLOURS[self.photometric], self.samples)

    @property
    def used(self) -> int:
        """Samples of a pixel that decide how it looks: its colours, and transparency that they do not hold already."""
        transparent = self.extra[:1] == (_UNASSOCIATED,) and self.samples > self.colours < 4
        return self.colours + transparent

    @property
    def grid(self) -> tuple[int, int]:
        """Segments down and across."""
        return math.ceil(self.height / self.segment[0]), math.ceil(self.width / self.segment[1])

    @property
    def in_segment(self) -> int:
        """Samples of a pixel that one segment holds."""
        return self.samples if self.planes == 1 else 1


def layout_of(directory: Directory) -> TiffLayout:
    """Return the layout of a directory's image, checked against the limits.

    Args:
        directory: The directory.

    Returns:
        The layout.

    Raises:
        UnreadableRadiograph: The image is too large or small, of an unsupported kind (named), or its tags contradict
            each other.
    """
    width, height = directory.number(_WIDTH), directory.number(_LENGTH)
    if width is None or height is None:
        raise UnreadableRadiograph("The TIFF image is damaged: the file does not state its size.")
    samples = directory.number(_SAMPLES) or (3 if directory.number(_PHOTOMETRIC) in (RGB, YCBCR) else 1)
    bits, dtype = _depth(directory, samples)
    check_size(width, height, min(samples, _MAX_SAMPLES) * max(dtype.itemsize, 1))
    compression = directory.number(_COMPRESSION, NONE)
    photometric = directory.number(_PHOTOMETRIC, BLACK_IS_ZERO if samples < 3 else RGB)
    _check_kind(compression, photometric, samples)
    planes = samples if directory.number(_PLANAR, 1) == 2 and samples > 1 else 1
    tiled = _is_tiled(directory, height, width, planes)
    segment = _segment(directory, height, width, tiled=tiled)
    offsets = tuple((tiled and directory.values(_TILE_OFFSETS)) or directory.values(_STRIP_OFFSETS))
    lengths = tuple((tiled and directory.values(_TILE_COUNTS)) or directory.values(_STRIP_COUNTS))
    if compression == OLD_JPEG:
        offsets, lengths = _whole_jpeg(directory)
        tiled, planes, segment = False, 1, (height, width)
    else:
        least = segment[0] * -(-width * samples * bits // 8) if compression == NONE and planes == 1 else 0
        lengths = _true_lengths(directory, offsets, lengths, least)
    layout = TiffLayout(
        order=directory.order,
        height=height,
        width=width,
        samples=samples,
        bits=bits,
        dtype=dtype,
        photometric=photometric,
        compression=compression,
        predictor=directory.number(_PREDICTOR, 1),
        fill_order=directory.number(_FILL_ORDER, 1),
        planes=planes,
        tiled=tiled,
        segment=segment,
        offsets=offsets,
        lengths=lengths,
        extra=tuple(directory.values(_EXTRA)),
        subsampling=_subsampling(directory, photometric, compression),
    )
    if math.prod(layout.grid) * planes > _MAX_SEGMENTS:
        raise unsupported(f"{math.prod(layout.grid) * planes:,} strips or tiles")
    return layout


def _true_lengths(
    directory: Directory, offsets: tuple[int, ...], lengths: tuple[int, ...], least: int
) -> tuple[int, ...]:
    """Return lengths of segments, after mending those that every other reader of TIFF mends, too.

    Args:
        directory: Whose image it is.
        offsets: Of the segments.
        lengths: As stated; some writers state 0, or a number of their own for the only strip.
        least: Bytes of a segment that is not compressed; 0 where that cannot be known.
    """
    # A segment ends where anything else that is known of begins.
    known = sorted({*offsets, *(offset for _, _, offset in directory.entries.values()), len(directory.data)})
    room = [known[min(bisect_right(known, start), len(known) - 1)] - start for start in offsets]
    mended = [
        space if not length and start else length for length, start, space in zip(lengths, offsets, room, strict=False)
    ]
    if len(mended) == len(offsets) == 1 and mended[0] < least:
        to_the_end = offsets[0] + room[0] == len(directory.data)
        mended[0] = least if to_the_end or least <= room[0] else mended[0]
    return tuple(mended)


def _whole_jpeg(directory: Directory) -> tuple[tuple[int], tuple[int, ...]]:
    """Return start and length of an old-style JPEG stream, which can be read only if the file keeps it in one piece."""
    start, length = directory.number(_WHOLE_JPEG), directory.number(_WHOLE_JPEG_LENGTH)
    if not start:
        raise unsupported("old-style JPEG compression in pieces")
    return (start,), (length,) if length else ()


def _subsampling(directory: Directory, photometric: int, compression: int) -> tuple[int, int]:
    values = tuple(directory.values(_SUBSAMPLING)) or (2, 2)
    if photometric == YCBCR and compression not in IMAGES and not set(values) <= {1, 2, 4}:
        raise UnreadableRadiograph("The TIFF image is damaged: its colour subsampling is invalid.")
    return int(values[0]), int(values[-1])


def _depth(directory: Directory, samples: int) -> tuple[int, np.dtype]:
    """Return the bits of a stored sample and the type that holds it decoded."""
    every = directory.values(_BITS)[:samples] or (1,)
    sort = directory.number(_FORMAT, _UNSIGNED)
    # 4, undefined, is written by scanners for plain integers.
    sort = _UNSIGNED if sort == 4 else sort
    bits = int(every[0])
    whole = {_UNSIGNED: range(1, 33), _SIGNED: (8, 16, 32, 64), _FLOAT: (16, 24, 32, 64)}
    if len(set(every)) > 1 or (bits != 64 and bits not in whole.get(sort, ())) or not 1 <= samples <= _MAX_SAMPLES:
        kind = {_SIGNED: "signed", _FLOAT: "floating-point"}.get(sort, "" if sort == _UNSIGNED else "complex")
        depths = ", ".join(str(depth) for depth in dict.fromkeys(every[:8]))
        raise unsupported(f"{samples} {kind} samples of {depths} bits".replace("  ", " "))
    size = next(size for size in (1, 2, 4, 8) if 8 * size >= bits)
    return bits, np.dtype(f"{ {_SIGNED: 'i', _FLOAT: 'f'}.get(sort, 'u') }{size}")


def _check_kind(compression: int, photometric: int, samples: int) -> None:
    if compression not in _KNOWN:
        name = _NAMES.get(compression)
        raise unsupported(f"compression {compression}" + (f", {name}" if name else ""))
    if photometric not in _COLOURS or samples < min(_COLOURS[photometric], 3):
        raise unsupported(f"{samples} samples of photometric interpretation {photometric}")


def _is_tiled(directory: Directory, height: int, width: int, planes: int) -> bool:
    """Return whether segments are tiles; some writers list where they are as if they were strips."""
    across, down = directory.number(_TILE_WIDTH, 0), directory.number(_TILE_LENGTH, 0)
    if across < 1 or down < 1 or directory.values(_TILE_OFFSETS):
        return directory.number(_TILE_WIDTH) is not None and bool(directory.values(_TILE_OFFSETS))
    tiles = math.ceil(height / down) * math.ceil(width / across) * planes
    strips = math.ceil(height / max(directory.number(_ROWS_PER_STRIP, height), 1)) * planes
    return len(directory.values(_STRIP_OFFSETS)) == tiles != strips


def _segment(directory: Directory, height: int, width: int, *, tiled: bool) -> tuple[int, int]:
    if not tiled:
        rows = directory.number(_ROWS_PER_STRIP, height)
        # 0 and every number beyond the image mean one strip, as does -1 of writers that take it for a signed number.
        return (min(rows, height) if rows > 0 else height), width
    across, down = directory.number(_TILE_WIDTH, 0), directory.number(_TILE_LENGTH, 0)
    # Every tile is decoded whole, however little of it the image needs.
    if across < 1 or down < 1 or across * down > 4 * max(width * height, 512 * 512):
        raise UnreadableRadiograph("The TIFF image is damaged: its tiles are larger than the image.")
    return down, across


def unsupported(what: str) -> UnreadableRadiograph:
    """Return the error for an undamaged TIFF file of an unsupported kind.

    Args:
        what: The kind.

    Returns:
        The error.
    """
    return UnreadableRadiograph(
        f"TIFF images of this kind ({what}) are not supported. "
        "Please export it as an 8 or 16 bit greyscale TIFF or PNG."
    )
