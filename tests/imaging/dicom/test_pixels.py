"""DICOM pixels as people really have them: colour, polarity, cuts, odd headers; against pydicom and made images."""

from __future__ import annotations

import struct
import tracemalloc

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import convert_color_space

from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from tests.support import dicom_files as made
from tests.support.made_pictures import phantom

PHANTOM = phantom()
DEEP = PHANTOM.astype(np.uint16) * 16
COLOUR = np.dstack([PHANTOM] * 3)
#: PHANTOM through a window over all of 8 bits.
WHOLE = {"WindowCenter": 128, "WindowWidth": 256}
TWELVE = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}


def plain(pixels: np.ndarray = PHANTOM, syntax: str = made.EXPLICIT, **header: object) -> bytes:
    return made.file_bytes(made.dataset(pixels, **{**WHOLE, **header}), syntax)


def framed(frame: bytes, syntax: str, pixels: np.ndarray = PHANTOM, **header: object) -> bytes:
    return made.file_bytes(made.dataset(pixels, **header), syntax, [frame])


def rle(pixels: np.ndarray) -> bytes:
    """Run lengths of 8 bit colour, a segment a sample."""
    segments = [imagecodecs.packbits_encode(np.ascontiguousarray(pixels[:, :, k]).tobytes()) for k in range(3)]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    header = np.zeros(16, "<u4")
    header[0], header[1:4] = 3, np.cumsum([64, *map(len, segments[:-1])])
    return header.tobytes() + b"".join(segments)


def shows_phantom(data: bytes, tolerance: int = 2, **choice: object) -> tuple[str, ...]:
    radiograph = read_radiograph(data, **choice)
    np.testing.assert_allclose(radiograph.pixels.astype(int), PHANTOM, atol=tolerance)
    return radiograph.warnings


# --- polarity, proportions, photometric interpretation


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),
        ("monochrome1 ", None, True),
        ("MONOCHROME 1", None, True),
    ],
)
def test_the_image_is_inverted_once_or_not_at_all(photometric: str, shape: str | None, inverted: bool) -> None:
    header = {} if shape is None else {"PresentationLUTShape": shape}
    data = plain(255 - PHANTOM if inverted else PHANTOM, PhotometricInterpretation=photometric, **header)
    assert shows_phantom(data) == ()


@pytest.mark.parametrize("name", ["monochrome2", "Monochrome2", "MONOCHROME_2", "GRAYSCALE", "", "RGB"])
def test_unusual_names_of_grey_are_read_as_grey(name: str) -> None:
    warnings = shows_phantom(plain(PhotometricInterpretation=name))
    assert any("unusual" in sentence for sentence in warnings) == (name == "GRAYSCALE")


@pytest.mark.parametrize(
    "keyword", ["PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"]
)
def test_pixels_that_are_not_square_are_shown_in_true_proportions(keyword: str) -> None:
    sizes = {"tall": [2, 1], "wide": [1, 3]}
    for shape, (height, width) in sizes.items():
        data = plain(**{keyword: [height, width] if keyword == "PixelAspectRatio" else [height / 5, width / 5]})
        radiograph = read_radiograph(data)
        assert radiograph.pixels.shape == ((400, 150) if shape == "tall" else (200, 450))
        assert any("true proportions" in sentence for sentence in radiograph.warnings)
        shrunk = radiograph.pixels[1::2] if shape == "tall" else radiograph.pixels[:, 1::3]
        assert np.abs(shrunk.astype(int) - PHANTOM).mean() < 8
    assert shows_phantom(plain(**{keyword: [1, 1]})) == ()


# --- colour


