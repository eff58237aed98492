"""Read the pixel format from a DICOM header: size, samples, bits and photometric interpretation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from fracture_core.imaging.dicom.dataset import integer, text, value
from fracture_core.imaging.limits import UnreadableRadiograph, check_size

_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")
_UNSUPPORTED = ("ARGB", "CMYK", "HSV")


@dataclass(frozen=True)
class PixelFormat:
    """How the pixels of a DICOM file are stored.

    Attributes:
        allocated: Bits that a sample takes.
        stored: Bits of it that are its own, at most 16.
        high: Number of the highest of those, from 0.
        photometric: In the standard's spelling: "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB" or "YBR_...".
        by_plane: Whether samples are stored one after the other, not pixel by pixel.
        warnings: Sentences about what the header leaves unclear.
    """

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    high: int
    signed: bool
    photometric: str
    by_plane: bool
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and samples."""
        return self.rows, self.columns, self.samples


def pixel_format(dataset: Dataset) -> PixelFormat:
    """Return the format of a file's pixels, after checking everything that decoding relies on.

    Args:
        dataset: The dataset.

    Returns:
        The format.

    Raises:
        UnreadableRadiograph: The header lacks what is needed, contradicts itself, or states an unsupported kind.
    """
    rows, columns = integer(dataset, "Rows"), integer(dataset, "Columns")
    samples = integer(dataset, "SamplesPerPixel", 1)
    allocated = integer(dataset, "BitsAllocated")
    stored = integer(dataset, "BitsStored", allocated)
    high = integer(dataset, "HighBit", stored - 1)
    if samples not in (1, 3) or allocated not in (1, 8, 12, 16, 32) or not 1 <= stored <= 16 or stored > allocated:
        raise UnreadableRadiograph(
            f"DICOM images of {samples} samples of {stored} in {allocated} bits are not supported: they cannot be "
            "read here."
        )
    if not stored - 1 <= high < allocated:
        raise UnreadableRadiograph("The DICOM file is damaged: its header contradicts itself about the number of bits.")
    check_size(columns, rows, samples * -(-allocated // 8))
    photometric, warnings = _photometric(text(value(dataset, "PhotometricInterpretation")), samples)
    return PixelFormat(
        rows=rows,
        columns=columns,
        samples=samples,
        allocated=allocated,
        stored=stored,
        high=high,
        signed=integer(dataset, "PixelRepresentation", 0) == 1,
        photometric=photometric,
        by_plane=samples == 3 and integer(dataset, "PlanarConfiguration", 0) == 1,
        warnings=warnings,
    )


def _photometric(stated: str, samples: int) -> tuple[str, tuple[str, ...]]:
    """Return the standard's name for what a header says, and a warning where that is unusual."""
    name = re.sub(r"[^A-Z0-9]+", "_", stated.upper()).strip("_")
    if name in _UNSUPPORTED:
        raise UnreadableRadiograph(f"DICOM images of the photometric interpretation {name} are not supported.")
    if samples == 3:
        if name in _COLOURS or not name:
            return name or "RGB", ()
        return "RGB", (_unusual(stated, "RGB"),)
    if name in ("PALETTE_COLOR", "PALETTECOLOR", "PALETTE_COLOUR"):
        return "PALETTE COLOR", ()
    squashed = name.replace("_", "")
    if squashed in ("MONOCHROME1", "MONOCHROME2"):
        return squashed, ()
    if not name or name in _COLOURS:
        return "MONOCHROME2", ()
    return "MONOCHROME2", (_unusual(stated, "MONOCHROME2 (black to white)"),)


def _unusual(stated: str, read_as: str) -> str:
    return f"The DICOM file states an unusual photometric interpretation ({stated[:32]}); it was read as {read_as}."
