"""PNG that is not whole, and PNG whose way up is said in every place that programs use."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from tests.hostile.files import chunk
from tests.support.made_pictures import encoded, phantom

PHANTOM = phantom()


def png(rows: np.ndarray, height: int, *, depth: int = 8, colour: int = 0, ended: bool = True) -> bytes:
    """A PNG whose header says `height` rows and whose compressed data end properly after the given ones."""
    width = rows.shape[1]
    data = rows.astype(">u2") if depth == 16 else rows
    lines = b"".join(b"\0" + row.tobytes() for row in data)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    end = chunk(b"IEND", b"") if ended else b""
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(lines)) + end


KINDS = {
    "grey": (PHANTOM, 8, 0),
    "deep": (PHANTOM.astype(np.uint16) * 257, 16, 0),
    "colour": (np.dstack([PHANTOM] * 3), 8, 2),
    "deep colour": (np.dstack([PHANTOM] * 3).astype(np.uint16) * 257, 16, 2),
    "deep colour and alpha": (
        np.dstack([*[PHANTOM] * 3, np.full_like(PHANTOM, 255)]).astype(np.uint16) * 257,
        16,
        6,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_not_in_the_file_are_told(kind: str) -> None:
    rows, depth, colour = KINDS[kind]
    data = png(rows[:120], 200, depth=depth, colour=colour)
    with pytest.raises(UnreadableRadiograph, match="truncated: the bottom 40 % of the image is missing") as caught:
        read_radiograph(data)
    assert caught.value.missing == pytest.approx(0.4)
    seen = set()
    for _ in range(3):
        read_radiograph(encoded(np.dstack([255 - PHANTOM] * 3), "PNG"))
        radiograph = read_radiograph(data, accept_cut_short=True)
        seen.add(radiograph.pixels.tobytes())
    assert len(seen) == 1 and radiograph.missing == pytest.approx(0.4)
    np.testing.assert_allclose(radiograph.pixels[:120].astype(int), PHANTOM[:120], atol=1)
    assert not radiograph.pixels[120:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_keeps_its_first_rows(kind: str) -> None:
    rows, depth, colour = KINDS[kind]
    whole = png(rows, 200, depth=depth, colour=colour)
    for share in (0.4, 0.8):
        cut = whole[: int(len(whole) * share)]
        with pytest.raises(UnreadableRadiograph, match=r"truncated: the bottom \d+ %"):
            read_radiograph(cut)
        radiograph = read_radiograph(cut, accept_cut_short=True)
        held = round(200 * (1 - radiograph.missing))
        assert 0 < held < 200
        np.testing.assert_allclose(radiograph.pixels[:held].astype(int), PHANTOM[:held], atol=1)
        assert not radiograph.pixels[held:].any()


def test_an_end_that_is_missing_alone_loses_nothing() -> None:
    radiograph = read_radiograph(png(PHANTOM, 200, ended=False))
    np.testing.assert_array_equal(radiograph.pixels, PHANTOM)
    assert radiograph.missing == 0 and radiograph.warnings == ()


#: The passes of Adam7: first column and row, and the steps between.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def interlaced(rows: np.ndarray, depth: int, colour: int, passes: int, lines: int = 10**6) -> bytes:
    """An interlaced PNG that holds so many passes, and of the last one so many lines."""
    data = rows.astype(">u2") if depth == 16 else rows
    each = [[b"\0" + row.tobytes() for row in data[y::dy, x::dx]] for x, y, dx, dy in PASSES[:passes]]
    each[-1] = each[-1][:lines]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], depth, colour, 0, 0, 1))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(line for held in each for line in held)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", KINDS)
def test_an_interlaced_file_shows_its_first_passes(kind: str) -> None:
    rows, depth, colour = KINDS[kind]
    whole = read_radiograph(interlaced(rows, depth, colour, 7))
    np.testing.assert_allclose(whole.pixels.astype(int), PHANTOM, atol=1)
    assert whole.warnings == () and whole.missing == 0
    data = interlaced(rows, depth, colour, 5)
    with pytest.raises(UnreadableRadiograph, match="whole image is present, but without fine detail") as caught:
        read_radiograph(data)
    assert caught.value.missing == pytest.approx(1 / 200)
    radiograph = read_radiograph(data, accept_cut_short=True)
    # Five passes are every other pixel of every other row, and stand for their neighbours.
    np.testing.assert_allclose(radiograph.pixels[::2, ::2].astype(int), PHANTOM[::2, ::2], atol=1)
    np.testing.assert_array_equal(radiograph.pixels[1::2, 1::2], radiograph.pixels[::2, ::2])


def test_an_interlaced_file_that_lacks_lines_of_its_first_pass_lacks_rows() -> None:
    data = interlaced(PHANTOM, 8, 0, 1, lines=15)
    with pytest.raises(UnreadableRadiograph, match="the bottom 40 % of the image is missing"):
        read_radiograph(data)
    radiograph = read_radiograph(data, accept_cut_short=True)
    assert radiograph.missing == pytest.approx(0.4) and not radiograph.pixels[120:].any()
    np.testing.assert_array_equal(radiograph.pixels[:120:8, ::8], PHANTOM[:120:8, ::8])
    with pytest.raises(UnreadableRadiograph, match="contains no image data"):
        read_radiograph(interlaced(PHANTOM, 8, 0, 1, lines=0), accept_cut_short=True)


def test_a_damaged_chunk_loses_what_follows_it_and_no_more() -> None:
    lines = zlib.compressobj()
    pieces = [lines.compress(b"\0" + row.tobytes()) + lines.flush(zlib.Z_SYNC_FLUSH) for row in PHANTOM]
    body = [chunk(b"IDAT", piece) for piece in pieces] + [chunk(b"IDAT", lines.flush())]
    wrong = bytearray(body[120])
    wrong[8:12] = b"\xff\xff\xff\xff"
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 150, 200, 8, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + b"".join([*body[:120], bytes(wrong), *body[121:]]) + chunk(b"IEND", b"")
    with pytest.raises(UnreadableRadiograph, match="damaged: the bottom 40 % of the image cannot be decoded"):
        read_radiograph(data)
    radiograph = read_radiograph(data, accept_cut_short=True)
    np.testing.assert_array_equal(radiograph.pixels[:120], PHANTOM[:120])
    assert not radiograph.pixels[120:].any()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("place", ["exif", "ImageMagick", "XMP"])
def test_the_way_up_is_found_wherever_it_is_said(place: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(io.BytesIO(encoded(PHANTOM, "PNG", exif=exif))) as image:
        reference = np.asarray(ImageOps.exif_transpose(image))
    info = PngImagePlugin.PngInfo()
    if place == "ImageMagick":
        block = exif.tobytes()
        digits = block.hex()
        lines = "\n".join(digits[k : k + 72] for k in range(0, len(digits), 72))
        info.add_text("Raw profile type exif", f"\nexif\n{len(block):8d}\n{lines}\n", zip=True)
    elif place == "XMP":
        info.add_itxt(
            "XML:com.adobe.xmp", f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'
        )
    options = {"exif": exif} if place == "exif" else {"pnginfo": info}
    np.testing.assert_array_equal(read_radiograph(encoded(PHANTOM, "PNG", **options)).pixels, reference)


def test_pixels_that_are_not_square_are_told() -> None:
    warnings = read_radiograph(encoded(PHANTOM, "PNG", dpi=(200, 100))).warnings
    assert any("2 times as high as wide" in sentence for sentence in warnings)
