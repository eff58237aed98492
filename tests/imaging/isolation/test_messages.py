"""The server believes no message of a decoder."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from fracture_core.imaging.isolation.messages import (
    BrokenMessageError,
    answer_of,
    radiograph_from,
    receive,
    refusal_from,
    send,
    shape_in,
)
from fracture_core.imaging.radiograph import read_radiograph
from tests.hostile.files import SOUND

PIXELS = np.zeros((200, 150), np.uint8)
FACTS = {"name": "x", "sha256": "ab", "length": 3}


SPACED = {
    **dict.fromkeys(("modality", "body_part", "view"), ""),
    "number_of_frames": 1,
    "windows": [],
    "pixel_spacing": [0.1, 0.2],
}


def travelled(message: dict) -> dict:
    stream = io.BytesIO()
    send(stream, message)
    stream.seek(0)
    return receive(stream)


def test_what_is_not_a_message_is_refused():
    assert receive(io.BytesIO()) is None
    nested = b"[" * 100_000
    for data in (
        b"\0\0",
        b"\0\0\0\4{}",
        b"\xff\xff\xff\xff" + b"{" * 100,
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 4) + b"\xff\xfe\0\0",
        struct.pack(">I", len(nested)) + nested,
    ):
        with pytest.raises(BrokenMessageError):
            receive(io.BytesIO(data))


@pytest.mark.parametrize(
    "shape", [None, [], [1], [0, 5], [-1, 5], [1.5, 2], [True, 2], ["1", 2], [1, 2, 3], [10**5, 10**5], [10**20, 1]]
)
def test_shapes_that_cannot_be_are_refused(shape):
    with pytest.raises(BrokenMessageError):
        shape_in({"shape": shape})


@pytest.mark.parametrize("kind", ["png", "dicom"])
def test_a_radiograph_travels_whole_and_only_whole(kind):
    radiograph = read_radiograph(SOUND[kind](), name="x")
    message = travelled(answer_of(radiograph))
    made = radiograph_from(message, radiograph.pixels, **FACTS)
    assert made.header == radiograph.header
    assert made.warnings == radiograph.warnings
    for change in (
        {"name": "../../etc"},
        {"sha256": "cd"},
        {"warnings": "one sentence"},
        {"warnings": [1, 2]},
        {"missing": "none"},
        {"format": 7},
        {"nonsense": 1},
        {"header": {"modality": 3}},
        {"header": "CR"},
    ):
        with pytest.raises(BrokenMessageError):
            radiograph_from(message | {"fields": message["fields"] | change}, PIXELS, **FACTS)
    for spacing in ("0.1", [0.1], [0.1, 0.1, 0.1], [0.1, "b"], [0.1, 0], [0.1, -1], [0.1, float("nan")], [True, 1]):
        header = SPACED | {"pixel_spacing": spacing}
        with pytest.raises(BrokenMessageError):
            radiograph_from(message | {"fields": message["fields"] | {"header": header}}, PIXELS, **FACTS)
    whole = radiograph_from(message | {"fields": message["fields"] | {"header": SPACED}}, PIXELS, **FACTS)
    assert whole.header.pixel_spacing == (0.1, 0.2)
    with pytest.raises(BrokenMessageError):
        radiograph_from({"shape": [200, 150]}, PIXELS, **FACTS)


def test_a_refusal_is_a_sentence():
    for message in ({"error": 3, "attributes": {}}, {"error": "x"}, {"error": "x", "attributes": []}):
        with pytest.raises(BrokenMessageError):
            refusal_from(message)
