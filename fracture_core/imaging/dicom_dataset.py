"""A DICOM file's elements, parsed within bounds: how much it may inflate, how many elements, how long a value."""

from __future__ import annotations

import io
import logging
import unicodedata
import warnings
import zlib
from collections.abc import Sequence
from typing import Any

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from fracture_core.imaging.limits import MAX_BYTES, UnreadableRadiograph

# What pydicom finds odd it quotes, patients' names included; none of that may reach a log.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")

#: Reads that parsing a header may take, about two an element; real radiographs need some hundreds.
_MAX_READS = 60_000
#: Longest header value that is interpreted, in bytes; tables of 65,536 entries of 16 bit fit.
_MAX_VALUE = 2**20
_DEFLATED = "1.2.840.10008.1.2.1.99"
_IMPLICIT = "1.2.840.10008.1.2"
#: Longest piece of header text that is handed on, in characters.
_MAX_TEXT = 64


class _BoundedReads(io.BytesIO):
    """A file in memory that refuses to be read in too many small pieces: endless nesting, millions of elements."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.left = _MAX_READS + len(data) // 4096

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise UnreadableRadiograph("The DICOM file is damaged: its header has too many parts.")
        return super().read(size)


def is_dicom(data: bytes) -> bool:
    """Whether bytes look like DICOM: the prefix after the preamble, or an early element at the start (older files)."""
    if data[128:132] == b"DICM":
        return True
    group, element = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4], "little")
    return len(data) > 132 and group in (2, 8) and element < 0x20 and (data[4:6].isalpha() or data[6:8] == b"\0\0")


def open_dataset(data: bytes) -> Dataset:
    """Parse a DICOM file; `file_meta` is always there. Raises UnreadableRadiograph or what pydicom raises."""
    _check_inflated(data)
    dataset = pydicom.dcmread(_BoundedReads(data), force=True)
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
    return dataset


def _check_inflated(data: bytes) -> None:
    """Refuse a deflated file that would inflate beyond the size of any file read here."""
    if data[128:132] != b"DICM":
        return
    file = _BoundedReads(data[132 : 132 + 2**16])
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    if str(meta.get("TransferSyntaxUID", "")) != _DEFLATED:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    start = 132 + file.tell()
    if len(inflater.decompress(data[start:], MAX_BYTES)) >= MAX_BYTES:
        raise UnreadableRadiograph(
            f"The DICOM file unpacks to more than {MAX_BYTES // 2**20} MB, which is more than can be read here."
        )


def transfer_syntax(dataset: Dataset) -> str:
    """The transfer syntax's UID, fit to be shown; where an old file does not say, the one in which it was parsed."""
    stated = text(dataset.file_meta.get("TransferSyntaxUID", ""))
    if stated:
        return stated
    return _IMPLICIT if dataset.original_encoding[0] else "1.2.840.10008.1.2.1"


def value(dataset: Dataset, keyword: str) -> Any:
    """An element's value, None where absent or empty; raises UnreadableRadiograph where it is absurdly long."""
    if keyword not in dataset:
        return None
    raw = dataset.get_item(keyword)
    if isinstance(raw, RawDataElement) and len(raw.value or b"") > _MAX_VALUE:
        raise UnreadableRadiograph("The DICOM file is damaged: a part of its header is far too long.")
    found = dataset[keyword].value
    return None if found is None or found == "" else found


def integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """An element's value as an integer; raises UnreadableRadiograph where it is neither one nor has a default."""
    found = value(dataset, keyword)
    try:
        return default if found is None and default is not None else int(found)
    except (TypeError, ValueError) as error:
        raise UnreadableRadiograph(f"The DICOM file is damaged: its header does not say {keyword}.") from error


def several(found: Any) -> list[Any]:
    """A value of multiplicity 0 to n as a list."""
    if found is None:
        return []
    return list(found) if isinstance(found, Sequence) and not isinstance(found, (str, bytes)) else [found]


def text(found: Any) -> str:
    """A value as one short line without control characters; "" for None."""
    parts = (str(part) for part in several(found)[:8])
    line = " ".join(" ".join(parts).split())
    return "".join(c for c in line if unicodedata.category(c)[0] != "C")[:_MAX_TEXT].strip()
