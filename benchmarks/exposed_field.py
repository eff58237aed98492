"""What cropping to the exposed field does to FracAtlas: how often, how much, and whether a fracture is ever cut.

FRACATLAS_DIR=/path/to/FracAtlas python -m benchmarks.exposed_field
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fracture_core.cli.exit_status import exit_status
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.imaging.exposed_field import Field, exposed_field
from fracture_core.imaging.radiograph import read_radiograph


def lost_shares(boxes: np.ndarray, field: Field) -> np.ndarray:
    """Return the share, 0..1, of the area of each box that lies outside the field; boxes (n, 4) x, y, width, height."""
    x, y, width, height = field
    left, top, wide, high = np.asarray(boxes, np.float64).reshape(-1, 4).T
    across = np.minimum(left + wide, x + width) - np.maximum(left, x)
    down = np.minimum(top + high, y + height) - np.maximum(top, y)
    return 1 - np.clip(across, 0, None) * np.clip(down, 0, None) / np.maximum(wide * high, 1e-9)


def measure(dataset: FracAtlas, ids: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the area kept and the gain in resolution of every image, float (n, 2), and the lost share of every box."""

    def measured(image_id: str) -> tuple[tuple[float, float], np.ndarray]:
        pixels = read_radiograph(dataset.path(image_id), accept_cut_short=True).pixels
        field = exposed_field(pixels)
        area = field[2] * field[3] / pixels.size, max(pixels.shape) / max(field[2:])
        return area, lost_shares(dataset.boxes(image_id), field)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        areas, lost = zip(*pool.map(measured, ids), strict=True)
    return np.array(areas), np.concatenate(lost)


def main() -> int:
    """Print the results; exit with 1 if more than one box in a hundred loses over 5 % of its area."""
    dataset = FracAtlas(Path(os.environ["FRACATLAS_DIR"]))
    areas, lost = measure(dataset, dataset.table.index)
    area, gain = areas.T
    low, middle, high = np.percentile(gain, [25, 50, 75])
    cut = int((lost > 0.05).sum())
    print(f"{len(area)} images, {np.mean(area < 0.999):.3f} of them cropped")
    print(f"mean area kept {area.mean():.3f}; gain in detail {gain.mean():.3f} ({low:.2f}, {middle:.2f}, {high:.2f})")
    print(f"boxes that lose more than 5 % of their area: {cut} of {len(lost)}; any of it: {int((lost > 1e-6).sum())}")
    return int(cut > len(lost) / 100)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
