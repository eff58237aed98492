"""BMP, WebP, AVIF, JPEG-LS, JPEG 2000 and JPEG XL: read where they are sound, named where they are not."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from tests.support.made_pictures import assert_contract, encoded, phantom

PHANTOM = phantom()
#: The same, as a telephone would write it.
HEIC = Path(__file__).parents[2] / "fixtures" / "phantom.heic"
DEEP = PHANTOM.astype(np.uint16) * 16
COLOUR = np.dstack([PHANTOM] * 3)


@pytest.mark.parametrize(
    ("kind", "data", "tolerance"),
    [
        ("JPEG-LS", imagecodecs.jpegls_encode(PHANTOM), 0),
        ("JPEG-LS", imagecodecs.jpegls_encode(DEEP), 1),
        ("JPEG-LS", imagecodecs.jpegls_encode(COLOUR), 1),
        ("JPEG 2000", imagecodecs.jpeg2k_encode(PHANTOM, level=0, reversible=True), 0),
        ("JPEG 2000", imagecodecs.jpeg2k_encode(DEEP, level=0, reversible=True), 1),
        ("JPEG 2000", imagecodecs.jpeg2k_encode(PHANTOM, level=0, reversible=True, codecformat="j2k"), 0),
        ("JPEG 2000", imagecodecs.jpeg2k_encode(COLOUR, level=0, reversible=True), 1),
        ("JPEG XL", imagecodecs.jpegxl_encode(PHANTOM, lossless=True), 0),
        ("JPEG XL", imagecodecs.jpegxl_encode(DEEP, lossless=True), 1),
        ("JPEG XL", imagecodecs.jpegxl_encode(COLOUR, lossless=True, usecontainer=True), 1),
        ("AVIF", encoded(Image.fromarray(COLOUR), "AVIF", quality=100), 6),
        ("JPEG", imagecodecs.jpeg8_encode(PHANTOM, lossless=True), 0),
        ("JPEG", imagecodecs.jpeg8_encode(DEEP, lossless=True, bitspersample=16), 1),
    ],
)
def test_sound_files_are_read(kind: str, data: bytes, tolerance: int) -> None:
    radiograph = read_radiograph(data)
    assert_contract(radiograph)
    assert radiograph.format == kind and radiograph.warnings == ()
    np.testing.assert_allclose(radiograph.pixels.astype(int), PHANTOM, atol=tolerance)


@pytest.mark.parametrize(
    "data",
    [
        imagecodecs.jpeg2k_encode(PHANTOM, level=0),
        imagecodecs.jpegxl_encode(PHANTOM, lossless=True),
        encoded(Image.fromarray(COLOUR), "WebP", lossless=True),
        encoded(Image.fromarray(COLOUR), "AVIF"),
    ],
    ids=["JPEG 2000", "JPEG XL", "WebP", "AVIF"],
)
def test_what_cannot_be_read_in_part_offers_no_part(data: bytes) -> None:
    for accept in (False, True):
        with pytest.raises(UnreadableRadiograph, match=r"truncated|damaged") as caught:
            read_radiograph(data[: len(data) * 2 // 3], accept_cut_short=accept)
        assert caught.value.missing is None


@pytest.mark.parametrize("share", [0.5, 0.7, 0.95])
def test_a_truncated_lossy_webp_keeps_its_first_rows(share: float) -> None:
    data = encoded(PHANTOM, "WebP", quality=90)
    whole = read_radiograph(data).pixels
    cut = data[: int(len(data) * share)]
    with pytest.raises(UnreadableRadiograph, match=r"truncated: the bottom \d+ % of the image is missing") as caught:
        read_radiograph(cut)
    radiograph = read_radiograph(cut, accept_cut_short=True)
    assert 0 < radiograph.missing == pytest.approx(caught.value.missing) and radiograph.missing < 0.95
    held = round(200 * (1 - radiograph.missing))
    np.testing.assert_array_equal(radiograph.pixels[:held], whole[:held])
    assert not radiograph.pixels[held:].any()


def test_a_webp_that_lacks_only_what_follows_the_image_is_whole() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(PHANTOM, "WebP", quality=90, exif=exif)
    radiograph = read_radiograph(data[:-5])
    assert radiograph.missing == 0 and any("which way is up" in sentence for sentence in radiograph.warnings)
    np.testing.assert_array_equal(radiograph.pixels, read_radiograph(encoded(PHANTOM, "WebP", quality=90)).pixels)


def test_a_box_before_the_jpeg_xl_stream_does_not_mislead() -> None:
    data = imagecodecs.jpegxl_encode(PHANTOM, lossless=True, usecontainer=True)
    box = struct.pack(">I", 24) + b"brob" + b"xml \xff\x0a" + bytes(10)
    place = data.index(b"jxlc" if b"jxlc" in data else b"jxlp") - 4
    np.testing.assert_array_equal(read_radiograph(data[:place] + box + data[place:]).pixels, PHANTOM)


def test_a_comment_that_holds_a_markers_bytes_does_not_mislead() -> None:
    stream = imagecodecs.jpeg2k_encode(PHANTOM, level=0, reversible=True, codecformat="j2k")
    first = stream.index(b"\xff\x90")
    words = b"\0\0" + b"\xff\x90\0\x0a\xff\xff\x7f\xff\xff\xff\xff\x52" * 2
    comment = b"\xff\x64" + struct.pack(">H", len(words) + 2) + words
    radiograph = read_radiograph(stream[:first] + comment + stream[first:])
    np.testing.assert_array_equal(radiograph.pixels, PHANTOM)
    assert radiograph.missing == 0


def test_jpeg_2000_in_ycbcr_gives_its_own_grey() -> None:
    colours = np.dstack([PHANTOM, np.full_like(PHANTOM, 90), np.full_like(PHANTOM, 170)])
    data = encoded(Image.fromarray(colours), "JPEG2000", mct=0, irreversible=False)
    place = data.index(b"colr") + 7
    assert data[place : place + 4] == b"\0\0\0\x10"
    radiograph = read_radiograph(data[:place] + b"\0\0\0\x12" + data[place + 4 :])
    inner = (slice(30, 170), slice(40, 100))
    assert np.abs(radiograph.pixels[inner].astype(int) - PHANTOM[inner]).mean() < 12


def test_a_colour_profile_in_jpeg_2000_changes_no_grey() -> None:
    """As in every other format; the decoder would apply it."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    curve = profile.index(b"para\0\0\0\0")
    profile[curve + 12 : curve + 16] = struct.pack(">i", 65_536)  # a gamma of 1
    data = imagecodecs.jpeg2k_encode(COLOUR, level=0, reversible=True, codecformat="jp2")
    place, header = data.index(b"colr"), data.index(b"jp2h")
    box = struct.pack(">I", 11 + len(profile)) + b"colr\2\0\0" + bytes(profile)
    longer = int.from_bytes(data[header - 4 : header], "big") + len(box) - 15
    with_profile = data[: header - 4] + struct.pack(">I", longer) + data[header : place - 4] + box + data[place + 11 :]
    assert (imagecodecs.jpeg2k_decode(with_profile) != COLOUR).any()
    np.testing.assert_allclose(read_radiograph(with_profile).pixels.astype(int), PHANTOM, atol=1)
    short = data[: header - 4] + struct.pack(">I", longer - len(box) + 12) + data[header : place - 4]
    short += struct.pack(">I", 12) + b"colr\2\0\0\0" + data[place + 11 :]
    np.testing.assert_allclose(read_radiograph(short).pixels.astype(int), PHANTOM, atol=1)


