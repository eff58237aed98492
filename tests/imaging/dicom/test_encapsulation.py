"""Frames out of fragments, as pydicom cuts them up: with and without an offset table, whole and truncated."""

from __future__ import annotations

import struct

import pytest
from pydicom.encaps import encapsulate

from fracture_core.imaging.dicom.encapsulation import compressed_frame
from fracture_core.imaging.limits import UnreadableRadiograph

#: Three frames that begin like JPEGs, of different lengths.
FRAMES = [b"\xff\xd8\xff" + bytes([number]) * length for number, length in ((1, 61), (2, 97), (3, 43))]


def taken_out(data: bytes, frames: int = len(FRAMES)) -> list[bytes]:
    return [compressed_frame(data, frame, frames) for frame in range(frames)]


@pytest.mark.parametrize("has_table", [True, False], ids=["table", "no table"])
@pytest.mark.parametrize("fragments", [1, 3])
def test_frames_come_back(fragments, has_table):
    assert taken_out(encapsulate(FRAMES, fragments_per_frame=fragments, has_bot=has_table)) == FRAMES


@pytest.mark.parametrize("wrong", [(0, 0, 0), (0, 6, 12), (0, 400, 300)])
def test_a_table_that_does_not_fit_is_not_believed(wrong):
    data = encapsulate(FRAMES, fragments_per_frame=3, has_bot=True)
    assert taken_out(data[:8] + struct.pack("<3I", *wrong) + data[20:]) == FRAMES


def test_fragments_that_begin_like_no_image_are_a_frame_each():
    frames = [bytes([number]) * 50 for number in range(4)]
    assert taken_out(encapsulate(frames, has_bot=False), 4) == frames
    assert compressed_frame(encapsulate(frames, has_bot=False), 1, 3) == frames[1]


@pytest.mark.parametrize("has_table", [True, False], ids=["table", "no table"])
def test_a_truncated_file_gives_what_it_holds(has_table):
    data = encapsulate(FRAMES, fragments_per_frame=4, has_bot=has_table)
    cut = data[: data.index(FRAMES[1][:4]) + 10]
    assert compressed_frame(cut, 0, 3) == FRAMES[0] and compressed_frame(cut, 1, 3) == FRAMES[1][:10]
    with pytest.raises(UnreadableRadiograph, match="it holds 2 of its 3 frames"):
        compressed_frame(cut, 2, 3)


def test_one_frame_is_all_fragments_wherever_they_were_cut():
    assert taken_out(encapsulate(FRAMES[1:2], fragments_per_frame=5, has_bot=True), 1) == FRAMES[1:2]


def test_a_missing_offset_table_is_not_taken_from_the_image():
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(FRAMES[0])) + FRAMES[0]
    assert taken_out(item, 1) == FRAMES[:1]


def test_what_holds_no_fragments_is_refused():
    with pytest.raises(UnreadableRadiograph, match="no fragments"):
        compressed_frame(bytes(40), 0, 1)
