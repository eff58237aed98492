"""Radiographs of the trunk and the head made from CT volumes, to fit the scope model on (see `studies.fit_scope`).

    python -m studies.ct_projections VOLUME OUTPUT --count 150 [--part chest] [--from side] [--bones] [--slices 0.2]

VOLUME is a NIfTI file, or a patient's folder of OpenKBP (ct.csv, voxel_dimensions.csv). Few openly licensed collections
have radiographs of the chest from the side, of neck, skull and abdomen, so they are projected: rays straight through
the body, which is stretched and turned a little, a window of random hardness, the coarse contrast lowered as X-ray
stations do, and a random crop. `--bones` projects bone alone, as densitometry does. The volume also gives its axial,
coronal and sagittal slices. Written as grey JPEG of at most 512 px. The volumes and the images are no part of the
project.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import cv2
import numpy as np

from fracture_core.cli.exit_status import exit_status

_LONGEST = 512


def read_nifti(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Read a NIfTI-1 file: float32 (z, y, x) in its own units, and the voxel's size (z, y, x) in mm."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    count, *shape = np.frombuffer(data, "<i2", 8, 40).tolist()
    kind = {2: "u1", 4: "<i2", 8: "<i4", 16: "<f4", 64: "<f8", 512: "<u2"}[int(np.frombuffer(data, "<i2", 1, 70)[0])]
    size = np.frombuffer(data, "<f4", 8, 76)[1:4].tolist()
    start, slope, intercept = np.frombuffer(data, "<f4", 3, 108).tolist()
    shape = shape[:count]
    values = np.frombuffer(data, kind, int(np.prod(shape)), int(start)).reshape(shape[::-1]).astype(np.float32)
    values = values.reshape(values.shape[-3:])
    return values * slope + intercept if slope else values, tuple(size[::-1])


def read_openkbp(folder: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Read a patient of OpenKBP: float32 (z, y, x) in Hounsfield units, feet first, and the voxel's size in mm."""
    rows = np.loadtxt(folder / "ct.csv", delimiter=",", skiprows=1)
    values = np.zeros(128**3, np.float32)
    values[rows[:, 0].astype(int)] = np.clip(rows[:, 1], 0, 4095)
    volume = values.reshape(128, 128, 128).transpose(2, 0, 1) - 1024
    depth, across, along = np.loadtxt(folder / "voxel_dimensions.csv").tolist()
    held = np.flatnonzero((volume > -900).any((1, 2)))
    return volume[held[0] : held[-1] + 1][::-1], (along, depth, across)


def without_table(volume: np.ndarray) -> np.ndarray:
    """Make air of everything but the largest body in each slice."""
    cleaned = np.full_like(volume, -1000)
    for part, into in zip(volume, cleaned, strict=True):
        solid = cv2.morphologyEx((part > -400).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        if outlines:
            body = cv2.drawContours(np.zeros_like(solid), [max(outlines, key=cv2.contourArea)], -1, 1, -1)
            into[body > 0] = part[body > 0]
    return cleaned


def isotropic(volume: np.ndarray, size: tuple[float, float, float], step: float = 1.5) -> np.ndarray:
    """Resample to cubes of `step` mm."""
    depth, height, width = (max(8, round(n * s / step)) for n, s in zip(volume.shape, size, strict=True))
    flat = np.stack([cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA) for part in volume])
    upright = cv2.resize(flat.reshape(len(flat), -1), (height * width, depth), interpolation=cv2.INTER_LINEAR)
    return upright.reshape(depth, height, width)


