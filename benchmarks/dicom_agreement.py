"""How far the DICOM reader agrees with dcmtk and with pydicom, on a folder of public files.

    python -m benchmarks.dicom_agreement FOLDER

dcmtk's own programs (dcm2pnm, dcmj2pnm, dcml2pnm) must be installed. A file is compared where both readers read it and
it states a window, because without one every program makes up its own. "Same" is equal within rounding (1 grey level);
every file that is not is named, with the mean and the largest difference.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from fracture_core.cli.exit_status import exit_status
from fracture_core.imaging.dicom import header as dicom_header
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph

_PROGRAMS = ("dcm2pnm", "dcmj2pnm", "dcml2pnm")
_ROUNDING = 1.01


def dcmtk(path: Path, dataset: pydicom.Dataset) -> np.ndarray | None:
    """Return what dcmtk shows through the first window, (H, W) 0 to 255; None where it refuses."""
    grey = dataset.get("SamplesPerPixel", 1) == 1 and dataset.get("PhotometricInterpretation") != "PALETTE COLOR"
    window = (["+Wi", "1"] if "WindowCenter" in dataset else ["+Wl", "1"]) if grey else []
    with tempfile.TemporaryDirectory() as folder:
        shown = Path(folder) / "shown.pnm"
        for program in _PROGRAMS:
            # -O: overlays are no pixels of the radiograph.
            done = subprocess.run([program, "-O", "+F", "1", *window, path, shown], capture_output=True)
            if not done.returncode and shown.exists():
                with Image.open(shown) as image:
                    return np.asarray(image.convert("L"), np.float64)
    return None


def with_pydicom(path: Path, dataset: pydicom.Dataset) -> np.ndarray | None:
    """Return what pydicom's pixel pipeline gives, (H, W) 0 to 255; None where it refuses."""
    try:
        whole = pydicom.dcmread(path, force=True)
        stored = whole.pixel_array
        if int(whole.get("NumberOfFrames") or 1) > 1:
            stored = stored[0]
        if stored.ndim == 3:
            top = (1 << whole.BitsStored) - 1
            return stored @ [0.299, 0.587, 0.114] / top * 255 if whole.PhotometricInterpretation == "RGB" else None
        if whole.PhotometricInterpretation == "PALETTE COLOR":
            return None
        values = apply_voi_lut(apply_modality_lut(stored, whole), whole)
    except Exception:
        return None
    low, high = _output_range(whole)
    grey = (values - low) / (high - low) * 255
    return 255 - grey if whole.PhotometricInterpretation == "MONOCHROME1" else grey


def _output_range(dataset: pydicom.Dataset) -> tuple[float, float]:
    """Return the lowest and highest value that pydicom's windows give: those of the modality values' range."""
    low, high = (
        (-(1 << (dataset.BitsStored - 1)), (1 << (dataset.BitsStored - 1)) - 1)
        if dataset.PixelRepresentation
        else (0, (1 << dataset.BitsStored) - 1)
    )
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    ends = sorted((low * slope + intercept, high * slope + intercept))
    return ends[0], ends[1]


def dicom_files(folder: Path) -> Iterator[Path]:
    """Yield the files that are DICOM by name or by content, in order."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            start = file.read(132)
        if path.suffix.lower() in (".dcm", ".dic", ".dicom") or start[128:] == b"DICM":
            yield path


def main() -> int:
    """Compare every file of a folder and print the counts."""
    # The pixel pipeline is tried on every modality; only here are they all let in.
    dicom_header.RADIOGRAPHS += tuple(dicom_header._MODALITIES)
    dicom_header._OTHER_CLASSES = ()
    counts: Counter[str] = Counter()
    for path in dicom_files(Path(sys.argv[1])):
        try:
            pixels = read_radiograph(path).pixels.astype(np.float64)
        except UnreadableRadiograph:
            counts["refused here"] += 1
            continue
        try:
            dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
            windowed = "WindowCenter" in dataset or "VOILUTSequence" in dataset
            grey = int(dataset.get("SamplesPerPixel", 1)) == 1
        except Exception:
            counts["read, pydicom cannot parse"] += 1
            continue
        if grey and not windowed:
            counts["read, no window stated"] += 1
            continue
        for name, reference in (("dcmtk", dcmtk(path, dataset)), ("pydicom", with_pydicom(path, dataset))):
            if reference is None:
                counts[f"{name} refuses"] += 1
                continue
            if reference.shape != pixels.shape:
                counts[f"{name}: another shape"] += 1
                print(f"{name}: {path.name} is {reference.shape}, here {pixels.shape}")
                continue
            apart = np.abs(reference - pixels)
            same = apart.max() <= _ROUNDING
            counts[f"{name}: {'same' if same else 'different'}"] += 1
            if not same:
                print(f"{name}: {path.name} mean {apart.mean():.2f}, largest {apart.max():.0f}")
    for name, count in sorted(counts.items()):
        print(f"{count:5} {name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
