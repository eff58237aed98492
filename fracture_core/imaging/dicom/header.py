"""Read the header of a DICOM radiograph: its kind, body part, and VOI transforms."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from fracture_core.imaging.dicom.dataset import DicomFile, integer, numbers, several, text, value
from fracture_core.imaging.dicom.voi import Lut, VoiTransform, Window
from fracture_core.imaging.limits import UnreadableRadiograph

#: Modalities that are plain radiographs, the vendors' own names among them; and those that may be (a screenshot, an
#: unknown device).
RADIOGRAPHS = ("CR", "DX", "RG", "DR", "XR", "RX", "RAD", "XRAY", "X-RAY")
PERHAPS_RADIOGRAPHS = ("OT", "SC", "")
_MODALITIES = {
    "CT": "a CT",
    "MR": "an MRI",
    "US": "an ultrasound",
    "NM": "a nuclear medicine",
    "PT": "a PET",
    "MG": "a mammography",
    "XA": "an angiography",
    "RF": "a fluoroscopy",
    "IO": "a dental",
    "PX": "a dental panorama",
    "BMD": "a bone density",
    "ES": "an endoscopy",
    "XC": "a photograph",
    "SM": "a microscopy",
    "SR": "a report",
    "DOC": "a document",
    "PR": "a presentation state",
    "KO": "a key-object",
}
#: Words in the names of object classes that no plain radiograph has.
_OTHER_CLASSES = ("CT ", "MR ", "Ultrasound", "Nuclear", "Positron")
#: What a modality may be written in; anything else is damage, and may be somebody's name.
_CODE = re.compile(r"[A-Z0-9 _-]{1,16}")
_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
_NO_PIXELS = "This DICOM file contains no image"


@dataclass(frozen=True)
class DicomHeader:
    """What a DICOM header says about the radiograph, and nothing about the patient.

    Text is as the file has it, shortened, "" where it does not say.

    Attributes:
        windows: Names of the VOI LUTs and windows that the file offers, in the order in which `window` of
            `read_radiograph` counts them; empty where there is nothing to choose.
        pixel_spacing: Millimetres from one pixel of the image as it is shown to the next, (across, down), or None.
        spacing_at_detector: Whether they were measured at the detector, where the anatomy is somewhat magnified.
    """

    modality: str
    body_part: str
    view: str
    number_of_frames: int
    windows: tuple[str, ...]
    pixel_spacing: tuple[float, float] | None = None
    spacing_at_detector: bool = False


def check_kind(file: DicomFile) -> None:
    """Reject what is not a radiograph, by its modality or else by its SOP class.

    Args:
        file: The file.

    Raises:
        UnreadableRadiograph: The file has another modality, contains no image, or contains raw detector data.
    """
    dataset = file.dataset
    modality = text(value(dataset, "Modality")).upper()
    # Cleaned, as all text is: a damaged length may make the rest of the header a part of it.
    kind = text(value(dataset, "SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    if modality not in RADIOGRAPHS + PERHAPS_RADIOGRAPHS:
        if not _CODE.fullmatch(modality):
            raise UnreadableRadiograph("The DICOM file is damaged: what it states as its modality is no code.")
        what = _MODALITIES.get(modality, f"a {modality!r}")
        raise UnreadableRadiograph(f"This is {what} file ({modality}), not a plain radiograph (CR or DX).")
    name = UID(kind).name if kind else ""
    if file.pixels is None:
        if "Rows" in dataset:
            raise UnreadableRadiograph(f"{_NO_PIXELS}: it describes one, but ends before its pixel data.")
        raise UnreadableRadiograph(f"{_NO_PIXELS} ({name})." if name and name != kind else f"{_NO_PIXELS}.")
    if modality not in RADIOGRAPHS and any(word in name for word in _OTHER_CLASSES):
        raise UnreadableRadiograph(f"This is not a plain radiograph (CR or DX) but {name}.")
    intent = text(value(dataset, "PresentationIntentType")).upper()
    if kind == _FOR_PROCESSING or intent == "FOR PROCESSING":
        raise UnreadableRadiograph(
            "This DICOM file holds raw detector data (For Processing), not an image for viewing. Please export the "
            "processed image (For Presentation)."
        )


def read_header(dataset: Dataset, choices: list[VoiTransform]) -> DicomHeader:
    """Return the facts of a header.

    Args:
        dataset: The dataset.
        choices: The VOI transforms that it offers.

    Returns:
        The facts.
    """
    view = value(dataset, "ViewPosition") or _meaning(dataset, "ViewCodeSequence")
    part = value(dataset, "BodyPartExamined") or _meaning(dataset, "AnatomicRegionSequence")
    return DicomHeader(
        modality=text(value(dataset, "Modality")).upper()[:16],
        body_part=text(part),
        view=text(view),
        number_of_frames=max(integer(dataset, "NumberOfFrames", 1), 1),
        windows=tuple(choice.name for choice in choices),
    )


def _meaning(dataset: Dataset, keyword: str) -> str:
    """Return the meaning of the first code of a sequence, "" where there is none."""
    items = value(dataset, keyword)
    return text(value(items[0], "CodeMeaning")) if items and isinstance(items[0], Dataset) else ""


def voi_choices(dataset: Dataset) -> list[VoiTransform]:
    """Return the VOI transforms of a file: its VOI LUTs, then its windows, without unusable ones.

    Args:
        dataset: The dataset.

    Returns:
        The transforms.
    """
    reach = _rescaled(dataset)
    luts = [lut(item, dataset, reach) for item in several(value(dataset, "VOILUTSequence"))[:64]]
    choices: list[VoiTransform] = [entry for entry in luts if entry is not None]
    function = text(value(dataset, "VOILUTFunction")).upper() or "LINEAR"
    centres, widths = (numbers(dataset, keyword)[:64] for keyword in ("WindowCenter", "WindowWidth"))
    names = several(value(dataset, "WindowCenterWidthExplanation"))
    for number, (centre, width) in enumerate(zip(centres, widths, strict=False)):
        if centre is None or width is None:
            continue
        name = text(names[number]) if number < len(names) else ""
        name = name or f"centre {centre:g}, width {width:g}"
        # LINEAR asks for a width of at least 1 (PS3.3 C.11.2.1.2); where values are fractions, LINEAR_EXACT is meant.
        exact = function not in ("LINEAR_EXACT", "SIGMOID") and width < 1
        window = Window(centre, width, function="LINEAR_EXACT" if exact else function, name=name)
        if window.usable:
            choices.append(window)
    return choices


def stored_range(dataset: Dataset) -> tuple[int, int]:
    """Return the lowest and the highest value that a file's pixels can have as they are stored.

    Args:
        dataset: The dataset.

    Returns:
        The range.
    """
    bits = min(max(integer(dataset, "BitsStored", integer(dataset, "BitsAllocated", 16)), 1), 16)
    low = -(1 << (bits - 1)) if integer(dataset, "PixelRepresentation", 0) == 1 else 0
    return low, low + (1 << bits) - 1


def _rescaled(dataset: Dataset) -> tuple[float, float]:
    """Return the range of what a file's modality transform makes of its pixels."""
    if value(dataset, "ModalityLUTSequence"):
        return 0, (1 << 16) - 1
    slope, intercept = ((numbers(dataset, f"Rescale{which}") or [None])[0] for which in ("Slope", "Intercept"))
    ends = [number * (slope or 1.0) + (intercept or 0.0) for number in stored_range(dataset)]
    return min(ends), max(ends)


