"""Made-up images and their files, for tests of the readers."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from fracture_core.imaging.radiograph import Radiograph


def phantom(height: int = 200, width: int = 150) -> np.ndarray:
    """A bone-like image, different in each corner: uint8 (height, width), black background."""
    rows, columns = np.mgrid[0:height, 0:width]
    bone = 200 * np.exp(-(((columns - width * 0.4 - rows * 0.1) / (width * 0.12)) ** 2))
    texture = 25 * (1 + np.sin(rows / 7) * np.cos(columns / 5))
    picture = np.clip(bone + texture, 0, 255)
    picture[: height // 8, : width // 8] = 255
    picture[-height // 8 :, : width // 8] = 0
    return picture.astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    """An image as the bytes of a file."""
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, kind, **options)
    return file.getvalue()


def assert_contract(radiograph: Radiograph) -> None:
    """What every Radiograph promises."""
    pixels = radiograph.pixels
    assert pixels.dtype == np.uint8 and pixels.ndim == 2
    assert pixels.flags.c_contiguous and not pixels.flags.writeable
    assert 0 <= radiograph.missing <= 1
    assert len(radiograph.sha256) == 64 and radiograph.name
    assert all(sentence.endswith(".") for sentence in radiograph.warnings)
