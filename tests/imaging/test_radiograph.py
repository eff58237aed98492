"""Every image format to one contract, against independent references; sentences for everything else."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from fracture_core.imaging.radiograph import MAX_NAME, UnreadableRadiograph, display_name, read_radiograph
from tests.support.made_pictures import assert_contract, encoded, phantom


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WebP"])
def test_lossless_grey_comes_back_exactly(kind: str) -> None:
    options = {"lossless": True} if kind == "WebP" else {}
    data = encoded(phantom(), kind, **options)
    radiograph = read_radiograph(data)
    assert_contract(radiograph)
    assert radiograph.format == kind
    assert radiograph.sha256 == hashlib.sha256(data).hexdigest()
    # WebP keeps grey as colour: luma may round by one.
    np.testing.assert_allclose(radiograph.pixels, phantom(), atol=1 if kind == "WebP" else 0)
    assert radiograph.warnings == () and radiograph.missing == 0 and radiograph.header is None


def test_jpeg_is_what_an_independent_decoder_sees() -> None:
    data = encoded(phantom(), "JPEG", quality=90)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(read_radiograph(data).pixels, expected)


def test_colour_jpeg_gives_its_luma_and_a_warning() -> None:
    colour = np.dstack([phantom(), phantom()[::-1], np.full_like(phantom(), 60)])
    radiograph = read_radiograph(encoded(colour, "JPEG", quality=95, subsampling=0))
    reference = np.asarray(Image.fromarray(colour).convert("L"))
    np.testing.assert_allclose(radiograph.pixels.astype(int), reference, atol=8)
    assert any("colour" in sentence for sentence in radiograph.warnings)


def test_grey_kept_as_colour_gives_no_warning() -> None:
    assert read_radiograph(encoded(Image.fromarray(phantom()).convert("RGB"), "JPEG")).warnings == ()
    assert read_radiograph(encoded(Image.fromarray(phantom()).convert("RGB"), "PNG")).warnings == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WebP"])
def test_exif_orientation_is_undone(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if kind == "JPEG" else {"lossless": True} if kind == "WebP" else {}
    data = encoded(phantom(), kind, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as image:
        reference = np.asarray(ImageOps.exif_transpose(image).convert("L"))
    radiograph = read_radiograph(data)
    assert_contract(radiograph)
    np.testing.assert_allclose(radiograph.pixels.astype(int), reference, atol=1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_sixteen_bits_are_windowed_not_clipped(kind: str, bits: int) -> None:
    top = (1 << bits) - 1
    deep = (phantom().astype(np.float64) / 255 * top).round().astype(np.uint16)
    radiograph = read_radiograph(encoded(deep, kind))
    np.testing.assert_allclose(radiograph.pixels.astype(int), phantom(), atol=1)
    assert radiograph.warnings == ()


def test_a_narrow_range_is_stretched_and_told() -> None:
    deep = phantom().astype(np.uint16) * 8 + 30_000
    radiograph = read_radiograph(encoded(deep, "PNG"))
    assert radiograph.pixels.min() == 0 and radiograph.pixels.max() == 255
    assert np.corrcoef(radiograph.pixels.ravel(), phantom().ravel())[0, 1] > 0.999
    assert any("rescaled" in sentence for sentence in radiograph.warnings)


def test_one_hot_pixel_does_not_darken_a_twelve_bit_picture() -> None:
    deep = phantom().astype(np.uint16) * 16
    deep[0, 0] = 65_535
    pixels = read_radiograph(encoded(deep, "PNG")).pixels
    np.testing.assert_allclose(pixels[30:-30].astype(int), phantom()[30:-30], atol=3)


def test_white_is_zero_tiff_is_inverted_at_any_depth() -> None:
    shallow = encoded(phantom(), "TIFF", tiffinfo={262: 0})
    deep = encoded(phantom().astype(np.uint16) * 257, "TIFF")
    # Pillow writes MinIsBlack only: change the tag (262, SHORT, one value) in place.
    entry = struct.pack("<HHI", 262, 3, 1)
    assert deep.count(entry) == 1
    deep = deep.replace(entry + b"\x01\0", entry + b"\0\0")
    np.testing.assert_array_equal(read_radiograph(deep).pixels, 255 - phantom())
    with Image.open(io.BytesIO(shallow)) as image:
        np.testing.assert_array_equal(read_radiograph(shallow).pixels, np.asarray(image))


def test_deep_colour_and_deep_alpha_keep_their_depth() -> None:
    dark = phantom().astype(np.uint16) * 16  # 12 bit in 16: cut to 8 bit it would be nearly black
    for channels in ([dark] * 3, [*[dark] * 3, np.full_like(dark, 65_535)]):
        ok, data = cv2.imencode(".png", np.dstack(channels))
        assert ok
        np.testing.assert_allclose(read_radiograph(data.tobytes()).pixels.astype(int), phantom(), atol=2)


def test_transparency_is_black() -> None:
    alpha = np.full_like(phantom(), 255)
    alpha[:100] = 0
    rgba = np.dstack([phantom()] * 3 + [alpha])
    grey_alpha = Image.merge("LA", [Image.fromarray(phantom()), Image.fromarray(alpha)])
    for image in (Image.fromarray(rgba), grey_alpha):
        radiograph = read_radiograph(encoded(image, "PNG"))
        assert not radiograph.pixels[:100].any()
        np.testing.assert_array_equal(radiograph.pixels[100:], phantom()[100:])
        assert any("transparent" in sentence for sentence in radiograph.warnings)


def test_palette_picture() -> None:
    image = Image.fromarray(phantom() // 64)
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette(np.repeat([10, 90, 170, 250], 3).tolist())
    expected = np.array([10, 90, 170, 250])[phantom() // 64]
    np.testing.assert_array_equal(read_radiograph(encoded(image, "PNG")).pixels, expected)
    transparent = encoded(image, "PNG", transparency=bytes([0, 255, 255, 255]))
    np.testing.assert_array_equal(read_radiograph(transparent).pixels, np.where(expected == 10, 0, expected))


def test_float_tiff_bilevel_and_ink() -> None:
    unit = phantom().astype(np.float32) / 255
    np.testing.assert_array_equal(read_radiograph(encoded(unit, "TIFF")).pixels, phantom())
    wild = unit * 4000 - 1000
    wild[0, 0] = np.nan
    radiograph = read_radiograph(encoded(wild, "TIFF"))
    assert np.corrcoef(radiograph.pixels[50:].ravel(), phantom()[50:].ravel())[0, 1] > 0.999
    assert len(radiograph.warnings) == 2
    bilevel = read_radiograph(encoded(Image.fromarray(phantom()).convert("1"), "PNG"))
    assert set(np.unique(bilevel.pixels)) == {0, 255} and "shades" in bilevel.warnings[0]
    ink = Image.fromarray(phantom()).convert("RGB").convert("CMYK")
    for kind, options in (("JPEG", {"quality": 100, "subsampling": 0}), ("TIFF", {})):
        np.testing.assert_allclose(read_radiograph(encoded(ink, kind, **options)).pixels, phantom(), atol=8)


@pytest.mark.parametrize("kind", ["TIFF", "WebP", "PNG"])
def test_the_first_of_several_pages_is_read_with_a_warning(kind: str) -> None:
    other = Image.fromarray(255 - phantom())
    options = {"lossless": True} if kind == "WebP" else {}
    data = encoded(phantom(), kind, save_all=True, append_images=[other], **options)
    radiograph = read_radiograph(data)
    np.testing.assert_allclose(radiograph.pixels.astype(int), phantom(), atol=1)
    assert any("only the first" in sentence for sentence in radiograph.warnings)


def test_tiny_and_blank_pictures_are_told() -> None:
    assert any("tiny" in s for s in read_radiograph(encoded(phantom(40, 30), "PNG")).warnings)
    assert any("blank" in s for s in read_radiograph(encoded(np.zeros((200, 200), np.uint8), "PNG")).warnings)


def test_real_radiographs_are_what_pillow_shows(fracatlas_dir: Path) -> None:
    for path in sorted((fracatlas_dir / "images" / "Fractured").glob("*.jpg"))[::60]:
        radiograph = read_radiograph(path)
        assert_contract(radiograph)
        with Image.open(path) as image:
            image.draft("L", None)
            reference = np.asarray(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(radiograph.pixels, reference)
        assert radiograph.name == path.name


# --- what is no radiograph


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"\xff", "not an image"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"PK\x03\x04rest", "archive"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', "SVG"),
        (b'<!-- one --><!-- two -->\n<svg xmlns="x">', "SVG"),
        (b"GIF89a\x01\0", "GIF"),
        (b"\0\0\0\x18ftypheic....", "HEIC"),
        (b"just some words", "not an image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "no image"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"BM", "BMP"),
        (b"RIFF\0\0\0\0WEBP", "WebP"),
    ],
)
def test_other_files_get_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(UnreadableRadiograph, match=sentence) as caught:
        read_radiograph(data)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_paths_that_lead_nowhere_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRadiograph, match="no file"):
        read_radiograph(tmp_path / "absent.jpg")
    with pytest.raises(UnreadableRadiograph, match="folder"):
        read_radiograph(tmp_path)
    with pytest.raises(UnreadableRadiograph, match="cannot be read"):
        read_radiograph("a\0b.jpg")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        with pytest.raises(UnreadableRadiograph, match="no ordinary file"):
            read_radiograph(tmp_path / "pipe.jpg")
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(UnreadableRadiograph, match=r"is 953\.7 MB; the limit is 64 MB"):
        read_radiograph(huge)
    with pytest.raises(UnreadableRadiograph, match=r"is 64\.1 MB; the limit is 64 MB"):
        read_radiograph(bytes(64 * 2**20 + 1))


def test_content_counts_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "wrist.dcm"
    path.write_bytes(encoded(phantom(), "PNG"))
    assert read_radiograph(path).format == "PNG"


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("wrist.jpg", "wrist.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\scans\\hip.dcm", "hip.dcm"),
        ("a\x00b\x1b[31mc\n.png", "ab[31mc.png"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("", "radiograph"),
        ("..", "radiograph"),
        (None, "radiograph"),
        ("Röntgen 手.jpg", "Röntgen 手.jpg"),
    ],
)
def test_display_names(given_name: str | None, shown: str) -> None:
    assert read_radiograph(encoded(phantom(), "PNG"), name=given_name).name == shown


@given(st.text())
def test_no_name_can_break_out(name: str) -> None:
    shown = display_name(name)
    assert 0 < len(shown) <= MAX_NAME
    assert shown.isprintable() and not set("/\\") & set(shown)


def test_a_long_name_keeps_its_suffix() -> None:
    assert len(display_name("x" * 300 + ".jpg")) == MAX_NAME and display_name("x" * 300 + ".jpg").endswith(".jpg")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300), st.sampled_from(["", "JPEG", "PNG", "TIFF", "BMP", "WebP"]), st.data())
def test_any_bytes_end_in_a_radiograph_or_a_sentence(noise: bytes, kind: str, data: st.DataObject) -> None:
    """Noise alone, and noise written over a real file of each kind."""
    whole = bytearray(encoded(phantom(40, 30), kind)) if kind else bytearray()
    start = data.draw(st.integers(0, len(whole)))
    whole[start : start + len(noise)] = noise
    try:
        radiograph = read_radiograph(bytes(whole), accept_cut_short=True)
    except UnreadableRadiograph as error:
        assert str(error).endswith(".")
    else:
        assert_contract(radiograph)
