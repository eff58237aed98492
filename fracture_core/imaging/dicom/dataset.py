"""A DICOM file's elements, parsed within bounds: how much it may inflate, how many elements, how long a value."""

from __future__ import annotations

import io
import logging
import math
import struct
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from fracture_core.imaging.dicom.body import inflated, is_big_endian
from fracture_core.imaging.dicom.unknown_sequences import without_unknown_sequences
from fracture_core.imaging.limits import UnreadableRadiograph

# What pydicom finds odd it quotes, patients' names included; none of that may reach a log.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")

#: Reads that parsing a header may take, about two an element; real radiographs need some hundreds.
_MAX_READS = 60_000
#: Longest header value that is interpreted, in bytes; tables of 65,536 entries of 16 bit fit.
_MAX_VALUE = 2**20
_DEFLATED, _IMPLICIT, _EXPLICIT = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
#: Longest piece of header text that is handed on, in characters.
_MAX_TEXT = 64
_PIXEL_DATA, _FLOAT_PIXEL_DATA = 0x7FE00010, (0x7FE00008, 0x7FE00009)
_UNDEFINED = 0xFFFFFFFF
#: Representations of pixel data as they are written.
_WRITTEN = (b"OB\0\0", b"OW\0\0")
#: Value representations whose length takes four bytes (PS3.5, 7.1.2).
_LONG_REPRESENTATIONS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}


@dataclass(frozen=True, eq=False)
class PixelElement:
    """The pixel data of a file, not interpreted.

    Attributes:
        data: As far as the file goes.
        length: Bytes that the element says it has; None where it is encapsulated.
        following: The first bytes after it; empty where it is encapsulated.
        representation: "OB", "OW" or "", where the encoding does not say.
        real: Whether values are floating-point numbers.
    """

    data: bytes = field(repr=False)
    length: int | None
    representation: str
    real: bool
    following: bytes = b""


@dataclass(frozen=True, eq=False)
class DicomFile:
    """A parsed file: its elements but for the pixel data, and those.

    Attributes:
        dataset: `file_meta` is always there.
        syntax: Transfer syntax UID; "" where a file that has none is encapsulated.
        stated: Whether the file itself says that syntax.
        big_endian: Whether words are stored with their high byte first.
        pixels: None where there are none.
        whole: Whether the file says that it is not cut off; of the deflated ones alone it can be told.
    """

    dataset: Dataset
    syntax: str
    stated: bool
    big_endian: bool
    pixels: PixelElement | None
    whole: bool = False