def lut(item: Dataset, dataset: Dataset, reach: tuple[float, float]) -> Lut | None:
    """Return a modality or VOI LUT from its sequence item.

    Args:
        item: The sequence item.
        dataset: The dataset.
        reach: The lowest and the highest value that may be looked up.

    Returns:
        The LUT; None if it is damaged.
    """
    descriptor, entries = numbers(item, "LUTDescriptor"), value(item, "LUTData")
    known = [number for number in descriptor if number is not None]
    if not len(descriptor) == len(known) == 3 or entries is None:
        return None
    # 0 entries stand for 65,536, which 16 bits cannot say (PS3.3 C.11.2.1.1).
    count, first, bits = (int(number) for number in known)
    count = (count & 0xFFFF) or 65_536
    first = _first_value(first, count, reach)
    if isinstance(entries, bytes) and bits > 8 and len(entries) in (count, count + 1):
        count //= 2  # some writers count bytes
    table = lut_entries(entries, count, bits, little=dataset.original_encoding[1] is not False)
    if bits > 8 and len(table) == count // 2:
        count = len(table)
    if not 1 <= bits <= 16 or not count <= len(table):
        return None
    name = text(value(item, "LUTExplanation")) or "look-up table"
    return Lut(entries=table[:count].astype(np.uint16), first=first, bits=bits, name=name)


def _first_value(written: int, count: int, reach: tuple[float, float]) -> int:
    """Return the first value of a table of `count` entries, which is written in 16 bits, with or without a sign.

    Which, the pixels decide (PS3.5, annex A); what is looked up may have another sign. The table is meant to cover it.
    """
    unsigned = written & 0xFFFF
    if unsigned < 1 << 15:
        return unsigned
    return max((unsigned, unsigned - (1 << 16)), key=lambda at: min(at + count - 1, reach[1]) - max(at, reach[0]))


def lut_entries(entries: object, count: int, bits: int, *, little: bool) -> np.ndarray:
    """Decode the entries of a look-up table: bytes, words, or bytes packed two to a word.

    Args:
        entries: The element's value, bytes or numbers.
        count: Entries that the descriptor says there are.
        bits: Of an entry.
        little: Whether words have their low byte first.

    Returns:
        uint8 or uint16 (n,).
    """
    if isinstance(entries, bytes):
        depth = "u1" if len(entries) in (count, count + 1) else "<u2" if little else ">u2"
        size = np.dtype(depth).itemsize
        return np.frombuffer(entries[: len(entries) // size * size], depth)
    table = np.asarray(several(entries)).astype(np.uint16)
    if len(table) == -(-count // 2) and bits <= 8:
        table = table.astype("<u2").view(np.uint8)
    return table