@pytest.mark.parametrize("syntax", [made.RLE, made.JPEG_LS, made.JPEG_LOSSLESS_SV1, made.EXPLICIT, made.JPEG_2000])
def test_ybr_full_is_converted_in_every_encoding(syntax: str) -> None:
    picture = np.dstack([PHANTOM, PHANTOM[::-1], np.full_like(PHANTOM, 60)])
    stored = convert_color_space(picture, "RGB", "YBR_FULL")
    header = {"PhotometricInterpretation": "YBR_FULL"}
    if syntax == made.EXPLICIT:
        data = made.file_bytes(made.dataset(stored, **header))
    elif syntax == made.RLE:
        data = framed(rle(stored), syntax, stored, **header)
    elif syntax == made.JPEG_LS:
        data = framed(imagecodecs.jpegls_encode(stored), syntax, stored, **header)
    elif syntax == made.JPEG_2000:
        frame = imagecodecs.jpeg2k_encode(stored, codecformat="j2k", reversible=True, level=0, mct=False)
        data = framed(frame, syntax, stored, **header)
    else:
        frame = imagecodecs.jpeg8_encode(stored, lossless=True, colorspace="RGB", outcolorspace="RGB")
        data = framed(frame, syntax, stored, **header)
    radiograph = read_radiograph(data)
    np.testing.assert_allclose(radiograph.pixels, picture @ [0.299, 0.587, 0.114], atol=2)
    assert any("in colour" in sentence for sentence in radiograph.warnings)
    grey = convert_color_space(COLOUR, "RGB", "YBR_FULL")
    assert shows_phantom(made.file_bytes(made.dataset(grey, **header))) == ()


def test_rgb_without_colour_transform_is_what_the_header_says() -> None:
    frame = imagecodecs.jpeg8_encode(COLOUR, level=98, colorspace="RGB", outcolorspace="RGB")
    frame = without_segments(frame, {0xE0, 0xEE})
    # Components that are numbered, not named, so that nothing but the DICOM header tells.
    place = frame.index(b"\xff\xc0") + 10
    renamed = bytearray(frame)
    for number in range(3):
        renamed[place + 3 * number] = number + 1
    scan = frame.index(b"\xff\xda") + 5
    for number in range(3):
        renamed[scan + 2 * number] = number + 1
    assert shows_phantom(framed(bytes(renamed), made.JPEG_BASELINE, COLOUR), 6) == ()


def without_segments(stream: bytes, markers: set[int]) -> bytes:
    kept, place = stream[:2], 2
    while stream[place + 1] != 0xDA:
        length = int.from_bytes(stream[place + 2 : place + 4], "big") + 2
        if stream[place + 1] not in markers:
            kept += stream[place : place + length]
        place += length
    return kept + stream[place:]


@pytest.mark.parametrize(("said", "held"), [(1, 3), (3, 1)])
def test_samples_that_disagree_are_read_as_compressed(said: int, held: int) -> None:
    frame = imagecodecs.jpeg8_encode(COLOUR if held == 3 else PHANTOM, level=98)
    header = {} if said == 3 else WHOLE
    data = framed(frame, made.JPEG_BASELINE, COLOUR if said == 3 else PHANTOM, **header)
    warnings = shows_phantom(data, 6)
    assert any(f"says {said} sample" in sentence for sentence in warnings)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("bits", "word"), [(8, "u1"), (8, "u2"), (16, "u2"), (16, "8 in 16")])
def test_palettes_in_bytes_and_in_words(bits: int, word: str, order: str) -> None:
    places = PHANTOM // 64
    greys = np.array([10, 90, 170, 250])
    entries = greys if bits == 8 or word == "8 in 16" else greys * 257
    table = entries.astype("u1" if word == "u1" else f"{order}u2").tobytes()
    palette = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [4, 0, bits]), ("Data", table))
    }
    dataset = made.dataset(places, PhotometricInterpretation="PALETTE COLOR", **palette)
    data = made.file_bytes(dataset, made.EXPLICIT if order == "<" else made.BIG_ENDIAN)
    np.testing.assert_array_equal(read_radiograph(data).pixels, greys[places])


def test_places_beyond_a_palette_take_its_last_colour() -> None:
    places = PHANTOM // 32
    table = np.array([10, 90, 170, 250], "<u2").tobytes()
    palette = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [4, 0, 8]), ("Data", table))
    }
    data = made.file_bytes(made.dataset(places, PhotometricInterpretation="PALETTE COLOR", **palette))
    expected = np.array([10, 90, 170, 250])[np.minimum(places, 3)]
    np.testing.assert_array_equal(read_radiograph(data).pixels, expected)


# --- truncation


