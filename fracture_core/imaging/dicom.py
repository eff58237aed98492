"""DICOM radiographs (CR, DX): header facts, grey picture, and identifiers only for who asks for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, convert_color_space
from pydicom.uid import UID

from fracture_core.imaging.dicom_dataset import integer, is_dicom, open_dataset, several, text, transfer_syntax, value
from fracture_core.imaging.dicom_pixels import MAX_COMPRESSED_PIXELS, is_native, stored_frame
from fracture_core.imaging.dicom_voi import GreyScale, Lut, VoiTransform, Window
from fracture_core.imaging.greyscale import flatten
from fracture_core.imaging.limits import MAX_PIXELS, DecodedImage, UnreadableRadiograph, check_size, size_warnings

#: Modalities that are plain radiographs, and those that may be (a screenshot, an unknown device).
RADIOGRAPHS = ("CR", "DX", "RG")
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
_DAMAGED = "The DICOM file is damaged and cannot be read. Please export or send it again."
_NO_PIXELS = "This DICOM file holds no picture"
_IDENTIFIERS = (
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientAddress",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "InstitutionName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
)


@dataclass(frozen=True)
class DicomHeader:
    """What a DICOM header says about the radiograph, and nothing about the patient.

    Text is as the file has it, shortened, "" where it does not say. `laterality` is "L", "R", "B" or "". `windows`
    names the ways of looking that the file offers, in the order in which `window` counts them.
    """

    modality: str
    body_part: str
    view: str
    laterality: str
    number_of_frames: int
    windows: tuple[str, ...]


def read_dicom(data: bytes, *, frame: int = 0, window: int = 0) -> tuple[DecodedImage, DicomHeader]:
    """Decode one frame of a DICOM radiograph through one of its windows (both counted from 0).

    Raises UnreadableRadiograph for another modality, a file without pixels, a transfer syntax that cannot be
    decoded (naming it), a frame or window that is not there, and damage.
    """
    try:
        dataset = open_dataset(data)
        _check_kind(dataset)
        choices = _choices(dataset)
        header = _header(dataset, choices)
        return _picture(dataset, header, choices, frame, window), header
    except UnreadableRadiograph:
        raise
    except Exception as error:  # pydicom and the decoders meet damage in every way there is
        raise UnreadableRadiograph(_DAMAGED) from error


def identifier_name(keyword: str) -> str:
    """Name an identifier as DICOM's dictionary does: "PatientBirthDate" is "Patient's Birth Date"."""
    return dictionary_description(keyword)


def dicom_identifiers(data: bytes) -> dict[str, str]:
    """Who and when, by DICOM keyword ("PatientName" ...); empty for a file that is no DICOM or does not say.

    The only way in this package to a patient's identity: nothing else keeps, shows or logs it.
    """
    if not is_dicom(data):
        return {}
    try:
        dataset = open_dataset(data)
        found = {keyword: text(value(dataset, keyword)) for keyword in _IDENTIFIERS}
    except Exception as error:
        raise UnreadableRadiograph(_DAMAGED) from error
    return {keyword: words for keyword, words in found.items() if words}


