"""A site's own films in small: a folder of drawn images, some of them copies of the miniature FracAtlas's."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np

from tests.support.miniature import picture


def site_folder(root: Path, films: int = 40, *, copies: dict[str, Path] | None = None, patients: bool = True) -> Path:
    """Films with a csv, one in two fractured, two films a patient; `copies` are further files by name."""
    (root / "films").mkdir(parents=True)
    rows = []
    for number in range(films):
        pixels, fractured = picture(9000 + number, 64, 48), number % 4 < 2
        if fractured:
            x, y = np.random.default_rng(number).integers(4, 20, 2)
            pixels[y : y + 20, x : x + 16] = 250
        cv2.imwrite(str(root / "films" / f"{number}.png"), pixels)
        rows.append((f"films/{number}.png", int(fractured), f"p{number // 2}" if patients else ""))
    for name, source in (copies or {}).items():
        shutil.copyfile(source, root / "films" / name)
        rows.append((f"films/{name}", int("Non" not in source.parent.name), f"copy {name}" if patients else ""))
    with (root / "films.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label", "patient"), *rows])
    return root
