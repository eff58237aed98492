"""How large a pixel is, in millimetres, for rulers; and whether that holds in the patient or only at the detector."""

from __future__ import annotations

from pydicom.dataset import Dataset

from fracture_core.imaging.dicom.dataset import numbers, text, value

#: What a pixel of a radiograph can measure, in millimetres; beyond that the header is wrong.
_SMALLEST, _LARGEST = 0.01, 2.0
#: How the distance between pixels was corrected for magnification (PS3.3 10.7.1.3).
_CALIBRATED = ("GEOMETRY", "FIDUCIAL")


def pixel_spacing(
    dataset: Dataset, stored: tuple[int, int], shown: tuple[int, int]
) -> tuple[tuple[float, float] | None, bool]:
    """Return the distance between the pixels of an image as it is shown.

    Args:
        dataset: The DICOM dataset.
        stored: Rows and columns of the image in the file.
        shown: Rows and columns of the image as it is shown, resampled to square pixels or not.

    Returns:
        Millimetres across and down, None where the file does not give them; and whether they hold at the detector,
        which magnifies the anatomy, or were corrected for that.
    """
    own, imager = _sizes(dataset, "PixelSpacing"), _sizes(dataset, "ImagerPixelSpacing")
    sizes = own or imager or _sizes(dataset, "NominalScannedPixelSpacing")
    if sizes is None:
        return None, False
    calibration = text(value(dataset, "PixelSpacingCalibrationType")).upper()
    corrected = own is not None and (calibration in _CALIBRATED or (imager is not None and own != imager))
    down, across = sizes
    return (across * stored[1] / shown[1], down * stored[0] / shown[0]), not corrected


def _sizes(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """Return height and width of a pixel in millimetres, None where they are not given or impossible."""
    sizes = [size for size in numbers(dataset, keyword) if size is not None]
    if len(sizes) != 2 or not all(_SMALLEST <= size <= _LARGEST for size in sizes):
        return None
    return sizes[0], sizes[1]
