"""Uncompressed samples in every way that DICOM stores them, against pydicom and against bits written by hand."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from pydicom.pixels.utils import expand_ybr422, pack_bits

from fracture_core.imaging.dicom.native import deflated_samples, native_samples

RNG = np.random.default_rng(0)
ROWS, COLUMNS = 5, 7


def test_samples_of_one_bit_are_unpacked_frame_by_frame():
    """A frame of 35 bits ends within a byte, and the next one begins there."""
    frames = RNG.integers(0, 2, (3, ROWS, COLUMNS), np.uint8)
    data = pack_bits(frames)
    for number, frame in enumerate(frames):
        samples, present, *_ = native_samples(data, (ROWS, COLUMNS, 1), number, allocated=1)
        assert np.array_equal(samples[:, :, 0], frame) and present.all()


def test_samples_of_twelve_bits_lie_two_in_three_bytes():
    frames = RNG.integers(0, 4096, (2, ROWS, COLUMNS), np.uint16)
    every = sum(int(sample) << (12 * place) for place, sample in enumerate(frames.ravel()))
    data = every.to_bytes(frames.size * 12 // 8, "little")
    for number, frame in enumerate(frames):
        samples, present, *_ = native_samples(data, (ROWS, COLUMNS, 1), number, allocated=12)
        assert np.array_equal(samples[:, :, 0], frame) and present.all()
    samples, present, *_ = native_samples(data[: 3 * COLUMNS], (ROWS, COLUMNS, 1), 0, allocated=12)
    assert np.array_equal(samples[present, :, 0], frames[0, :2]) and present.tolist() == [True] * 2 + [False] * 3


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("allocated", [8, 16, 32])
def test_words_are_read_in_their_byte_order(allocated, big_endian):
    frames = RNG.integers(0, 1 << min(allocated, 31), (2, ROWS, COLUMNS)).astype(f"u{allocated // 8}")
    data = frames.astype(frames.dtype.newbyteorder(">" if big_endian else "<")).tobytes()
    shape = ROWS, COLUMNS, 1
    samples, present, *_ = native_samples(data, shape, 1, allocated=allocated, big_endian=big_endian)
    assert np.array_equal(samples[:, :, 0], frames[1]) and samples.dtype == frames.dtype and present.all()


def test_bytes_in_words_with_their_high_byte_first_are_put_in_order():
    frame = RNG.integers(0, 256, (ROWS, COLUMNS + 1), np.uint8)
    samples, present, *_ = native_samples(
        frame.view("<u2").byteswap().tobytes(), (ROWS, COLUMNS + 1, 1), 0, allocated=8, big_endian=True, swapped=True
    )
    assert np.array_equal(samples[:, :, 0], frame) and present.all()


def test_two_pixels_that_share_their_colour_get_it_both():
    data = RNG.integers(0, 256, ROWS * (COLUMNS + 1) * 2, np.uint8).tobytes()
    shape = ROWS, COLUMNS + 1, 3
    samples, present, *_ = native_samples(data, shape, 0, allocated=8, halved=True)
    assert samples.tobytes() == expand_ybr422(data, 8) and present.all()
    assert native_samples(data[:-1], shape, 0, allocated=8, halved=True)[1].tolist() == [True] * 4 + [False]


def test_planes_come_together_and_a_row_is_there_when_its_last_plane_is():
    frame = RNG.integers(0, 256, (ROWS, COLUMNS, 3), np.uint8)
    data = frame.transpose(2, 0, 1).tobytes()
    samples, present, *_ = native_samples(data, frame.shape, 0, allocated=8, by_plane=True)
    assert np.array_equal(samples, frame) and present.all()
    samples, present, *_ = native_samples(data[: -2 * COLUMNS], frame.shape, 0, allocated=8, by_plane=True)
    assert np.array_equal(samples[:3], frame[:3]) and present.tolist() == [True] * 3 + [False] * 2


def test_a_deflated_frame_is_inflated_as_far_as_it_is_sound():
    frame = RNG.integers(0, 256, (400, 500, 1), np.uint8)  # too much for one piece
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflate.compress(frame.tobytes()) + deflate.flush()
    samples, present, *_ = deflated_samples(data, frame.shape, 8, by_plane=False)
    assert np.array_equal(samples, frame) and present.all()
    samples, present, *_ = deflated_samples(data[:100_000], frame.shape, 8, by_plane=False)
    assert 100 < present.sum() < 400 and np.array_equal(samples[present], frame[present])
    # A block type that there is not, in the place of the first.
    samples, present, *_ = deflated_samples(b"\x07" + data[1:], frame.shape, 8, by_plane=False)
    assert not present.any() and not samples.any()
