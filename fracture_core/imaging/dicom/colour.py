"""DICOM's colours, palettes among them, as grey."""

from __future__ import annotations

import math

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut

from fracture_core.imaging.dicom.dataset import numbers, value
from fracture_core.imaging.dicom.header import lut_entries
from fracture_core.imaging.greyscale import COLOUR_WARNING, flatten, is_colour
from fracture_core.imaging.limits import UnreadableRadiograph

_CHANNELS = ("Red", "Green", "Blue")

Grey = tuple[np.ndarray, tuple[str, ...]]


def grey_from_colour(values: np.ndarray, colour: str, bits: int) -> Grey:
    """Turn three samples into grey.

    Args:
        values: Unsigned (H, W, 3).
        colour: "RGB", or "YBR_FULL" and its kin, whose first sample is the grey.
        bits: Of a sample.

    Returns:
        uint8 (H, W), and warnings.
    """
    top = (1 << bits) - 1
    if values.dtype != np.uint8 or bits < 8:
        values = (np.clip(values, 0, top).astype(np.float32) * (255 / top) + 0.5).astype(np.uint8)
    if not colour.startswith("YBR"):
        return flatten(np.ascontiguousarray(values[:, :, :3]))
    grey = np.ascontiguousarray(values[:, :, 0])
    if colour.startswith("YBR_PARTIAL"):
        grey = np.clip((grey.astype(np.float32) - 16) * (255 / 219) + 0.5, 0, 255).astype(np.uint8)
    step = max(1, math.isqrt(grey.size // 500_000))
    chroma = np.abs(values[::step, ::step, 1:].astype(int) - 128).max(axis=2)
    coloured = np.count_nonzero(chroma > 8) > 0.001 * chroma.size
    return grey, ((COLOUR_WARNING,) if coloured else ())


def grey_from_palette(places: np.ndarray, dataset: Dataset) -> Grey:
    """Convert palette indices to grey.

    Args:
        places: Indices, integers (H, W).
        dataset: The file's dataset.

    Returns:
        uint8 (H, W), and warnings.

    Raises:
        UnreadableRadiograph: The palette is absent or damaged.
    """
    tables = [table for channel in _CHANNELS if (table := _table(dataset, channel)) is not None]
    if len(tables) < len(_CHANNELS):
        # Palettes in segments (PS3.3 C.7.9.2) are put together by pydicom.
        colours = apply_color_lut(places, dataset)
        top = np.iinfo(colours.dtype).max
        return grey_from_colour(colours[:, :, :3], "RGB", int(top).bit_length())
    first = tables[0][1]
    size = max(len(table[0]) for table in tables)
    # Places before or beyond the table take its first or last entry (PS3.3 C.7.6.3.1.5).
    places = np.clip(places.astype(np.int64) - first, 0, size - 1)
    palette = np.stack([np.resize(table[0], size) for table in tables], axis=1)
    grey, _ = flatten(np.ascontiguousarray(palette[None]))
    step = max(1, math.isqrt(places.size // 500_000))
    coloured = is_colour(palette[places[::step, ::step]])
    return grey[0][places], ((COLOUR_WARNING,) if coloured else ())


def _table(dataset: Dataset, channel: str) -> tuple[np.ndarray, int] | None:
    """Return one channel of a palette, uint8 (n,), and the place of its first entry; None where it is in segments."""
    entries = value(dataset, f"{channel}PaletteColorLookupTableData")
    descriptor = numbers(dataset, f"{channel}PaletteColorLookupTableDescriptor")
    if entries is None and f"Segmented{channel}PaletteColorLookupTableData" in dataset:
        return None
    known = [number for number in descriptor if number is not None]
    if entries is None or not len(descriptor) == len(known) == 3:
        raise UnreadableRadiograph("The DICOM file is damaged: its palette is incomplete.")
    count, first, bits = (int(number) for number in known)
    count = (count & 0xFFFF) or 65_536
    table = lut_entries(entries, count, bits, little=dataset.original_encoding[1] is not False)[:count]
    if not len(table):
        raise UnreadableRadiograph("The DICOM file is damaged: its palette is empty.")
    # Entries of 8 bits are often kept in words, whatever the descriptor says (PS3.3 C.7.6.3.1.5, note).
    deep = table.dtype.itemsize == 2 and int(table.max()) > 255
    return (table >> 8 if deep else table).astype(np.uint8), first
