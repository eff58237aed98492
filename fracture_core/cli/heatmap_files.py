"""Write a finding's heatmap to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fracture_core.explain.overlay import DrawingError, overlay, to_png
from fracture_core.files import atomic_write, write_bytes
from fracture_core.inference.predictor import Finding


def write_heatmap(finding: Finding, method: str, folder: Path, stem: str) -> Path:
    """Write <stem>.png, the overlay, and <stem>.npy, the evidence float32 (H, W), into `folder`; give the PNG's path.

    Raises DrawingError where they cannot be written, and HeatmapError where the method does not fit the network.
    """
    evidence = finding.heatmap(method)
    path = Path(folder) / f"{stem}.png"
    try:
        write_bytes(path, to_png(overlay(finding.radiograph.pixels, evidence, method)))
        with atomic_write(path.with_suffix(".npy")) as temporary:
            np.save(temporary, evidence, allow_pickle=False)
    except OSError as error:
        raise DrawingError(f"The heatmap cannot be written to {folder} ({error.strerror or error}).") from error
    return path