@pytest.mark.parametrize(("bits", "signed"), [(4, False), (4, True), (8, True), (12, True), (16, True)])
def test_jpeg_2000_of_few_bits_or_signed_shows_its_whole_range(bits: int, signed: bool) -> None:
    top = (1 << bits) - 1
    values = (PHANTOM.astype(np.int64) * top + 127) // 255 - (signed << (bits - 1))
    stored = values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
    data = imagecodecs.jpeg2k_encode(stored, level=0, reversible=True, bitspersample=bits)
    pixels = read_radiograph(data).pixels.astype(int)
    assert np.abs(pixels - PHANTOM).max() <= 255 / top + 1


@pytest.mark.parametrize("bits", [4, 6, 8, 10])
def test_jpeg_xl_of_few_bits_shows_its_whole_range(bits: int) -> None:
    top = (1 << bits) - 1
    stored = ((PHANTOM.astype(np.uint32) * top + 127) // 255).astype(np.uint8 if bits <= 8 else np.uint16)
    pixels = read_radiograph(imagecodecs.jpegxl_encode(stored, lossless=True, bitspersample=bits)).pixels
    assert np.abs(pixels.astype(int) - PHANTOM).max() <= 255 / top + 1


def test_signed_jpeg_2000_that_uses_little_of_its_range_keeps_its_values() -> None:
    data = imagecodecs.jpeg2k_encode(PHANTOM.astype(np.int16) * 8 - 1000, level=0, reversible=True, bitspersample=16)
    assert any("values run from -1000" in sentence for sentence in read_radiograph(data).warnings)


def test_streams_that_no_decoder_knows_are_named_and_not_called_damaged(capfd: pytest.CaptureFixture[str]) -> None:
    colours = imagecodecs.jpegls_encode(COLOUR)
    frame = colours.index(b"\xff\xf7")
    subsampled = bytearray(colours)
    subsampled[frame + 11] = 0x22
    ink = encoded(Image.fromarray(np.dstack([PHANTOM] * 4), "CMYK"), "JPEG")
    precision = ink.index(b"\xff\xc0") + 4
    stream = imagecodecs.jpeg2k_encode(PHANTOM, level=0, reversible=True, codecformat="j2k")
    size = stream.index(b"\xff\x51")
    halved = stream[: size + 39 + 2] + b"\2" + stream[size + 42 :]
    for data, words in (
        (bytes(subsampled), "JPEG-LS images whose colours are stored at a smaller size are not supported"),
        (ink[:precision] + b"\x0c" + ink[precision + 1 :], "4 samples of 12 bits are not supported"),
        (halved, "stored at a reduced size are not supported"),
    ):
        with pytest.raises(UnreadableRadiograph, match=words) as caught:
            read_radiograph(data)
        assert "damaged" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_truncated_jpeg_2000_in_tiles_keeps_its_first_rows_of_tiles() -> None:
    data = encoded(PHANTOM, "JPEG2000", tile_size=(64, 64), irreversible=False)
    cut = data[: len(data) * 3 // 4]
    with pytest.raises(UnreadableRadiograph, match="truncated: the bottom 36 % of the image is missing"):
        read_radiograph(cut)
    radiograph = read_radiograph(cut, accept_cut_short=True)
    np.testing.assert_array_equal(radiograph.pixels[:128], PHANTOM[:128])
    assert not radiograph.pixels[128:].any()


def test_truncated_jpeg_2000_that_lists_its_packets_keeps_what_is_coarse() -> None:
    data = encoded(PHANTOM, "JPEG2000", plt=True, irreversible=False)
    cut = data[: len(data) * 3 // 4]
    with pytest.raises(UnreadableRadiograph, match="whole image is present, but without fine detail") as caught:
        read_radiograph(cut)
    assert caught.value.missing
    radiograph = read_radiograph(cut, accept_cut_short=True)
    assert np.abs(radiograph.pixels.astype(int) - PHANTOM).mean() < 10
    assert radiograph.warnings == (str(caught.value).removesuffix(" Please export or send it again."),)


@pytest.mark.parametrize("samples", [PHANTOM, DEEP, COLOUR], ids=["8 bit", "16 bit", "colour"])
def test_a_cut_jpeg_ls_file_keeps_its_first_rows(samples: np.ndarray) -> None:
    data = imagecodecs.jpegls_encode(samples)
    with pytest.raises(UnreadableRadiograph, match=r"bottom \d+ % of the image") as caught:
        read_radiograph(data[: len(data) // 2])
    radiograph = read_radiograph(data[: len(data) // 2], accept_cut_short=True)
    assert 0.2 < radiograph.missing == pytest.approx(caught.value.missing) and radiograph.missing < 0.8
    held = round(200 * (1 - radiograph.missing))
    np.testing.assert_allclose(radiograph.pixels[:held].astype(int), PHANTOM[:held], atol=1)
    assert not radiograph.pixels[held:].any()


def bmp(alpha: int) -> bytes:
    """A BMP of 32 bits with an alpha mask, from the bottom up."""
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 150, 200, 1, 32, 3, 0, 0, 0, 0, 0) + masks + bytes(52)
    pixels = np.dstack([*[PHANTOM] * 3, np.full_like(PHANTOM, alpha)])[::-1].tobytes()
    start = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + pixels


def test_transparency_that_a_program_left_at_nought_is_ignored() -> None:
    np.testing.assert_array_equal(read_radiograph(bmp(255)).pixels, PHANTOM)
    rgba = np.dstack([*[PHANTOM] * 3, np.zeros_like(PHANTOM)])
    deep = imagecodecs.png_encode(rgba.astype(np.uint16) * 257)
    for data in (bmp(0), encoded(rgba, "PNG"), encoded(rgba, "TIFF"), deep):
        radiograph = read_radiograph(data)
        np.testing.assert_allclose(radiograph.pixels.astype(int), PHANTOM, atol=1)
        assert any("wholly transparent" in sentence for sentence in radiograph.warnings)


def test_a_cut_bmp_keeps_what_is_there() -> None:
    data = bmp(255)
    cut = data[: len(data) - 150 * 4 * 80]
    with pytest.raises(UnreadableRadiograph, match="40 % of the image is missing"):
        read_radiograph(cut)
    radiograph = read_radiograph(cut, accept_cut_short=True)
    # Stored from the bottom up, it lacks its top.
    assert not radiograph.pixels[:80].any() and radiograph.missing == pytest.approx(0.4)
    np.testing.assert_array_equal(radiograph.pixels[80:], PHANTOM[80:])


def test_a_heic_photo_is_read() -> None:
    data = HEIC.read_bytes()
    radiograph = read_radiograph(data)
    assert_contract(radiograph)
    assert radiograph.format == "HEIC" and radiograph.warnings == ()
    np.testing.assert_allclose(radiograph.pixels.astype(int), PHANTOM, atol=4)
    with pytest.raises(UnreadableRadiograph, match=r"truncated: 50 % .* HEIC cannot be read in part") as caught:
        read_radiograph(data[: len(data) // 2], accept_cut_short=True)
    assert caught.value.missing is None


def test_a_heic_photo_that_cannot_be_read_is_told_how_to_become_a_jpeg() -> None:
    data = bytearray(HEIC.read_bytes())
    place = data.index(b"hvcC")
    data[place : place + 4] = b"xxxx"
    with pytest.raises(UnreadableRadiograph, match=r"HEIC photo cannot be decoded.*Export it as JPEG"):
        read_radiograph(bytes(data))


def test_same_file_same_answer_whatever_was_read_before() -> None:
    other = 255 - PHANTOM[::-1]
    files = {
        "JPEG": encoded(PHANTOM, "JPEG"),
        "PNG": encoded(DEEP, "PNG"),
        "TIFF": encoded(DEEP, "TIFF", compression="tiff_lzw"),
        "BMP": bmp(255),
        "JPEG-LS": imagecodecs.jpegls_encode(DEEP),
        "JPEG 2000": imagecodecs.jpeg2k_encode(DEEP),
        "JPEG XL": imagecodecs.jpegxl_encode(DEEP),
    }
    first = {kind: read_radiograph(data).pixels.tobytes() for kind, data in files.items()}
    for _ in range(3):
        for kind, data in files.items():
            read_radiograph(encoded(np.dstack([other] * 3), "PNG"))
            assert read_radiograph(data).pixels.tobytes() == first[kind], kind
