"""DICOM radiographs (CR, DX) to grey: header facts, one frame, its window, and true proportions."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from pydicom.dataset import Dataset

from fracture_core.imaging.dicom.colour import grey_from_colour, grey_from_palette
from fracture_core.imaging.dicom.dataset import DicomFile, numbers, open_file, several, text, value
from fracture_core.imaging.dicom.header import (
    RADIOGRAPHS,
    DicomHeader,
    check_kind,
    lut,
    read_header,
    stored_range,
    voi_choices,
)
from fracture_core.imaging.dicom.pixel_format import PixelFormat, pixel_format
from fracture_core.imaging.dicom.pixels import Frame, stored_frame
from fracture_core.imaging.dicom.spacing import pixel_spacing
from fracture_core.imaging.dicom.transfer_syntax import is_native, syntax_name
from fracture_core.imaging.dicom.voi import GreyScale, VoiTransform
from fracture_core.imaging.limits import (
    MAX_PIXELS,
    MAX_SIDE,
    DecodedImage,
    UnreadableRadiograph,
    size_warnings,
)
from fracture_core.imaging.truncation import blacken_missing, lacks_detail

_DAMAGED = "The DICOM file is damaged and cannot be read. Please export or send it again."
#: Where a header gives the size of a pixel (height, then width), the most certain first.
_SPACINGS = ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
#: How far from square pixels may be before they are resampled, and before that is beyond belief; as ratios.
_SQUARE, _ABSURD = 1.02, 8.0
#: Optional numbers that decide how the image looks.
_OPTIONAL_NUMBERS = ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "PixelPaddingValue")


def read_dicom(
    data: bytes, *, frame: int = 0, window: int = 0, accept_cut_short: bool = False
) -> tuple[DecodedImage, DicomHeader]:
    """Decode one frame of a DICOM radiograph through one of its windows.

    Args:
        data: The file.
        frame: Which frame, from 0.
        window: Which of the VOI LUTs and windows that the header lists, from 0.
        accept_cut_short: Read a frame that is not whole as far as it goes, its missing rows black (air).

    Returns:
        The image, as displayed, and what the header says.

    Raises:
        UnreadableRadiograph: The file is of another modality, holds no image, has a transfer syntax that cannot be
            decoded (named), lacks that frame or window, or is damaged or not whole.
    """
    try:
        file = open_file(data)
        check_kind(file)
        choices = voi_choices(file.dataset)
        header = read_header(file.dataset, choices)
        form = pixel_format(file.dataset)
        if not 0 <= frame < header.number_of_frames:
            raise UnreadableRadiograph(
                f"There is no frame {frame + 1} in this file; it holds {header.number_of_frames}."
            )
        stored = _decoded(file, form, frame, header.number_of_frames)
        image = _image(file.dataset, header, form, stored, choices, frame, window, accept_cut_short)
        spacing, at_detector = pixel_spacing(file.dataset, form.shape[:2], image.pixels.shape)
        return image, replace(header, pixel_spacing=spacing, spacing_at_detector=at_detector)
    except (UnreadableRadiograph, MemoryError):
        raise
    except Exception as error:  # pydicom meets damage in every way there is
        raise UnreadableRadiograph(_DAMAGED) from error


def _decoded(file: DicomFile, form: PixelFormat, frame: int, frames: int) -> Frame:
    try:
        return stored_frame(file, form, frame, frames)
    except (UnreadableRadiograph, MemoryError):
        raise
    except Exception as error:  # and so do the decoders
        if is_native(file.syntax):
            raise
        raise UnreadableRadiograph(
            f"The DICOM file is damaged: its compressed image ({syntax_name(file.syntax)}) cannot be decoded. "
            "Please export or send it again, uncompressed if you can."
        ) from error


def _image(
    dataset: Dataset,
    header: DicomHeader,
    form: PixelFormat,
    stored: Frame,
    choices: list[VoiTransform],
    frame: int,
    window: int,
    accept: bool,
) -> DecodedImage:
    """Turn a decoded frame into grey, as the header wants it shown."""
    form = replace(form, stored=stored.bits) if stored.bits else form
    told: tuple[str, ...] = ()
    if stored.colour:
        bits = 8 if stored.values.dtype == np.uint8 else form.stored
        grey, told = grey_from_colour(stored.values, stored.colour, bits)
        if form.samples == 1:  # grey all the same: its polarity and window count
            stored, form = replace(stored, values=grey, colour=""), replace(form, stored=8)
    if stored.colour:
        shown: tuple[str, ...] = ()
    elif form.photometric == "PALETTE COLOR":
        grey, shown = grey_from_palette(stored.values, dataset)
    else:
        grey, shown = _grey_scale(dataset, form, stored, choices).show(stored.values, window, stored.present)
    missing, lost = blacken_missing(grey, stored.present, accept=accept, damaged=stored.damaged, sound=stored.sound)
    if stored.coarse:
        missing, lost = lacks_detail(form.rows, missing, lost, accept=accept)
    grey, resampled = _square_pixels(grey, dataset)
    warnings = (
        *size_warnings(form.columns, form.rows),
        *lost,
        *_header_warnings(dataset, header, frame),
        *form.warnings,
        *stored.warnings,
        *resampled,
        *told,
        *shown,
    )
    return DecodedImage(pixels=grey, warnings=warnings, missing=missing)


def _grey_scale(dataset: Dataset, form: PixelFormat, stored: Frame, choices: list[VoiTransform]) -> GreyScale:
    # A compressed frame may say that its values are signed where the header does not.
    signed = form.signed or stored.values.dtype.kind == "i"
    slope, intercept = ((numbers(dataset, f"Rescale{which}") or [None])[0] for which in ("Slope", "Intercept"))
    tables = [item for item in several(value(dataset, "ModalityLUTSequence")) if isinstance(item, Dataset)]
    padding = (numbers(dataset, "PixelPaddingValue") or [None])[0]
    limits = None
    if padding is not None:
        limit = (numbers(dataset, "PixelPaddingRangeLimit") or [None])[0]
        low, high = (int(number) for number in (padding, padding if limit is None else limit))
        limits = _as_stored(low, signed=signed), _as_stored(high, signed=signed)
    shape = text(value(dataset, "PresentationLUTShape")).upper()
    return GreyScale(
        bits=form.stored,
        signed=signed,
        # MONOCHROME1 asks for INVERSE as well (PS3.3 C.8.11.1.1.1): that is one inversion, not two.
        inverted=form.photometric == "MONOCHROME1" or shape == "INVERSE",
        # A slope of zero, or none, says nothing.
        slope=slope or 1.0,
        intercept=intercept or 0.0,
        modality=lut(tables[0], dataset, stored_range(dataset)) if tables else None,
        choices=choices,
        padding=limits,
    )


def _as_stored(number: int, *, signed: bool) -> int:
    """Return a padding value as it compares with stored values: written as US or SS, whatever the pixels are."""
    if signed:
        half = 1 << 15
        return ((number & 0xFFFF) ^ half) - half
    return number & 0xFFFF


def _square_pixels(grey: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, tuple[str, ...]]:
    """Resample an image whose pixels are not square to true proportions, its finer side kept; with a warning."""
    for keyword in _SPACINGS:
        sizes = [size for size in numbers(dataset, keyword) if size]
        if len(sizes) == 2 and min(sizes) > 0:
            break
    else:
        return grey, ()
    ratio = sizes[0] / sizes[1]
    if 1 / _SQUARE <= ratio <= _SQUARE:
        return grey, ()
    stated = f"The file says that its pixels are {ratio:.3g} times as high as wide"
    height, width = grey.shape
    height, width = (round(height * ratio), width) if ratio > 1 else (height, round(width / ratio))
    if not 1 / _ABSURD <= ratio <= _ABSURD or height * width > MAX_PIXELS or max(height, width) > MAX_SIDE:
        return grey, (f"{stated}; it is shown as if they were square.",)
    grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR)
    return grey, (f"{stated}; it was resampled to true proportions.",)


def _header_warnings(dataset: Dataset, header: DicomHeader, frame: int) -> tuple[str, ...]:
    warnings = []
    if header.modality not in RADIOGRAPHS:
        says = f"is marked {header.modality}" if header.modality else "does not state its modality"
        warnings.append(f"The DICOM file {says}: make sure that it is a plain radiograph.")
    if header.number_of_frames > 1:
        warnings.append(f"The file holds {header.number_of_frames} frames; this is number {frame + 1}.")
    if len(header.windows) > 1:
        names = "; ".join(header.windows[:8]) + ("; ..." if len(header.windows) > 8 else "")
        warnings.append(f"The file defines {len(header.windows)} VOI windows: {names}.")
    if text(value(dataset, "BurnedInAnnotation")).upper() == "YES":
        warnings.append("The file says it has burned-in text, which may identify the patient.")
    unusable = [keyword for keyword in _OPTIONAL_NUMBERS if None in numbers(dataset, keyword)]
    if unusable:
        verb = "is not a number and was" if len(unusable) == 1 else "are not numbers and were"
        warnings.append(f"{' and '.join(unusable)} in the DICOM header {verb} left out.")
    return tuple(warnings)