def _check_kind(dataset: Dataset) -> None:
    """Refuse what is no radiograph, by modality or else by the class of the object."""
    modality = text(value(dataset, "Modality")).upper()
    kind = str(value(dataset, "SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    if modality not in RADIOGRAPHS + PERHAPS_RADIOGRAPHS:
        what = _MODALITIES.get(modality, f"a {modality[:16]!r}")
        raise UnreadableRadiograph(f"This is {what} file ({modality[:16]}), not a plain radiograph (CR or DX).")
    name = UID(kind).name if kind else ""
    if "PixelData" not in dataset:
        raise UnreadableRadiograph(f"{_NO_PIXELS} ({name})." if name and name != kind else f"{_NO_PIXELS}.")
    name = UID(kind).name if kind else ""
    if modality not in RADIOGRAPHS and any(
        word in name for word in ("CT ", "MR ", "Ultrasound", "Nuclear", "Positron")
    ):
        raise UnreadableRadiograph(f"This is not a plain radiograph (CR or DX) but {name}.")


def _header(dataset: Dataset, choices: list[VoiTransform]) -> DicomHeader:
    view = value(dataset, "ViewPosition") or _meaning(dataset, "ViewCodeSequence")
    part = value(dataset, "BodyPartExamined") or _meaning(dataset, "AnatomicRegionSequence")
    side = text(value(dataset, "ImageLaterality") or value(dataset, "Laterality")).upper()
    return DicomHeader(
        modality=text(value(dataset, "Modality")).upper()[:16],
        body_part=text(part),
        view=text(view),
        laterality=side if side in ("L", "R", "B") else "",
        number_of_frames=max(integer(dataset, "NumberOfFrames", 1), 1),
        windows=tuple(choice.name for choice in choices),
    )


def _meaning(dataset: Dataset, keyword: str) -> str:
    """The meaning of the first code of a sequence, "" where there is none."""
    items = value(dataset, keyword)
    return text(value(items[0], "CodeMeaning")) if items else ""


def _choices(dataset: Dataset) -> list[VoiTransform]:
    """The ways of looking that a file offers: its VOI LUTs, then its windows, those that mean nothing left out."""
    luts = [_lut(item, dataset) for item in several(value(dataset, "VOILUTSequence"))[:64]]
    choices: list[VoiTransform] = [lut for lut in luts if lut is not None]
    function = text(value(dataset, "VOILUTFunction")).upper() or "LINEAR"
    centres, widths = (several(value(dataset, keyword))[:64] for keyword in ("WindowCenter", "WindowWidth"))
    names = several(value(dataset, "WindowCenterWidthExplanation"))
    for number, (centre, width) in enumerate(zip(centres, widths, strict=False)):
        name = text(names[number]) if number < len(names) else ""
        name = name or f"centre {float(centre):g}, width {float(width):g}"
        choices.append(Window(float(centre), float(width), function, name))
    return [choice for choice in choices if not isinstance(choice, Window) or choice.usable]


def _lut(item: Dataset, dataset: Dataset) -> Lut | None:
    """A modality or VOI LUT from its sequence item; None where it is damaged."""
    descriptor, entries = several(value(item, "LUTDescriptor")), value(item, "LUTData")
    if len(descriptor) != 3 or entries is None:
        return None
    # 0 entries stand for 65,536, which 16 bits cannot say (PS3.3 C.11.2.1.1).
    count, first, bits = (int(number) for number in descriptor)
    count = (count & 0xFFFF) or 65_536
    if integer(dataset, "PixelRepresentation", 0) and first >= 1 << 15:
        first -= 1 << 16
    if isinstance(entries, bytes):
        little = dataset.original_encoding[1] is not False
        depth = "u1" if len(entries) in (count, count + 1) else "<u2" if little else ">u2"
        table = np.frombuffer(entries[: len(entries) // np.dtype(depth).itemsize * np.dtype(depth).itemsize], depth)
    else:
        table = np.asarray(several(entries)).astype(np.uint16)
        if len(table) == -(-count // 2) and bits <= 8:
            table = table.astype("<u2").view(np.uint8)
    if not 1 <= bits <= 16 or not len(table):
        return None
    name = text(value(item, "LUTExplanation")) or "look-up table"
    return Lut(table[:count].astype(np.uint16), first, bits, name)


def _picture(
    dataset: Dataset, header: DicomHeader, choices: list[VoiTransform], frame: int, window: int
) -> DecodedImage:
    syntax = transfer_syntax(dataset)
    shape = _shape(dataset, syntax)
    if not 0 <= frame < header.number_of_frames:
        raise UnreadableRadiograph(f"There is no frame {frame + 1} in this file; it holds {header.number_of_frames}.")
    stored = stored_frame(dataset, syntax, shape, frame, header.number_of_frames)
    photometric = text(value(dataset, "PhotometricInterpretation")).upper()
    if photometric.startswith("MONOCHROME") and stored.ndim == 2:
        pixels, told = _grey_scale(dataset, photometric, choices).show(stored, window)
    else:
        pixels, told = _flat_colour(dataset, stored, photometric, native=is_native(syntax))
    warnings = size_warnings(shape[1], shape[0]) + _header_warnings(dataset, header, frame) + told
    return DecodedImage(pixels, warnings)


def _shape(dataset: Dataset, syntax: str) -> tuple[int, int, int]:
    """(rows, columns, samples), once everything that decoding relies on has been checked."""
    rows, columns = integer(dataset, "Rows"), integer(dataset, "Columns")
    samples = integer(dataset, "SamplesPerPixel", 1)
    allocated = integer(dataset, "BitsAllocated")
    stored = integer(dataset, "BitsStored", allocated)
    high = integer(dataset, "HighBit", stored - 1)
    if samples not in (1, 3) or allocated not in (1, 8, 16, 32) or not 1 <= stored <= 16 or stored > allocated:
        raise UnreadableRadiograph(
            f"The picture in this DICOM file has {samples} samples of {stored} in {allocated} bits, "
            "a kind that cannot be read here."
        )
    if not stored - 1 <= high < allocated:
        raise UnreadableRadiograph("The DICOM file is damaged: its header contradicts itself about bits.")
    dataset.SamplesPerPixel, dataset.BitsStored, dataset.HighBit = samples, stored, high
    dataset.PixelRepresentation = 1 if integer(dataset, "PixelRepresentation", 0) else 0
    if samples == 3:
        dataset.PlanarConfiguration = 1 if integer(dataset, "PlanarConfiguration", 0) else 0
    if "PhotometricInterpretation" not in dataset:
        dataset.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"
    limit = MAX_PIXELS if is_native(syntax) else MAX_COMPRESSED_PIXELS
    check_size(columns, rows, samples * max(allocated // 8, 1), max_pixels=limit)
    return rows, columns, samples


def _grey_scale(dataset: Dataset, photometric: str, choices: list[VoiTransform]) -> GreyScale:
    bits, signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    slope, intercept = (float(value(dataset, f"Rescale{which}") or 0) for which in ("Slope", "Intercept"))
    tables = several(value(dataset, "ModalityLUTSequence"))
    padding = value(dataset, "PixelPaddingValue")
    limits = None
    if padding is not None:
        limit = value(dataset, "PixelPaddingRangeLimit")
        limits = _stored(padding, bits, signed), _stored(padding if limit is None else limit, bits, signed)
    return GreyScale(
        bits=bits,
        signed=signed,
        inverted=photometric == "MONOCHROME1",
        # A slope of nought, or none, says nothing.
        slope=slope if slope and math.isfinite(slope) else 1.0,
        intercept=intercept,
        modality=_lut(tables[0], dataset) if tables else None,
        choices=choices,
        padding=limits,
    )


def _stored(found: object, bits: int, signed: bool) -> int:
    """A padding value as it compares with stored values: written as US or SS, whatever the pixels are."""
    number = int(several(found)[0]) if several(found) else 0
    if signed:
        half = 1 << 15
        return ((number & 0xFFFF) ^ half) - half
    return number & 0xFFFF


def _flat_colour(
    dataset: Dataset, stored: np.ndarray, photometric: str, *, native: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Colour (palette, RGB, YBR) as grey uint8 (H, W), and warnings."""
    if photometric == "PALETTE COLOR" and stored.ndim == 2:
        stored = apply_color_lut(stored, dataset)
    elif native and photometric.startswith("YBR_FULL"):
        stored = convert_color_space(stored, "YBR_FULL", "RGB")
    if stored.ndim != 3:
        raise UnreadableRadiograph(f"The DICOM picture is of a kind that cannot be read here ({photometric[:32]}).")
    if stored.dtype != np.uint8:
        top = (1 << int(dataset.BitsStored)) - 1 if photometric != "PALETTE COLOR" else np.iinfo(stored.dtype).max
        stored = (np.clip(stored, 0, top).astype(np.float32) * (255 / top) + 0.5).astype(np.uint8)
    return flatten(np.ascontiguousarray(stored[:, :, :3]))


def _header_warnings(dataset: Dataset, header: DicomHeader, frame: int) -> tuple[str, ...]:
    warnings = []
    if header.modality not in RADIOGRAPHS:
        says = f"is marked {header.modality}" if header.modality else "does not say its modality"
        warnings.append(f"The DICOM file {says}: make sure that it is a plain radiograph.")
    if header.number_of_frames > 1:
        warnings.append(f"The file holds {header.number_of_frames} frames; this is number {frame + 1}.")
    if len(header.windows) > 1:
        warnings.append(f"The file offers {len(header.windows)} windows to look at it: {'; '.join(header.windows)}.")
    if text(value(dataset, "BurnedInAnnotation")).upper() == "YES":
        warnings.append("The file says that text is burnt into the picture; it may name the patient.")
    ratio = [float(number) for number in several(value(dataset, "PixelAspectRatio"))]
    if len(ratio) == 2 and ratio[0] != ratio[1]:
        warnings.append("The picture's pixels are not square; it is shown as if they were.")
    return tuple(warnings)
