"""DICOM's grey scale by table (stored values, header, expected greys), and against pydicom's own windows."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing

from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from tests.support import dicom_files as made

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
BYTES = np.arange(4096, dtype=np.uint16).reshape(64, 64).astype(np.uint8)
SIGNED = (np.arange(4096) - 2048).astype(np.int16).reshape(64, 64)


def lut(first: int, entries: list[int] | np.ndarray, bits: int, name: str = "") -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries) & 0xFFFF, first, bits]
    item["LUTDescriptor"].VR = "US"
    item.add_new("LUTData", "US", [int(entry) for entry in entries])
    if name:
        item.LUTExplanation = name
    return item


TWELVE = {"BitsStored": 12}
WINDOW = {**TWELVE, "WindowCenter": 1000, "WindowWidth": 400}
BYTE_WINDOW = {"WindowCenter": 128, "WindowWidth": 256}
STEP = np.repeat([0, 1023], 2048).astype(np.uint16)

# name, stored values, header, {stored value's place: grey expected}
TABLE = [
    ("window, its edges and middle", RAMP, WINDOW, {0: 0, 799: 0, 800: 0, 1000: 128, 1199: 255, 4095: 255}),
    ("MONOCHROME1 after the window", RAMP, {**WINDOW, "PhotometricInterpretation": "MONOCHROME1"}, {0: 255, 4095: 0}),
    ("exact window", RAMP, {**WINDOW, "VOILUTFunction": "LINEAR_EXACT"}, {800: 0, 1000: 128, 1200: 255}),
    ("width of one is a threshold", RAMP, {**WINDOW, "WindowWidth": 1}, {999: 0, 1000: 255}),
    ("sigmoid", RAMP, {**WINDOW, "VOILUTFunction": "SIGMOID"}, {0: 0, 1000: 128, 1100: 186, 900: 69, 4095: 255}),
    (
        "VOI LUT from below zero, its first value written unsigned",
        RAMP,
        {**TWELVE, "RescaleIntercept": -1024, "VOILUTSequence": [lut(-1024 & 0xFFFF, [0] * 1023 + [20, 255], 8)]},
        {0: 0, 1022: 0, 1023: 20, 1024: 255, 4095: 255},
    ),
    (
        "VOI LUT in the upper half of what rescaling makes of signed values",
        SIGNED,
        {"BitsStored": 12, "RescaleIntercept": 40_000, "VOILUTSequence": [lut(40_000, [0] * 100 + [255], 8)]},
        {0: 0, 2048: 0, 2147: 0, 2148: 255, 4095: 255},
    ),
    (
        "slope and intercept before the window",
        RAMP,
        {**TWELVE, "RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 1900, "WindowWidth": 401},
        {1000: 128, 899: 0, 1101: 255},
    ),
    (
        "negative slope",
        RAMP,
        {**TWELVE, "RescaleSlope": -1, "RescaleIntercept": 4095, "WindowCenter": 2048, "WindowWidth": 4096},
        {0: 255, 4095: 0, 2048: 127},
    ),
    ("signed values", SIGNED, {"WindowCenter": 0, "WindowWidth": 4096}, {0: 0, 2048: 128, 4095: 255}),
    (
        "signed 12 bit in 16",
        SIGNED,
        {"BitsStored": 12, "WindowCenter": 0, "WindowWidth": 4096},
        {0: 0, 2048: 128, 4095: 255},
    ),
    (
        "old overlay bits above the value",
        RAMP | np.uint16(0x5000),
        {**TWELVE, "WindowCenter": 2048, "WindowWidth": 4096},
        {0: 0, 2048: 128, 4095: 255},
    ),
    (
        "value in the high bits",
        RAMP << 4,
        {**TWELVE, "HighBit": 15, "WindowCenter": 2048, "WindowWidth": 4096},
        {0: 0, 2048: 128, 4095: 255},
    ),
    (
        "padding is black and not in the window",
        np.where(RAMP < 64, 4000, np.clip(RAMP, 1000, 2000)).astype(np.uint16),
        {**TWELVE, "PixelPaddingValue": 4000, "PhotometricInterpretation": "MONOCHROME1"},
        {0: 0, 100: 255, 4095: 0, 1500: 128},
    ),
    (
        "a range of padding",
        RAMP,
        {
            **TWELVE,
            "PixelPaddingValue": 3000,
            "PixelPaddingRangeLimit": 4095,
            "WindowCenter": 1500,
            "WindowWidth": 3000,
        },
        {2999: 255, 3000: 0, 4095: 0},
    ),
    ("VOI LUT", RAMP, {**TWELVE, "VOILUTSequence": [lut(0, STEP, 10)]}, {0: 0, 2047: 0, 2048: 255, 4095: 255}),
    (
        "VOI LUT that starts late, ends held",
        RAMP,
        {**TWELVE, "VOILUTSequence": [lut(100, [10, 20, 255], 8)]},
        {0: 10, 100: 10, 101: 20, 102: 255, 4095: 255},
    ),
    (
        "modality LUT, then window",
        RAMP,
        {**WINDOW, "ModalityLUTSequence": [lut(0, STEP, 16)], "WindowCenter": 512, "WindowWidth": 1024},
        {0: 0, 4095: 255},
    ),
    ("no window: over the values there are", RAMP // 4 + 1000, TWELVE, {0: 0, 4095: 255, 2048: 128}),
    ("an empty window is no window", RAMP, {**TWELVE, "WindowCenter": 1, "WindowWidth": 0}, {0: 0, 4095: 255}),
    ("8 bit", BYTES, BYTE_WINDOW, {0: 0, 100: 100, 255: 255}),
    ("slope of nought is no slope", RAMP, {**WINDOW, "RescaleSlope": 0, "RescaleIntercept": 0}, {1000: 128}),
]


@pytest.mark.parametrize(("stored", "header", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
@pytest.mark.parametrize("syntax", [made.EXPLICIT, made.IMPLICIT, made.BIG_ENDIAN, made.DEFLATED])
def test_table(stored: np.ndarray, header: dict, expected: dict[int, int], syntax: str) -> None:
    radiograph = read_radiograph(made.file_bytes(made.dataset(stored, **header), syntax))
    assert radiograph.format == "DICOM"
    greys = radiograph.pixels.ravel()
    assert {place: pytest.approx(grey, abs=1) for place, grey in expected.items()} == {
        place: int(greys[place]) for place in expected
    }


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    centre=st.floats(-3000, 5000),
    width=st.floats(2, 6000),
    slope=st.sampled_from([0.5, 1.0, 2.25]),
    intercept=st.integers(-1024, 100),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_windows_agree_with_pydicom(centre: float, width: float, slope: float, intercept: int, function: str) -> None:
    dataset = made.dataset(
        RAMP,
        BitsStored=12,
        WindowCenter=f"{centre:.6g}",
        WindowWidth=f"{width:.6g}",
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        VOILUTFunction=function,
    )
    data = made.file_bytes(dataset)
    parsed = pydicom.dcmread(io.BytesIO(data))
    with np.errstate(over="ignore"):  # pydicom's, where a sigmoid is steep
        reference = apply_windowing(apply_modality_lut(RAMP, parsed), parsed)
    low, high = intercept, 4095 * slope + intercept
    np.testing.assert_allclose(read_radiograph(data).pixels, (reference - low) / (high - low) * 255, atol=0.51)


def test_several_ways_of_looking_are_named_and_chosen() -> None:
    dataset = made.dataset(
        RAMP,
        BitsStored=12,
        VOILUTSequence=[lut(0, np.arange(4096)[::-1], 12, "upside down")],
        WindowCenter=[1000, 3000],
        WindowWidth=[400, 800],
        WindowCenterWidthExplanation=["BONE", "SOFT\x07 TISSUE"],
    )
    data = made.file_bytes(dataset)
    radiographs = [read_radiograph(data, window=number) for number in range(3)]
    assert radiographs[0].header.windows == ("upside down", "BONE", "SOFT TISSUE")
    assert [r.pixels.ravel()[1000] for r in radiographs] == [193, 128, 0]
    assert any("defines 3 VOI windows" in sentence for sentence in radiographs[0].warnings)
    parsed = pydicom.dcmread(io.BytesIO(data))
    np.testing.assert_allclose(radiographs[0].pixels, apply_voi_lut(RAMP, parsed) / 4095 * 255, atol=0.51)
    for wrong in (3, -1):
        with pytest.raises(UnreadableRadiograph, match="3 windows"):
            read_radiograph(data, window=wrong)


@pytest.mark.parametrize("vr", ["OW", "US"])
def test_a_table_whose_descriptor_counts_bytes_is_the_same_table(vr: str) -> None:
    def pixels(count: int) -> np.ndarray:
        item = lut(0, np.arange(4096)[::-1], 12)
        item.LUTDescriptor = [count, 0, 12]
        if vr == "OW":
            item.add_new("LUTData", "OW", np.arange(4096, dtype="<u2")[::-1].tobytes())
        dataset = made.dataset(RAMP, BitsStored=12, VOILUTSequence=[item])
        return read_radiograph(made.file_bytes(dataset)).pixels

    np.testing.assert_array_equal(pixels(8192), pixels(4096))
    assert pixels(8192)[0, 0] == 255


def test_a_table_that_is_shorter_than_it_says_gives_way_to_the_window() -> None:
    item = lut(0, np.arange(2000), 12)
    item.LUTDescriptor = [4096, 0, 12]
    window = {"BitsStored": 12, "WindowCenter": 1000, "WindowWidth": 400}
    short, none = (made.dataset(RAMP, **window, **more) for more in ({"VOILUTSequence": [item]}, {}))
    radiographs = [read_radiograph(made.file_bytes(dataset)) for dataset in (short, none)]
    np.testing.assert_array_equal(radiographs[0].pixels, radiographs[1].pixels)
    assert len(radiographs[0].header.windows) == 1
