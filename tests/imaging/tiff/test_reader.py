"""TIFF of every layout: what is shown is what the file holds, whatever was read before; lacking parts are told."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from tests.support.made_pictures import assert_contract, encoded, phantom
from tests.support.tiff_files import DEFLATE, LZW, NONE, PACKBITS, ZSTD, one_strip, tiff_file

PHANTOM = phantom()
COLOUR = np.dstack([PHANTOM] * 3)
COMPRESSIONS = [NONE, LZW, DEFLATE, PACKBITS, ZSTD]


def deep(image: np.ndarray) -> np.ndarray:
    return image.astype(np.uint16) * 257


def poison() -> None:
    """Fill freed memory with another radiograph, as a batch does."""
    other = encoded(255 - COLOUR[::-1], "TIFF")
    for _ in range(3):
        read_radiograph(other)
        np.full(PHANTOM.size * 6, 0xAB, np.uint8)  # of the size that a decoder allocates for 16 bit colour


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("by_plane", [False, True])
@pytest.mark.parametrize("tile", [None, (64, 32)])
@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True), (">", True)])
def test_every_layout_shows_the_same_image(
    compression: int, by_plane: bool, tile: tuple[int, int] | None, order: str, big: bool
) -> None:
    for samples in (COLOUR, deep(COLOUR), deep(PHANTOM)):
        for predictor in (1, 2) if compression in (LZW, DEFLATE) else (1,):
            data = tiff_file(
                samples,
                order=order,
                big=big,
                by_plane=by_plane and samples.ndim == 3,
                compression=compression,
                tile=tile,
                predictor=predictor,
            )
            radiograph = read_radiograph(data)
            assert_contract(radiograph)
            np.testing.assert_allclose(radiograph.pixels.astype(int), PHANTOM, atol=1)
            assert radiograph.warnings == () and radiograph.missing == 0


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "samples",
    [
        (PHANTOM / 255).astype(np.float16),
        (PHANTOM / 255).astype(np.float32),
        PHANTOM / 255,
        PHANTOM.astype(np.uint32) * 16,
        PHANTOM.astype(np.int32) * 16,
        PHANTOM.astype(np.int16) * 16,
        PHANTOM.astype(np.uint64) * 16,
    ],
    ids=lambda samples: samples.dtype.name,
)
def test_every_depth_is_read(samples: np.ndarray, order: str) -> None:
    radiograph = read_radiograph(tiff_file(samples, order=order))
    np.testing.assert_allclose(radiograph.pixels.astype(int), PHANTOM, atol=1)


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14])
def test_packed_depths_are_read(bits: int) -> None:
    top = (1 << bits) - 1
    stored = np.round(PHANTOM / 255 * top).astype(np.uint16)
    radiograph = read_radiograph(tiff_file(stored, bits=bits))
    expected = np.round(stored / top * 255)
    np.testing.assert_allclose(radiograph.pixels, expected, atol=1)
    turned = read_radiograph(tiff_file(top - stored, bits=bits, tags={262: ("H", [0])}))
    np.testing.assert_allclose(turned.pixels, expected, atol=1)


def test_white_is_zero_at_any_type() -> None:
    for samples in (PHANTOM, deep(PHANTOM), (PHANTOM / 255).astype(np.float32)):
        for order in "<>":
            radiograph = read_radiograph(tiff_file(samples, order=order, tags={262: ("H", [0])}))
            np.testing.assert_allclose(radiograph.pixels.astype(int), 255 - PHANTOM.astype(int), atol=1)


def test_reversed_bits_are_put_right() -> None:
    reversed_bits = np.packbits(np.unpackbits(PHANTOM).reshape(-1, 8)[:, ::-1]).reshape(PHANTOM.shape)
    data = tiff_file(reversed_bits, tags={266: ("H", [2])})
    np.testing.assert_array_equal(read_radiograph(data).pixels, PHANTOM)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("samples", [PHANTOM, deep(PHANTOM), COLOUR, deep(COLOUR)], ids=["L", "I;16", "RGB", "RGB;16"])
def test_the_orientation_is_applied_once(orientation: int, samples: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(io.BytesIO(encoded(PHANTOM, "PNG", exif=exif))) as image:
        reference = np.asarray(ImageOps.exif_transpose(image))
    radiograph = read_radiograph(tiff_file(samples, tags={274: ("H", [orientation])}))
    np.testing.assert_allclose(radiograph.pixels.astype(int), reference, atol=1)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("by_plane", [False, True])
@pytest.mark.parametrize("tile", [None, (64, 32)])
@pytest.mark.parametrize("samples", [COLOUR, deep(COLOUR)], ids=["8 bit", "16 bit"])
def test_lacking_segments_show_nothing_of_what_was_read_before(
    compression: int, by_plane: bool, tile: tuple[int, int] | None, samples: np.ndarray
) -> None:
    data = tiff_file(samples, compression=compression, by_plane=by_plane, tile=tile, drop=(2,))
    seen = set()
    for _ in range(3):
        poison()
        with pytest.raises(UnreadableRadiograph, match=r"truncated: \d+ % of the image is missing") as caught:
            read_radiograph(data)
        radiograph = read_radiograph(data, accept_cut_short=True)
        seen.add(radiograph.pixels.tobytes())
        assert radiograph.missing == pytest.approx(caught.value.missing)
    assert len(seen) == 1
    lost = np.flatnonzero(~radiograph.pixels.any(axis=1))
    assert set(lost) >= set(range(0, 64) if tile else range(96, 144))
    kept = np.setdiff1d(np.arange(200), range(0, 64) if tile else range(96, 144))
    np.testing.assert_allclose(radiograph.pixels[kept].astype(int), PHANTOM[kept], atol=1)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_file_cut_in_the_middle_of_a_strip_keeps_the_rows_before(compression: int) -> None:
    noisy = PHANTOM // 2 + np.random.default_rng(0).integers(0, 100, PHANTOM.shape).astype(np.uint8)
    whole = tiff_file(noisy, compression=compression, rows_per_strip=200)
    pixels = len(whole) - len(tiff_file(noisy, compression=compression, rows_per_strip=200, drop=(0,)))
    cut = whole[: len(whole) - pixels // 2]
    if compression == ZSTD:
        # Its frames cannot be taken in part.
        with pytest.raises(UnreadableRadiograph, match="no image data"):
            read_radiograph(cut)
        return
    with pytest.raises(UnreadableRadiograph, match=r"truncated: the bottom \d+ % of the image is missing") as caught:
        read_radiograph(cut)
    radiograph = read_radiograph(cut, accept_cut_short=True)
    assert 0.4 < radiograph.missing == caught.value.missing < 0.7
    rows = round(200 * (1 - radiograph.missing))
    np.testing.assert_array_equal(radiograph.pixels[:rows], noisy[:rows])
    assert not radiograph.pixels[rows:].any()


def test_a_reduced_first_page_is_passed_over() -> None:
    small = Image.fromarray(PHANTOM).resize((30, 40))
    data = encoded(small, "TIFF", save_all=True, append_images=[Image.fromarray(PHANTOM)], tiffinfo={254: 1})
    marked = read_radiograph(_first_page_marked(data))
    np.testing.assert_array_equal(marked.pixels, PHANTOM)
    assert not any("pages" in sentence for sentence in marked.warnings)


def _first_page_marked(data: bytes) -> bytes:
    """Mark the first page alone as a reduced copy; Pillow marks both."""
    changed = bytearray(data)
    pages = []
    place = struct.unpack_from("<I", data, 4)[0]
    while place:
        count = struct.unpack_from("<H", data, place)[0]
        entries = {struct.unpack_from("<H", data, place + 2 + 12 * k)[0]: place + 2 + 12 * k for k in range(count)}
        pages.append(entries[254])
        place = struct.unpack_from("<I", data, place + 2 + 12 * count)[0]
    for number, entry in enumerate(pages):
        struct.pack_into("<I", changed, entry + 8, int(number == 0))
    return bytes(changed)


def test_palettes_of_eight_and_sixteen_bits() -> None:
    places = PHANTOM // 64
    greys = [10, 90, 170, 250]
    for factor in (1, 257):
        table = [grey * factor for grey in greys + [0] * 252] * 3
        data = tiff_file(places, tags={262: ("H", [3]), 320: ("H", table)})
        np.testing.assert_array_equal(read_radiograph(data).pixels, np.array(greys)[places])


def test_subsampled_colour_gives_its_grey() -> None:
    luma = PHANTOM.reshape(100, 2, 75, 2).transpose(0, 2, 1, 3).reshape(100, 75, 4)
    units = np.concatenate([luma, np.full((100, 75, 2), 128, np.uint8)], axis=2)
    tags = {
        **{256: ("I", [150]), 257: ("I", [200]), 258: ("H", [8, 8, 8]), 277: ("H", [3]), 278: ("I", [200])},
        **{262: ("H", [6]), 530: ("H", [2, 2])},
    }
    data = tiff_file(units.reshape(100, -1), rows_per_strip=100, tags=tags)
    np.testing.assert_array_equal(read_radiograph(data).pixels, PHANTOM)


def test_transparency_of_each_kind() -> None:
    alpha = np.full_like(PHANTOM, 255)
    alpha[:100] = 0
    unassociated = tiff_file(np.dstack([PHANTOM, alpha]), tags={262: ("H", [1]), 338: ("H", [2])})
    radiograph = read_radiograph(unassociated)
    assert not radiograph.pixels[:100].any()
    np.testing.assert_array_equal(radiograph.pixels[100:], PHANTOM[100:])
    for samples in (np.dstack([255 - PHANTOM, alpha]), deep(np.dstack([255 - PHANTOM, alpha]))):
        inverted = read_radiograph(tiff_file(samples, tags={262: ("H", [0]), 338: ("H", [2])}))
        np.testing.assert_array_equal(inverted.pixels, radiograph.pixels)
    unknown = tiff_file(np.dstack([PHANTOM, alpha]), tags={262: ("H", [1]), 338: ("H", [0])})
    np.testing.assert_array_equal(read_radiograph(unknown).pixels, PHANTOM)
    nought = read_radiograph(tiff_file(np.dstack([COLOUR, alpha * 0]), tags={338: ("H", [2])}))
    np.testing.assert_array_equal(nought.pixels, PHANTOM)
    assert any("wholly transparent" in sentence for sentence in nought.warnings)


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        ({259: ("H", [34676])}, "compression 34676, SGI LogL"),
        ({259: ("H", [9])}, "compression 9"),
        ({339: ("H", [6])}, "complex"),
        ({262: ("H", [32803])}, "photometric interpretation 32803"),
    ],
)
def test_what_is_not_supported_is_named_and_not_called_damaged(tags: dict, named: str) -> None:
    with pytest.raises(UnreadableRadiograph, match=named) as caught:
        read_radiograph(tiff_file(PHANTOM, tags=tags))
    assert "damaged" not in str(caught.value) and caught.value.missing is None


def test_pixels_that_are_not_square_are_told() -> None:
    data = tiff_file(PHANTOM, tags={282: ("II", [204, 1]), 283: ("II", [98, 1])})
    assert any("2.08 times as high as wide" in sentence for sentence in read_radiograph(data).warnings)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_differences_of_the_bits_of_real_numbers_are_undone(order: str, dtype: str) -> None:
    levels = (PHANTOM / 255).astype(dtype)
    tags = {258: ("H", [levels.itemsize * 8]), 339: ("H", [3]), 262: ("H", [1])}
    data = tiff_file(levels.view(dtype.replace("f", "u")), order=order, compression=LZW, predictor=2, tags=tags)
    np.testing.assert_array_equal(read_radiograph(data).pixels, PHANTOM)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiles_that_are_listed_as_strips_are_read(order: str) -> None:
    data = bytearray(tiff_file(PHANTOM, order=order, tile=(64, 32), compression=LZW))
    (count,) = struct.unpack_from(order + "H", data, 8)
    for place in range(10, 10 + 12 * count, 12):
        (tag,) = struct.unpack_from(order + "H", data, place)
        struct.pack_into(order + "H", data, place, {324: 273, 325: 279}.get(tag, tag))
    np.testing.assert_array_equal(read_radiograph(bytes(data)).pixels, PHANTOM)


def test_webp_in_tiff_that_leaves_out_an_opaque_alpha_is_read() -> None:
    strip = encoded(COLOUR, "WebP", lossless=True)
    data = one_strip(strip, 150, 200, {258: (3, 8), 259: (3, 50001), 262: (3, 2), 277: (3, 4), 338: (3, 2)})
    np.testing.assert_array_equal(read_radiograph(data).pixels, PHANTOM)


def test_an_old_jpeg_whose_strips_lie_apart_is_not_read_as_one() -> None:
    """The tags name a piece that holds the header alone: what follows it in the file is something else."""
    jpeg = encoded(COLOUR, "JPEG", subsampling=0)
    header = jpeg.index(b"\xff\xda")
    for length in (header, header + 14):
        tags = {258: (3, 8), 259: (3, 6), 262: (3, 6), 277: (3, 3), 514: (4, length), 530: (3, 1)}
        tags[513] = (4, 14 + 12 * (len(tags) + 6))
        with pytest.raises(UnreadableRadiograph, match="old-style JPEG compression in pieces"):
            read_radiograph(one_strip(jpeg[:length] + bytes(100) + jpeg[length:], 150, 200, tags))
    tags = tags | {514: (4, len(jpeg))}
    assert np.abs(read_radiograph(one_strip(jpeg, 150, 200, tags)).pixels.astype(int) - PHANTOM).mean() < 2


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_fax_lines_are_what_was_coded(compression: str) -> None:
    lines = np.random.default_rng(0).random((90, 130)) < 0.2
    data = encoded(Image.fromarray(lines), "TIFF", compression=compression)
    np.testing.assert_array_equal(read_radiograph(data).pixels, lines * np.uint8(255))


def test_fax_codes_that_are_read_in_more_than_one_way_are_named() -> None:
    """A run of no white and no black, which decoders take differently at the start of a line."""
    lines = np.random.default_rng(0).random((40, 64)) < 0.2
    data = encoded(Image.fromarray(~lines), "TIFF", compression="group4", tiffinfo={262: 0})
    with Image.open(io.BytesIO(data)) as written:
        start, length = written.tag_v2[273][0], written.tag_v2[279][0]
    bits = "001" + "00110101" + "0000110111" + "".join(f"{byte:08b}" for byte in data[start : start + length])
    bits += "0" * (-len(bits) % 8)
    strip = bytes(int(bits[place : place + 8], 2) for place in range(0, len(bits), 8))
    tags = {258: (3, 1), 259: (3, 4), 262: (3, 0), 277: (3, 1)}
    with pytest.raises(UnreadableRadiograph, match="group 4, with codes that are not read here"):
        read_radiograph(one_strip(strip, 64, 40, tags))


@pytest.mark.parametrize(("kind", "rows"), [(4, 0), (3, 0), (4, 2**32 - 1), (3, 2**16 - 1), (9, 2**32 - 1), (4, 2**31)])
def test_rows_per_strip_that_mean_one_strip(kind: int, rows: int) -> None:
    """0, the specification's 2^32 - 1, and the same as a signed number, -1."""
    height, width = PHANTOM.shape
    tags = {258: (3, 8), 259: (3, 1), 262: (3, 1), 277: (3, 1), 278: (kind, rows)}
    np.testing.assert_array_equal(read_radiograph(one_strip(PHANTOM.tobytes(), width, height, tags)).pixels, PHANTOM)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("compression", "rows"), [(NONE, 200), (NONE, 48), (DEFLATE, 200), (DEFLATE, 48), (LZW, 48)])
def test_segments_whose_length_is_stated_as_zero_end_where_the_next_begins(order: str, compression: int, rows: int):
    """Some writers leave the lengths empty; libtiff reads such files, too."""
    count = -(-PHANTOM.shape[0] // rows)
    options = {"order": order, "compression": compression, "rows_per_strip": rows}
    data = tiff_file(PHANTOM, **options, tags={279: ("I", [0] * count)})
    np.testing.assert_array_equal(read_radiograph(data).pixels, PHANTOM)


@pytest.mark.parametrize("stated", [1, 4, 200, PHANTOM.size - 1, PHANTOM.size + 1_000_000])
def test_a_wrong_length_of_the_only_uncompressed_strip_is_passed_over(stated: int) -> None:
    data = tiff_file(PHANTOM, rows_per_strip=200, tags={279: ("I", [stated])})
    np.testing.assert_array_equal(read_radiograph(data).pixels, PHANTOM)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), PHANTOM)
    with pytest.raises(UnreadableRadiograph, match="truncated: the bottom 50 % of the image is missing"):
        read_radiograph(data[: -PHANTOM.size // 2])
