"""BMP files of the layouts that Pillow does not know: colours in any bits, odd palettes, short headers."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest

from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from tests.support.made_pictures import encoded, phantom

PHANTOM = phantom()
HEIGHT, WIDTH = PHANTOM.shape


def bmp(rows: np.ndarray, bits: int, *, extra: bytes = b"", compression: int = 0, **header: int) -> bytes:
    """A BMP file of rows of bytes, the top one first; `extra` are masks or a palette."""
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))[::-1].tobytes()
    said = {"across": 0, "down": 0, "colours": 0} | header
    sizes = struct.pack("<iiHHIIiiII", WIDTH, HEIGHT, 1, bits, compression, 0, *said.values(), 0)
    head = struct.pack("<I", 40) + sizes + extra
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(padded), 0, 0, 14 + len(head)) + head + padded


def masked(masks: tuple[int, ...], bits: int, compression: int = 3) -> bytes:
    """The phantom in each colour of a mask, as finely as its bits go."""
    words = np.zeros(PHANTOM.shape, np.uint64)
    for mask in masks:
        shift = (mask & -mask).bit_length() - 1
        top = mask >> shift
        words |= (PHANTOM.astype(np.uint64) * top + 127) // 255 << np.uint64(shift)
    rows = words.astype(f"<u{bits // 8}").view(np.uint8).reshape(HEIGHT, -1)
    return bmp(rows, bits, extra=struct.pack(f"<{len(masks)}I", *masks), compression=compression)


@pytest.mark.parametrize(
    ("masks", "bits", "tolerance"),
    [
        ((0x0FF00000, 0x000000FF, 0x0000FF00), 32, 1),
        ((0xFFE00000, 0x001FFC00, 0x000003FF), 32, 1),
        ((0x0F00, 0x00F0, 0x000F), 16, 9),
        ((0x0003, 0x001C, 0x00E0), 16, 40),
    ],
)
def test_colours_in_any_bits_of_a_pixel_are_read(masks: tuple[int, ...], bits: int, tolerance: int) -> None:
    pixels = read_radiograph(masked(masks, bits)).pixels
    assert np.abs(pixels.astype(int) - PHANTOM).max() <= tolerance


def test_alpha_in_a_mask_of_its_own_is_read() -> None:
    masks = (0x000000FF, 0x0000FF00, 0x00FF0000, 0xFF000000)
    pixels = read_radiograph(masked(masks, 32, compression=6)).pixels
    # The alpha holds the phantom as well.
    np.testing.assert_allclose(pixels, PHANTOM.astype(float) ** 2 / 255, atol=1)


def test_a_palette_of_two_bits_and_one_that_is_too_long_are_read() -> None:
    places = PHANTOM >> 6
    packed = np.pad(places, ((0, 0), (0, -WIDTH % 4))).reshape(HEIGHT, -1, 4)
    rows = (packed << np.array([6, 4, 2, 0], np.uint8)).sum(axis=2).astype(np.uint8)
    greys = b"".join(bytes([85 * place] * 3 + [0]) for place in range(4))
    np.testing.assert_array_equal(read_radiograph(bmp(rows, 2, extra=greys, colours=4)).pixels, places * 85)
    ramp = b"".join(bytes([place % 256] * 3 + [0]) for place in range(300))
    np.testing.assert_array_equal(read_radiograph(bmp(PHANTOM, 8, extra=ramp, colours=300)).pixels, PHANTOM)


def test_a_header_that_leaves_out_what_is_zero_is_read() -> None:
    whole = bmp(PHANTOM, 8, extra=b"".join(bytes([place] * 3 + [0]) for place in range(256)))
    short = whole[:10] + struct.pack("<II", 14 + 16 + 1024, 16) + whole[18:30] + whole[54:]
    np.testing.assert_array_equal(read_radiograph(short).pixels, PHANTOM)


def test_a_file_within_the_file_is_named_and_not_called_damaged() -> None:
    for compression, kind in ((4, "JPEG"), (5, "PNG")):
        data = bmp(np.frombuffer(encoded(PHANTOM, kind), np.uint8)[None], 0, compression=compression)
        with pytest.raises(UnreadableRadiograph, match=f"hold a {kind} image are not supported"):
            read_radiograph(data)


def test_pixels_that_are_not_square_are_told() -> None:
    rows = np.repeat(PHANTOM, 3, axis=1)
    assert read_radiograph(bmp(rows, 24, across=2835, down=2835)).warnings == ()
    warnings = read_radiograph(bmp(rows, 24, across=2835, down=1417)).warnings
    assert any("2 times as high as wide" in sentence for sentence in warnings)
    assert read_radiograph(bmp(rows, 24, across=2_000_000_000, down=1)).warnings == ()


@pytest.mark.parametrize("start", [2**20, 2**30, 2**32 - 1])
@pytest.mark.parametrize("accept", [False, True])
def test_rows_said_to_lie_far_behind_the_end_take_no_memory(start: int, accept: bool) -> None:
    data = bytearray(bmp(PHANTOM, 8, extra=bytes(1024)))
    struct.pack_into("<I", data, 10, start)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableRadiograph, match="contains no image data"):
            read_radiograph(bytes(data), name="far.bmp", accept_cut_short=accept)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
