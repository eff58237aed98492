"""DICOM files: transfer syntaxes, frames, colour, header facts, refusals, and real radiographs."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from fracture_core.imaging.dicom.identifiers import dicom_identifiers
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from tests.support import dicom_files as made

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
BYTES = np.arange(4096, dtype=np.uint16).reshape(64, 64).astype(np.uint8)
SIGNED = (np.arange(4096) - 2048).astype(np.int16).reshape(64, 64)
LOSSLESS = [
    made.RLE,
    made.JPEG_LOSSLESS,
    made.JPEG_LOSSLESS_SV1,
    made.JPEG_LS,
    made.JPEG_2000,
    made.HTJ2K,
    made.DEFLATED_FRAME,
]
TWELVE = {"BitsStored": 12}
WINDOW = {**TWELVE, "WindowCenter": 1000, "WindowWidth": 400}
BYTE_WINDOW = {"WindowCenter": 128, "WindowWidth": 256}


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize(
    ("stored", "header"),
    [
        (RAMP, WINDOW),
        (BYTES, {"WindowCenter": 128, "WindowWidth": 256}),
        (SIGNED, {"WindowCenter": 0, "WindowWidth": 900}),
    ],
    ids=["12 bit", "8 bit", "signed"],
)
def test_lossless_encodings_give_equal_pixels(stored: np.ndarray, header: dict, syntax: str) -> None:
    plain = read_radiograph(made.file_bytes(made.dataset(stored, **header)))
    packed = read_radiograph(made.compressed(stored, syntax, **header))
    np.testing.assert_array_equal(packed.pixels, plain.pixels)
    assert packed.warnings == plain.warnings


@pytest.mark.parametrize("syntax", [made.JPEG_BASELINE, made.JPEG_EXTENDED])
def test_lossy_encodings_stay_near(syntax: str) -> None:
    smooth = BYTES // 2 + 40 if syntax == made.JPEG_BASELINE else RAMP
    bits = 8 if syntax == made.JPEG_BASELINE else 12
    header = {"BitsStored": bits, "WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits}
    plain = read_radiograph(made.file_bytes(made.dataset(smooth, **header))).pixels
    np.testing.assert_allclose(
        read_radiograph(made.compressed(smooth, syntax, **header)).pixels.astype(int), plain, atol=12
    )


def test_what_lossy_coding_pushes_out_of_range_does_not_wrap() -> None:
    """Values beyond BitsStored are held at its top: masked, the brightest bone would turn black."""
    bright = np.where((RAMP // 8) % 2, 1023, 1000).astype(np.uint16)
    frame = made.encode(bright + 3, made.JPEG_2000, 16)
    dataset = made.dataset(bright, BitsStored=10, WindowCenter=512, WindowWidth=1024)
    assert read_radiograph(made.file_bytes(dataset, made.JPEG_2000, [frame])).pixels.min() > 240


@pytest.mark.parametrize("syntax", [made.EXPLICIT, made.RLE, made.JPEG_2000])
def test_a_frame_is_chosen(syntax: str) -> None:
    frames = np.stack([RAMP, RAMP[::-1], RAMP.T])
    header = {**TWELVE, "NumberOfFrames": 3, "WindowCenter": 2048, "WindowWidth": 4096}
    dataset = made.dataset(frames, **header)
    packed = None if syntax == made.EXPLICIT else [made.encode(np.ascontiguousarray(f), syntax, 12) for f in frames]
    data = made.file_bytes(dataset, syntax, packed)
    for number, frame in enumerate(frames):
        radiograph = read_radiograph(data, frame=number)
        np.testing.assert_allclose(radiograph.pixels, frame / 4095 * 255, atol=0.51)
        assert f"3 frames; this is number {number + 1}" in radiograph.warnings[-1]
    assert radiograph.header.number_of_frames == 3
    for wrong in (3, -1):
        with pytest.raises(UnreadableRadiograph, match="frame"):
            read_radiograph(data, frame=wrong)


def test_palette_and_colour() -> None:
    palette = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour, table in (("Red", [0, 65535]), ("Green", [0, 65535]), ("Blue", [0, 65535]))
        for part, value in (("Descriptor", [2, 0, 16]), ("Data", np.array(table, "<u2").tobytes()))
    }
    stored = (RAMP > 2000).astype(np.uint8)
    data = made.file_bytes(made.dataset(stored, PhotometricInterpretation="PALETTE COLOR", **palette))
    np.testing.assert_array_equal(read_radiograph(data).pixels, stored * 255)
    colour = np.dstack([BYTES, BYTES[::-1], BYTES.T])
    radiograph = read_radiograph(made.file_bytes(made.dataset(colour)))
    np.testing.assert_allclose(radiograph.pixels, colour @ [0.299, 0.587, 0.114], atol=1)
    assert any("colour" in sentence for sentence in radiograph.warnings)


def test_header_facts_without_the_patient() -> None:
    radiograph = read_radiograph(
        made.file_bytes(
            made.dataset(
                RAMP,
                **WINDOW,
                Modality="DX",
                BodyPartExamined="WRIST",
                ViewPosition="PA",
                ImageLaterality="L",
                BurnedInAnnotation="YES",
            )
        )
    )
    header = radiograph.header
    assert (header.modality, header.body_part, header.view) == ("DX", "WRIST", "PA")
    assert (header.number_of_frames, header.windows) == (1, ("centre 1000, width 400",))
    assert any("burned-in text" in sentence for sentence in radiograph.warnings)
    assert "Doe" not in repr(radiograph) and "12345" not in repr(radiograph)


@pytest.mark.parametrize(
    ("patient", "detector", "spacing", "at_detector"),
    [
        (["0.2", "0.1"], ["0.3", "0.3"], (0.1, 0.1), False),  # rows that were added to make its pixels square
        (["0.2", "0.2"], None, (0.2, 0.2), True),  # nothing says that it was corrected
        (None, ["0.15", "0.15"], (0.15, 0.15), True),
        (["0.15", "0.15"], ["0.15", "0.15"], (0.15, 0.15), True),  # not calibrated
        (["0.12", "0.12"], ["0.15", "0.15"], (0.12, 0.12), False),
        (["0.000", "0.000"], None, None, False),
        (["-1", "1"], None, None, False),
        (["0.2"], None, None, False),
        (None, None, None, False),
    ],
)
def test_millimetres_are_the_patients_where_the_file_has_them(patient, detector, spacing, at_detector) -> None:
    given = {"PixelSpacing": patient, "ImagerPixelSpacing": detector}
    held = {keyword: value for keyword, value in given.items() if value}
    header = read_radiograph(made.file_bytes(made.dataset(RAMP, **WINDOW, **held))).header
    assert (header.pixel_spacing, header.spacing_at_detector) == (spacing, at_detector)


def test_identifiers_only_for_who_asks() -> None:
    data = made.file_bytes(made.dataset(RAMP, **WINDOW, PatientBirthDate="19700101"))
    found = dicom_identifiers(data)
    assert found["PatientName"] == "Doe^Jane" and found["PatientID"] == "12345"
    assert found["PatientBirthDate"] == "19700101" and "PatientAddress" not in found
    assert dicom_identifiers(b"no DICOM at all") == {}


def test_nothing_of_a_header_reaches_logs_or_warnings(caplog: pytest.LogCaptureFixture, recwarn: object, capfd) -> None:
    dataset = made.dataset(RAMP, **WINDOW)
    data = made.file_bytes(dataset).replace(b"12345 ", b"\xff\xfeSECRET"[:6])
    data = data.replace(b"Doe^Jane", b"=\x1b\xffSECR=")
    read_radiograph(data)
    with pytest.raises(UnreadableRadiograph) as caught:
        read_radiograph(data[:-100])
    shown = caplog.text + "".join(capfd.readouterr()) + "".join(str(w.message) for w in recwarn) + str(caught.value)
    assert "SECR" not in shown and "pydicom" not in shown


# --- what cannot be read


def without(*keywords: str, **header: object) -> bytes:
    dataset = made.dataset(RAMP, **{**WINDOW, **header})
    for keyword in keywords:
        delattr(dataset, keyword)
    return made.file_bytes(dataset) if "PixelData" in dataset else made.file_bytes(dataset, made.EXPLICIT)


def in_syntax(syntax: str) -> bytes:
    return made.file_bytes(made.dataset(RAMP, **WINDOW), syntax, [b"\0" * 64])


CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (without(Modality="CT"), r"a CT file \(CT\), not a plain radiograph"),
        (without(Modality="MR"), "an MRI file"),
        (without(Modality="US"), "an ultrasound file"),
        (without(Modality="MG"), "a mammography file"),
        (without(Modality="ZZ"), "a 'ZZ' file"),
        (without("Modality", SOPClassUID=CT), "not a plain radiograph .* CT Image Storage"),
        (without("PixelData"), "contains no image"),
        (without("PixelData", Modality="SR"), "a report file"),
        (without("Rows"), "does not state Rows"),
        (without(BitsAllocated=64, BitsStored=64), "cannot be read here"),
        (without(BitsStored=12, HighBit=3), "contradicts itself"),
        (without(Rows=65_535, Columns=65_535), "the limit is"),
        (without(Rows=1), "at least 16"),
        (without(Rows=128), "truncated: the bottom 50 % of the image is missing"),
        (without(RescaleSlope="1e308", RescaleIntercept="1e308"), "out of range"),
        (in_syntax(made.MPEG_4), r"MPEG-4.*1\.2\.840\.10008\.1\.2\.4\.102"),
        (in_syntax("1.2.840.10008.1.2.4.110"), "no header of its own"),
        (in_syntax("1.2.3.4.5"), r"\(1\.2\.3\.4\.5\)"),
        (in_syntax(made.JPEG_2000), "no header of its own"),
        (in_syntax(made.JPEG_LS), "no header of its own"),
        (in_syntax(made.RLE), "DICOM file is damaged"),
        (b"\0" * 128 + b"DICM", "contains no image|damaged"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 500, "damaged|no image"),
    ],
)
def test_sentences(data: bytes, sentence: str) -> None:
    with pytest.raises(UnreadableRadiograph, match=sentence) as caught:
        read_radiograph(data)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize("syntax", [s for s in LOSSLESS if s not in (made.RLE, made.DEFLATED_FRAME)])
def test_a_frame_of_another_size_is_refused_before_it_is_decoded(syntax: str) -> None:
    frame = made.encode(np.zeros((2000, 2000), np.uint16), syntax, 12)
    data = made.file_bytes(made.dataset(RAMP, **WINDOW), syntax, [frame])
    with pytest.raises(UnreadableRadiograph, match=r"64 x 64 pixels .* 2,000 x 2,000"):
        read_radiograph(data)


@pytest.mark.parametrize("modality", ["OT", None])
def test_what_may_be_a_radiograph_is_read_with_a_warning(modality: str | None) -> None:
    radiograph = read_radiograph(made.file_bytes(made.dataset(RAMP, **WINDOW, Modality=modality)))
    assert any("make sure that it is a plain radiograph" in sentence for sentence in radiograph.warnings)


def test_a_file_without_preamble_is_read() -> None:
    data = made.file_bytes(made.dataset(RAMP, **WINDOW))
    np.testing.assert_array_equal(read_radiograph(data[132:]).pixels, read_radiograph(data).pixels)


def test_a_polyglot_is_dicom_first() -> None:
    data = made.file_bytes(made.dataset(RAMP, **WINDOW))
    assert read_radiograph(b"\xff\xd8\xff\xe0" + data[4:]).format == "DICOM"


def test_a_window_that_shows_nothing_is_told() -> None:
    radiograph = read_radiograph(made.file_bytes(made.dataset(RAMP, BitsStored=12, WindowCenter=9000, WindowWidth=10)))
    assert any("nearly all of the image black or white" in sentence for sentence in radiograph.warnings)


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_PARTIAL_422"])
@pytest.mark.parametrize("halved", [True, False])
def test_colour_at_half_the_width_is_told_by_the_length_of_the_data(photometric: str, halved: bool) -> None:
    """Writers say 422 of data that have a colour for each pixel."""
    greys = np.tile(np.linspace(20, 230, 64).astype(np.uint8), (64, 1))
    whole = np.dstack([greys, *[np.full_like(greys, 128)] * 2])
    pairs = np.dstack([greys[:, ::2], greys[:, 1::2], *[np.full((64, 32), 128, np.uint8)] * 2])
    dataset = made.dataset(whole, PhotometricInterpretation=photometric)
    dataset.PixelData = (pairs if halved else whole).tobytes()
    expected = greys.astype(float) if photometric == "YBR_FULL_422" else (greys - 16.0) * 255 / 219
    pixels = read_radiograph(made.file_bytes(dataset)).pixels
    np.testing.assert_allclose(pixels, np.clip(expected, 0, 255), atol=1)


@pytest.mark.parametrize("syntax", [made.EXPLICIT, made.RLE, made.JPEG_LOSSLESS_SV1, made.JPEG_LS])
def test_an_old_overlay_in_the_unused_bits_is_no_part_of_the_image(syntax: str) -> None:
    plain = read_radiograph(made.file_bytes(made.dataset(RAMP, **WINDOW)))
    overlaid = RAMP.copy()
    overlaid[8:24, 8:24] |= 1 << 15
    dataset = made.dataset(overlaid, **WINDOW)
    frames = None if syntax == made.EXPLICIT else [made.encode(overlaid, syntax, 16)]
    np.testing.assert_array_equal(read_radiograph(made.file_bytes(dataset, syntax, frames)).pixels, plain.pixels)


def test_a_window_of_fractions_is_used() -> None:
    """LINEAR allows no width below 1; where values are fractions, it is meant exactly."""
    header = {"BitsStored": 12, "RescaleSlope": "0.0001", "RescaleIntercept": "0"}
    data = made.file_bytes(made.dataset(RAMP, WindowCenter="0.1", WindowWidth="0.1", **header))
    radiograph = read_radiograph(data)
    expected = np.clip((RAMP * 0.0001 - 0.05) / 0.1, 0, 1) * 255
    np.testing.assert_allclose(radiograph.pixels, expected, atol=1)
    assert not any("window" in sentence for sentence in radiograph.warnings)


def test_a_file_without_a_window_is_not_said_to_ask_for_one() -> None:
    stored = np.zeros((200, 150), np.uint16)
    stored[:9, :] = np.arange(150) * 20
    for header in ({}, {"WindowCenter": 0, "WindowWidth": 0}):
        warnings = read_radiograph(made.file_bytes(made.dataset(stored, BitsStored=12, **header))).warnings
        assert any("gives no usable window" in sentence for sentence in warnings)
        assert not any("asks for" in sentence for sentence in warnings)


def test_a_jpeg_2000_frame_that_says_it_is_signed_is_believed() -> None:
    signed = RAMP.astype(np.int16) - 2000
    window = {"WindowCenter": 0, "WindowWidth": 4000}
    frame = made.encode(signed, made.JPEG_2000, 16)
    data = made.file_bytes(made.dataset(signed, PixelRepresentation=0, **window), made.JPEG_2000, [frame])
    whole = read_radiograph(made.file_bytes(made.dataset(signed, **window)))
    np.testing.assert_array_equal(read_radiograph(data).pixels, whole.pixels)


@pytest.mark.filterwarnings("ignore:Expected explicit VR:UserWarning")
def test_elements_that_are_implicit_in_a_file_that_says_explicit_are_read() -> None:
    explicit = made.compressed(RAMP, made.JPEG_LS, **WINDOW)
    implicit = made.file_bytes(made.dataset(RAMP, **WINDOW), made.IMPLICIT)
    start = implicit.index(b"\x08\0\x16\0")
    elements = implicit[start : implicit.index(b"\xe0\x7f\x10\0")]
    frame = explicit[explicit.index(b"\xe0\x7f\x10\0") + 12 :]
    meta = explicit[: explicit.index(b"\x08\0\x16\0")]
    data = meta + elements + b"\xe0\x7f\x10\0\xff\xff\xff\xff" + frame
    np.testing.assert_array_equal(read_radiograph(data).pixels, read_radiograph(explicit).pixels)


@pytest.mark.filterwarnings("ignore:Expected implicit VR:UserWarning")
def test_elements_that_are_explicit_in_a_file_that_says_implicit_are_read() -> None:
    explicit, implicit = (
        made.file_bytes(made.dataset(RAMP, **WINDOW), syntax) for syntax in (made.EXPLICIT, made.IMPLICIT)
    )
    start = b"\x08\0\x16\0"
    data = implicit[: implicit.index(start)] + explicit[explicit.index(start) :]
    np.testing.assert_array_equal(read_radiograph(data).pixels, read_radiograph(explicit).pixels)


@pytest.mark.parametrize("syntax", [made.RLE, made.JPEG_LOSSLESS_SV1, made.JPEG_LS, made.JPEG_2000])
def test_a_missing_offset_table_is_not_missed(syntax: str) -> None:
    data = made.compressed(RAMP, syntax, **WINDOW)
    place = data.index(b"\xe0\x7f\x10\0") + 12
    assert data[place : place + 8] == b"\xfe\xff\0\xe0\0\0\0\0"
    np.testing.assert_array_equal(
        read_radiograph(data[:place] + data[place + 8 :]).pixels, read_radiograph(data).pixels
    )


def test_an_unknown_sequence_in_a_big_endian_file_is_passed_over() -> None:
    data = made.file_bytes(made.dataset(RAMP, **WINDOW), made.BIG_ENDIAN)
    place = data.index(b"\0\x28\0\x02US")
    inner = struct.pack("<HHI", 8, 0x1150, 4) + b"1.2\0"
    item = b"\xfe\xff\0\xe0" + struct.pack("<I", len(inner)) + inner
    sequence = b"\0\x08\x21\x12UN\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0" + bytes(4)
    np.testing.assert_array_equal(
        read_radiograph(data[:place] + sequence + data[place:]).pixels, read_radiograph(data).pixels
    )


# --- real ones


def test_real_encodings_of_one_picture_give_equal_pixels(dicom_dir: Path) -> None:
    plain = read_radiograph(dicom_dir / "RG3_UNC.dcm")
    assert plain.warnings == () and plain.header.body_part == "EXTREMITY"
    for encoding in ("RLE", "JPLL", "J2KR", "JLSL"):
        np.testing.assert_array_equal(read_radiograph(dicom_dir / f"RG3_{encoding}.dcm").pixels, plain.pixels)
    # 12 bit extended, with a scan header that is wrong by the standard.
    lossy = read_radiograph(dicom_dir / "RG3_JPLY.dcm").pixels.astype(int)
    assert np.abs(lossy - plain.pixels).mean() < 1


def test_real_pictures_are_what_pydicom_shows(dicom_dir: Path) -> None:
    for name in ("RG1_JLSN", "RG2_UNC", "RG2_J2KI", "RG3_UNC"):
        path = dicom_dir / f"{name}.dcm"
        dataset = pydicom.dcmread(path)
        stored = dataset.pixel_array[::8]
        reference = apply_voi_lut(apply_modality_lut(stored, dataset), dataset) / (2**dataset.BitsStored - 1) * 255
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            reference = 255 - reference
        np.testing.assert_allclose(read_radiograph(path).pixels[::8], reference, atol=0.51)


def test_real_bone_is_brighter_than_real_air(dicom_dir: Path) -> None:
    leg = read_radiograph(dicom_dir / "RG3_UNC.dcm").pixels
    bone, air = leg[200:1000, 700:800], leg[1200:1700, 450:520]
    assert np.median(bone) > np.median(air) + 60