class _BoundedReads(io.BytesIO):
    """A file in memory that refuses to be read in too many small pieces: endless nesting, millions of elements."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.left = _MAX_READS + len(data) // 4096

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise UnreadableRadiograph("The DICOM file is damaged: its header has too many elements.")
        return super().read(size)


def is_dicom(data: bytes) -> bool:
    """Return whether bytes look like DICOM: the prefix after the preamble, or an early element at the start.

    Args:
        data: The file.

    Returns:
        Whether they do.
    """
    if b"DICM" in (data[128:132], data[:4]):
        return True
    if len(data) <= 132:
        return False
    order: Literal["little", "big"] = "little" if data[1] == 0 else "big"
    group, element = int.from_bytes(data[:2], order), int.from_bytes(data[2:4], order)
    return group in (2, 8) and element < 0x0100 and (data[4:6].isalpha() or data[6:8] == b"\0\0")


def open_file(data: bytes) -> DicomFile:
    """Parse a DICOM file, with or without preamble and meta header.

    Args:
        data: The file.

    Returns:
        The parsed file.

    Raises:
        UnreadableRadiograph: The file unpacks to too much, or has too many elements.
        Exception: Whatever pydicom raises for damage.
    """
    if data[:4] == b"DICM":
        data = bytes(128) + data  # written without the preamble
    meta, start = _meta_header(data)
    stated = text(meta.get("TransferSyntaxUID", ""))
    if stated and stated != _DEFLATED and is_big_endian(data, start) is (stated != _BIG_ENDIAN):
        data, stated = data[start:], ""  # the elements themselves are believed before what the file says of them
    whole = False
    if stated == _DEFLATED:
        data, whole = inflated(data, start)
    elif stated == _BIG_ENDIAN:
        data = without_unknown_sequences(data)
    source = _BoundedReads(data)
    dataset = pydicom.dcmread(source, force=True, stop_before_pixels=True)
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
    if stated == _DEFLATED:
        dataset.file_meta = pydicom.dataset.FileMetaDataset(meta)
    implicit, little = dataset.original_encoding
    pixels = _pixel_element(data, source.tell(), bool(implicit), "<" if little is not False else ">")
    syntax = stated
    if not stated:
        encapsulated = pixels is not None and pixels.length is None
        syntax = "" if encapsulated else _IMPLICIT if implicit else _EXPLICIT if little else _BIG_ENDIAN
    return DicomFile(dataset, syntax, bool(stated), little is False, pixels, whole)


def _meta_header(data: bytes) -> tuple[Dataset, int]:
    """Return the elements of group 2, and where the others begin."""
    start = 132 if data[128:132] == b"DICM" else 0
    if data[start : start + 2] != b"\x02\0":
        return pydicom.dataset.FileMetaDataset(), start
    source = _BoundedReads(data[start : start + 2**16])
    meta = read_dataset(source, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    return pydicom.dataset.FileMetaDataset(meta), start + source.tell()


def _pixel_element(data: bytes, place: int, implicit: bool, order: str) -> PixelElement | None:
    """Return the pixel data that begin at an offset, where the other elements were read up to."""
    if place + 8 > len(data):
        return None
    group, element = struct.unpack_from(order + "HH", data, place)
    tag = group << 16 | element
    if tag != _PIXEL_DATA and tag not in _FLOAT_PIXEL_DATA:
        return None
    # Some writers say that representations are explicit and leave them out, or the reverse; read as a length, both
    # that pixel data can have are odd numbers, which no length is.
    implicit = not data[place + 4 : place + 6].isalpha() or (implicit and data[place + 4 : place + 8] not in _WRITTEN)
    representation = b"" if implicit else data[place + 4 : place + 6]
    if implicit or representation not in _LONG_REPRESENTATIONS:
        code, start = ("I", place + 4) if implicit else ("H", place + 6)
    else:
        code, start = "I", place + 8
    if start + struct.calcsize(code) > len(data):
        return None
    (length,) = struct.unpack_from(order + code, data, start)
    start += struct.calcsize(code)
    encapsulated = length == _UNDEFINED
    return PixelElement(
        data=data[start:] if encapsulated else data[start : start + length],
        length=None if encapsulated else length,
        representation=representation.decode("latin-1"),
        real=tag != _PIXEL_DATA,
        following=b"" if encapsulated else data[start + length : start + length + 8],
    )


def value(dataset: Dataset, keyword: str) -> Any:
    """Return the value of an element.

    Args:
        dataset: The dataset.
        keyword: The element's keyword.

    Returns:
        None if it is absent or empty; text if it does not match its type.

    Raises:
        UnreadableRadiograph: The value is absurdly long.
    """
    if keyword not in dataset:
        return None
    raw = dataset.get_item(keyword)
    if isinstance(raw, RawDataElement) and len(raw.value or b"") > _MAX_VALUE:
        raise UnreadableRadiograph("The DICOM file is damaged: a value in its header is far too long.")
    try:
        content = dataset[keyword].value
    except (UnreadableRadiograph, MemoryError):
        raise
    except Exception:  # a number with a comma, a letter or a unit in it
        content = [part.strip("\0 ") for part in (raw.value or b"").decode("latin-1").split("\\")]
    return None if content is None or content in ("", []) else content


def integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Return the value of an element as an integer.

    Args:
        dataset: The dataset.
        keyword: The element's keyword.
        default: Returned if the value is absent or unusable.

    Returns:
        The integer.

    Raises:
        UnreadableRadiograph: It is not an integer, and there is no default.
    """
    content = several(value(dataset, keyword))
    try:
        return int(content[0]) if isinstance(content[0], int) else int(float(str(content[0])))
    except (IndexError, TypeError, ValueError, OverflowError) as error:
        if default is not None:
            return default
        raise UnreadableRadiograph(
            f"The DICOM header does not state {keyword}, without which its image cannot be read."
        ) from error


def numbers(dataset: Dataset, keyword: str) -> list[float | None]:
    """Return the values of an element as numbers; a decimal comma counts as a point.

    Args:
        dataset: The dataset.
        keyword: The element's keyword.

    Returns:
        The numbers, None for each unusable one.
    """
    return [_number(part) for part in several(value(dataset, keyword))]


def _number(content: Any) -> float | None:
    try:
        number = float(content) if not isinstance(content, (str, bytes)) else float(str(content).replace(",", "."))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def several(content: Any) -> list[Any]:
    """Return a value of multiplicity 0 to n as a list.

    Args:
        content: The value.

    Returns:
        The list.
    """
    if content is None:
        return []
    return list(content) if isinstance(content, Sequence) and not isinstance(content, (str, bytes)) else [content]


def text(content: Any) -> str:
    """Return a value as one short line without control characters.

    Args:
        content: The value.

    Returns:
        The text; "" for None.
    """
    parts = (str(part) for part in several(content)[:8])
    line = " ".join(" ".join(parts).split())
    return "".join(c for c in line if unicodedata.category(c)[0] != "C")[:_MAX_TEXT].strip()