def projection(volume: np.ndarray, rng: np.random.Generator, view: str, *, bones: bool) -> np.ndarray:
    """Project Hounsfield units (z, y, x) from the front, the side or anywhere: float32 (z, x), bone bright."""
    angles = {"front": [0, 180], "side": [90, -90, 90, 0], "any": [0, 180, 90, -90, rng.uniform(-180, 180)]}
    _, height, width = volume.shape
    side = int(1.3 * np.hypot(height, width))
    matrix = cv2.getRotationMatrix2D(
        (width / 2, height / 2), float(rng.choice(np.array(angles[view], float)) + rng.normal(0, 6)), 1
    )
    matrix[:, 2] += (side - width) / 2, (side - height) / 2
    across, deep = np.exp(rng.normal(0, 0.12, 2))
    middle = np.array([[across, 0, width / 2 * (1 - across)], [0, deep, height / 2 * (1 - deep)], [0, 0, 1]])
    dense = np.clip((volume - 150) / 1000, 0, None)
    absorbed = dense if bones else np.clip(volume / 1000 + 1, 0, None) + rng.uniform(0.6, 2.5) * dense
    # NIfTI counts slices from the feet upwards.
    shown = np.stack([cv2.warpAffine(part, matrix @ middle, (side, side)).sum(0) for part in absorbed])[::-1]
    shown = cv2.resize(shown, None, fx=1, fy=float(np.exp(rng.normal(0, 0.1))))
    tilt = cv2.getRotationMatrix2D((shown.shape[1] / 2, shown.shape[0] / 2), rng.normal(0, 5), 1)
    shown = cv2.warpAffine(shown, tilt, shown.shape[::-1])
    shown = shown[:, np.flatnonzero(shown.max(0) > 0.02 * shown.max())]
    if bones:
        return np.clip(cv2.GaussianBlur(shown, (0, 0), rng.uniform(0.6, 1.6)) / np.percentile(shown, 97), 0, 1)
    if rng.random() < 0.7:
        shown = 1 - np.exp(-shown / (rng.uniform(0.3, 1.2) * shown.max()))
    if rng.random() < 0.6:
        coarse = cv2.GaussianBlur(shown, (0, 0), rng.uniform(6, 20))
        shown = coarse * rng.uniform(0.3, 0.9) + (shown - coarse) * rng.uniform(1, 2.5)
    return shown


def slice_of(volume: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One axial, coronal or sagittal slice in a random window."""
    axis = rng.integers(3)
    part = np.take(volume, rng.integers(volume.shape[axis] // 6, 5 * volume.shape[axis] // 6), axis)
    part = part[::-1] if axis else part
    if rng.random() < 0.5:
        centre, width = rng.choice([(40, 400), (-500, 1500), (400, 1800)])
        return np.clip((part - centre) / width + 0.5, 0, 1)
    return part


def finished(shown: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Crop, window and turn to grey values: uint8, at most 512 px a side."""
    height, width = shown.shape
    share = np.clip(rng.uniform(0.4, 1.3, 2), None, 1)
    h, w = (max(24, int(n * s)) for n, s in zip((height, width), share, strict=True))
    # The spine runs along the middle: crops keep near to it.
    top = rng.integers(0, height - h + 1) if height > h else 0
    left = int(np.clip((width - w) / 2 + rng.normal(0, 0.15) * (width - w), 0, max(0, width - w)))
    part = shown[top : top + h, left : left + w]
    low, high = np.percentile(part, (rng.uniform(0, 4), rng.uniform(97, 100)))
    part = np.clip((part - low) / max(high - low, 1e-6), 0, 1) ** rng.uniform(0.6, 1.6)
    scale = _LONGEST / max(part.shape)
    part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    part = part + rng.normal(0, rng.uniform(0, 0.03), part.shape)
    if rng.random() < 0.3:
        part = part + rng.uniform(0.3, 1) * (part - cv2.GaussianBlur(part, (0, 0), 2))
    return np.rint(255 * np.clip(part, 0, 1)).astype(np.uint8)


def main() -> int:
    """Write the images of one volume."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("volume", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--part", default="ct", help="what the files' names begin with")
    parser.add_argument("--from", dest="view", choices=("front", "side", "any"), default="any")
    parser.add_argument("--bones", action="store_true", help="project bone alone")
    parser.add_argument("--slices", type=float, default=0.2, help="share of the images that are slices")
    arguments = parser.parse_args()
    rng = np.random.default_rng(list(arguments.part.encode()))
    read = read_openkbp if arguments.volume.is_dir() else read_nifti
    volume = isotropic(*read(arguments.volume))
    body = without_table(volume)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.count):
        part = body
        if rng.random() < 0.6:  # a part of the body along its axis: chest, abdomen, neck
            first, last = rng.uniform(0, 0.4), rng.uniform(0.6, 1)
            part = body[int(first * len(body)) : max(24, int(last * len(body)))]
        sliced = rng.random() < arguments.slices
        raw = slice_of(volume, rng) if sliced else projection(part, rng, arguments.view, bones=arguments.bones)
        shown = finished(raw, rng)
        name = f"{arguments.part}-{'slice' if sliced else 'projection'}-{number:04}.jpg"
        cv2.imwrite(str(arguments.output / name), shown, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