@pytest.mark.parametrize(
    "syntax",
    [
        made.EXPLICIT,
        made.IMPLICIT,
        made.DEFLATED_FRAME,
        made.RLE,
        made.JPEG_LS,
        made.JPEG_BASELINE,
        made.JPEG_EXTENDED,
        made.JPEG_LOSSLESS_SV1,
    ],
)
@pytest.mark.parametrize("where", ["frame", "file"])
def test_a_truncated_image_is_refused_or_read_as_far_as_it_goes(syntax: str, where: str) -> None:
    deep = syntax not in (made.JPEG_BASELINE,)
    pixels = DEEP + np.random.default_rng(0).integers(0, 15, DEEP.shape).astype(np.uint16) if deep else PHANTOM
    header = TWELVE if deep else WHOLE
    native = syntax in (made.EXPLICIT, made.IMPLICIT)
    if native:
        whole = made.file_bytes(made.dataset(pixels, **header), syntax)
        cut = whole[: len(whole) - pixels.nbytes // 2]
    else:
        frame = made.encode(pixels, syntax, 12 if deep else 8)
        whole = framed(frame, syntax, pixels, **header)
        # Half of the frame is in the file, which ends properly after it or in its middle.
        cut = framed(frame[: len(frame) // 2], syntax, pixels, **header)
        cut = whole[: whole.index(frame) + len(frame) // 2] if where == "file" else cut
    # Runs that end too early in a file that does not may as well be damaged.
    words = "damaged: at least" if (syntax, where) == (made.RLE, "frame") else "truncated:"
    with pytest.raises(UnreadableRadiograph, match=rf"{words} the bottom \d+ % of the image") as caught:
        read_radiograph(cut)
    radiograph = read_radiograph(cut, accept_cut_short=True)
    assert 0.05 < radiograph.missing < 0.95
    assert radiograph.missing == pytest.approx(caught.value.missing)
    held = round(200 * (1 - radiograph.missing))
    expected = read_radiograph(whole).pixels
    np.testing.assert_array_equal(radiograph.pixels[:held], expected[:held])
    assert not radiograph.pixels[held:].any()


@pytest.mark.parametrize("syntax", [made.EXPLICIT, made.IMPLICIT, made.DEFLATED, made.DEFLATED_FRAME, made.RLE])
def test_more_pixels_than_the_header_describes_are_not_passed_over(syntax: str) -> None:
    """Half of the rows, or every byte for a pixel: the picture may be wrong, and nothing else would show it."""
    packed = syntax in (made.DEFLATED_FRAME, made.RLE)
    frames = [made.encode(DEEP, syntax, 12)] if packed else None
    lies: list[dict] = [{"Rows": DEEP.shape[0] // 2, **TWELVE}]
    if not packed:
        lies.append({"BitsAllocated": 8, "BitsStored": 8, "WindowCenter": 128, "WindowWidth": 256})
    for lie in lies:
        data = made.file_bytes(made.dataset(DEEP, **lie), syntax, frames)
        if packed:
            with pytest.raises(UnreadableRadiograph, match="damaged: part of the image is wrong"):
                read_radiograph(data)
            continue
        radiograph = read_radiograph(data)
        assert any("more pixel data than its header describes" in warning for warning in radiograph.warnings)
    assert not read_radiograph(made.file_bytes(made.dataset(DEEP, **TWELVE), syntax, frames)).warnings


@pytest.mark.parametrize("padding", [1, 2, 400, 100_000])
@pytest.mark.parametrize("value", [b"\0", b"\xff"])
def test_padding_after_the_pixels_is_no_reason_for_a_warning(padding: int, value: bytes) -> None:
    dataset = made.dataset(PHANTOM, **WHOLE)
    dataset.PixelData += value * (padding + padding % 2)
    assert shows_phantom(made.file_bytes(dataset)) == ()


def test_a_truncated_jpeg_2000_says_how_much_is_missing_and_offers_no_part() -> None:
    frame = made.encode(DEEP, made.JPEG_2000, 12)
    data = framed(frame[: len(frame) // 2], made.JPEG_2000, DEEP, **TWELVE)
    for accept in (False, True):
        with pytest.raises(UnreadableRadiograph, match=r"truncated: \d+ % of its data are missing") as caught:
            read_radiograph(data, accept_cut_short=accept)
        assert caught.value.missing is None


def test_missing_rows_do_not_shift_an_estimated_window() -> None:
    frame = imagecodecs.jpeg8_encode(PHANTOM // 4, level=98)
    whole = read_radiograph(framed(frame, made.JPEG_BASELINE)).pixels
    half = framed(frame[: len(frame) // 2], made.JPEG_BASELINE)
    radiograph = read_radiograph(half, accept_cut_short=True)
    held = round(200 * (1 - radiograph.missing))
    assert np.abs(radiograph.pixels[:held].astype(int) - whole[:held]).mean() < 12


@pytest.mark.parametrize("frame", range(3))
def test_frames_before_the_cut_are_read_whole(frame: int) -> None:
    frames = np.stack([DEEP, DEEP[::-1], DEEP // 2])
    packed = [made.encode(np.ascontiguousarray(f), made.JPEG_LS, 12) for f in frames]
    dataset = made.dataset(frames, NumberOfFrames=3, **TWELVE)
    whole = made.file_bytes(dataset, made.JPEG_LS, packed)
    cut = whole[: whole.index(packed[2])]
    if frame < 2:
        radiograph = read_radiograph(cut, frame=frame)
        np.testing.assert_allclose(radiograph.pixels, frames[frame] / 4095 * 255, atol=0.51)
    else:
        with pytest.raises(UnreadableRadiograph, match="truncated"):
            read_radiograph(cut, frame=frame)


# --- headers


@pytest.mark.parametrize("syntax", [made.EXPLICIT, made.IMPLICIT, made.BIG_ENDIAN])
def test_a_data_set_without_a_meta_header_is_read(syntax: str) -> None:
    data = made.file_bytes(made.dataset(DEEP, **TWELVE), syntax)
    length = struct.unpack_from("<I", data, 140)[0]
    bare = data[144 + length :]
    for version in (bare, bytes(128) + b"DICM" + bare):
        assert shows_phantom(version) == ()


@pytest.mark.parametrize("syntax", [made.RLE, made.JPEG_LS, made.JPEG_LOSSLESS_SV1, made.JPEG_2000])
def test_a_compressed_data_set_without_a_meta_header_is_read(syntax: str) -> None:
    data = made.compressed(DEEP, syntax, **TWELVE)
    length = struct.unpack_from("<I", data, 140)[0]
    assert shows_phantom(data[144 + length :]) == ()


@pytest.mark.parametrize(
    ("keyword", "text", "shown"),
    [
        ("RescaleSlope", "1,0", None),
        ("RescaleSlope", "one", "RescaleSlope"),
        ("RescaleIntercept", "0 HU", "RescaleIntercept"),
        ("WindowCenter", "2048,0", None),
        ("WindowWidth", "4096,0", None),
        ("PixelPaddingValue", "none", "PixelPaddingValue"),
        ("PixelAspectRatio", "a\\b", None),
        ("PixelSpacing", "0,2\\0,2", None),
        ("NumberOfFrames", "one", None),
        ("PlanarConfiguration", "?", None),
        ("HighBit", "x", None),
    ],
)
def test_one_unusable_optional_number_is_left_out(keyword: str, text: str, shown: str | None) -> None:
    dataset = made.dataset(DEEP, **TWELVE)
    if keyword in dataset:
        delattr(dataset, keyword)
    dataset.add_new(keyword, "UT", text)
    warnings = shows_phantom(made.file_bytes(dataset))
    assert any(f"{keyword} in the DICOM header is not a number" in sentence for sentence in warnings) == bool(shown)


@pytest.mark.parametrize("representation", ["UL", "IS", "DS", "LO"])
def test_rows_and_columns_of_another_representation_are_understood(representation: str) -> None:
    dataset = made.dataset(DEEP, **TWELVE)
    for keyword, number in (("Rows", 200), ("Columns", 150)):
        delattr(dataset, keyword)
        dataset.add_new(keyword, representation, number if representation == "UL" else str(number))
    assert shows_phantom(made.file_bytes(dataset)) == ()


@pytest.mark.parametrize("modality", ["DR", "XR", "RX"])
def test_vendors_names_of_plain_radiography_are_known(modality: str) -> None:
    assert shows_phantom(plain(Modality=modality)) == ()


@pytest.mark.parametrize(
    "header",
    [{"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}, {"PresentationIntentType": "FOR PROCESSING"}],
)
def test_raw_detector_data_are_named(header: dict) -> None:
    with pytest.raises(UnreadableRadiograph, match="raw detector data"):
        read_radiograph(plain(Modality="DX", **header))


def test_another_window_can_be_taken() -> None:
    data = plain(WindowCenter=[-900, 128], WindowWidth=[10, 256], WindowCenterWidthExplanation=["SOFT", "NORMAL"])
    first = read_radiograph(data)
    assert first.blank and first.header.windows == ("SOFT", "NORMAL")
    assert any("Try another of its windows" in sentence for sentence in first.warnings)
    shows_phantom(data, window=1)
    assert not read_radiograph(data, window=1).blank


def test_advice_to_try_another_window_needs_another_window() -> None:
    for warning in read_radiograph(plain(WindowCenter=-900, WindowWidth=10)).warnings:
        assert "another" not in warning


def test_a_window_that_is_far_too_wide_is_told() -> None:
    """Such as one for 12 bits on values of 8: nothing is black or white, and nothing can be seen."""
    told = read_radiograph(plain(DEEP // 16, BitsStored=12, WindowCenter=2048, WindowWidth=4096)).warnings
    assert any("nearly all of the image black or white" in sentence for sentence in told)


def test_a_file_that_ends_before_its_pixels_says_so() -> None:
    dataset: Dataset = made.dataset(PHANTOM, **WHOLE)
    del dataset.PixelData
    with pytest.raises(UnreadableRadiograph, match="ends before its pixel data"):
        read_radiograph(made.file_bytes(dataset))


# --- what a compressed frame and its header say of a sample


@pytest.mark.parametrize("syntax", [made.JPEG_2000, made.JPEG_LOSSLESS_SV1, made.JPEG_LS, made.RLE, made.EXPLICIT])
@pytest.mark.parametrize("how", ["overlay", "high bit"])
def test_bits_that_are_not_the_pixels_own_are_taken_out(syntax: str, how: str) -> None:
    """An old overlay in the bits above, or the pixel in the upper bits of its word."""
    stored = DEEP | (((np.indices(DEEP.shape).sum(axis=0) // 9) % 2) << 12).astype(np.uint16)
    stored = stored if how == "overlay" else DEEP << 4
    header = {**TWELVE, "HighBit": 11 if how == "overlay" else 15}
    frames = None if syntax == made.EXPLICIT else [made.encode(stored, syntax, 16)]
    shows_phantom(made.file_bytes(made.dataset(stored, **header), syntax, frames))


def test_a_frame_that_is_deeper_than_the_header_has_room_for_is_believed() -> None:
    frame = made.encode(PHANTOM.astype(np.uint16) * 257, made.JPEG_2000, 16)
    pixels = read_radiograph(framed(frame, made.JPEG_2000)).pixels
    assert np.corrcoef(pixels.ravel(), PHANTOM.ravel())[0, 1] > 0.999 and pixels.mean() < 1.2 * PHANTOM.mean()


@pytest.mark.parametrize(("photometric", "expected"), [("MONOCHROME1", 255 - PHANTOM), ("MONOCHROME2", PHANTOM)])
def test_a_grey_header_counts_for_a_grey_frame_in_three_components(photometric: str, expected: np.ndarray) -> None:
    frame = imagecodecs.jpeg8_encode(COLOUR, level=98)
    data = framed(frame, made.JPEG_BASELINE, **WHOLE, PhotometricInterpretation=photometric)
    np.testing.assert_allclose(read_radiograph(data).pixels.astype(int), expected, atol=4)


def test_a_large_frame_of_twelve_bits_in_a_row_takes_little_memory() -> None:
    side = 3000
    frame = np.tile(np.frombuffer(b"\x21\x43\x65", np.uint8), side * side // 2).tobytes()
    dataset = made.dataset(np.zeros((8, 8), np.uint16), BitsAllocated=12, BitsStored=12, Rows=side, Columns=side)
    dataset.PixelData = frame
    data = made.file_bytes(dataset)
    tracemalloc.start()
    try:
        read_radiograph(data)
        assert tracemalloc.get_traced_memory()[1] < 16 * side * side
    finally:
        tracemalloc.stop()
