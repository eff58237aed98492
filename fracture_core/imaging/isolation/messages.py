"""The protocol between server and decoder process: JSON with a length in front, and nothing executable.

The server believes no message: a decoder that a hostile file took over could send anything.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from fracture_core.imaging.limits import MAX_PIXELS, UnreadableRadiograph
from fracture_core.imaging.radiograph import Radiograph

Message = dict[str, Any]

#: Longest message, in bytes: some sentences and a header's words.
_LONGEST = 1 << 20
_LENGTH = struct.Struct(">I")
#: Fields of a radiograph that the server knows better than the decoder, or that do not travel in a message.
_OF_THE_SERVER = ("pixels", "name", "sha256", "length")


class BrokenMessageError(Exception):
    """The decoder died in the middle of a message, or sent what no decoder of ours sends."""


def send(stream: BinaryIO, message: Message, data: bytes | memoryview = b"") -> None:
    """Write a message, and raw bytes whose length it states.

    Args:
        stream: Where to write.
        message: The message.
        data: The raw bytes.
    """
    text = json.dumps(message).encode()
    stream.write(_LENGTH.pack(len(text)) + text)
    if len(data):
        stream.write(data)
    stream.flush()


def receive(stream: BinaryIO) -> Message | None:
    """Read a message.

    Args:
        stream: Where to read.

    Returns:
        The message; None at the end of the stream.

    Raises:
        BrokenMessageError: It is not a message.
    """
    head = stream.read(_LENGTH.size)
    if not head:
        return None
    if len(head) < _LENGTH.size or _LENGTH.unpack(head)[0] > _LONGEST:
        raise BrokenMessageError("no length")
    (length,) = _LENGTH.unpack(head)
    text = stream.read(length)
    if len(text) < length:
        raise BrokenMessageError("cut off")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenMessageError("no JSON") from error
    if not isinstance(message, dict):
        raise BrokenMessageError("no object")
    return message


def answer_of(radiograph: Radiograph) -> Message:
    """Describe a radiograph, except for its pixels.

    Args:
        radiograph: The radiograph.

    Returns:
        The message.
    """
    fields = {field.name: getattr(radiograph, field.name) for field in dataclasses.fields(radiograph)}
    settings = {name: value for name, value in fields.items() if name not in _OF_THE_SERVER}
    if radiograph.header is not None:
        settings["header"] = dataclasses.asdict(radiograph.header)
    return {"shape": radiograph.pixels.shape, "fields": settings}


def refusal_of(error: UnreadableRadiograph) -> Message:
    """Describe an error: its message and its attributes.

    Args:
        error: The error.

    Returns:
        The message.
    """
    return {"error": str(error), "attributes": {name: value for name, value in vars(error).items() if _is_plain(value)}}


def shape_in(message: Message) -> tuple[int, int]:
    """Return the shape that an answer states.

    Args:
        message: The answer.

    Returns:
        (rows, columns).

    Raises:
        BrokenMessageError: There is no valid shape.
    """
    shape = message.get("shape")
    if not isinstance(shape, list) or len(shape) != 2 or not all(type(side) is int and side > 0 for side in shape):
        raise BrokenMessageError("no shape")
    if shape[0] * shape[1] > MAX_PIXELS:
        raise BrokenMessageError("too large")
    return shape[0], shape[1]


def radiograph_from(message: Message, pixels: np.ndarray, *, name: str, sha256: str, length: int) -> Radiograph:
    """Reconstruct a radiograph from an answer and its pixels.

    Args:
        message: The answer.
        pixels: uint8 (H, W), read-only.
        name: The file's name, for display.
        sha256: The file's hash.
        length: The file's size in bytes.

    Returns:
        The radiograph.

    Raises:
        BrokenMessageError: The answer does not describe one.
    """
    fields = message.get("fields")
    if not isinstance(fields, dict) or not _is_plain(fields) or set(_OF_THE_SERVER) & set(fields):
        raise BrokenMessageError("no fields")
    frozen = {key: _frozen(value) for key, value in fields.items()}
    try:
        if fields.get("header") is not None:
            from fracture_core.imaging.dicom.header import DicomHeader  # pydicom comes with it

            header = {key: _frozen(value) for key, value in fields["header"].items()}
            _check_types(DicomHeader, header)
            frozen["header"] = DicomHeader(**header)
        _check_types(Radiograph, frozen)
        return Radiograph(pixels=pixels, name=name, sha256=sha256, length=length, **frozen)
    except (TypeError, AttributeError) as error:
        raise BrokenMessageError("other fields") from error


def refusal_from(message: Message) -> UnreadableRadiograph:
    """Reconstruct the error that `refusal_of` described.

    Args:
        message: The message.

    Returns:
        The error.

    Raises:
        BrokenMessageError: The message does not describe one.
    """
    attributes = message.get("attributes")
    if not isinstance(message.get("error"), str) or not isinstance(attributes, dict) or not _is_plain(attributes):
        raise BrokenMessageError("no refusal")
    error = UnreadableRadiograph(message["error"])
    vars(error).update({key: _frozen(value) for key, value in attributes.items() if not key.startswith("__")})
    return error


def _check_types(kind: type, fields_: Mapping[str, object]) -> None:
    """Raise TypeError where a field of text or numbers is told to be something else."""
    plain = {"str": str, "int": int, "float": int | float, "bool": bool, "tuple[str, ...]": tuple}
    for field in dataclasses.fields(kind):
        expected = plain.get(str(field.type))
        value = fields_.get(field.name)
        if expected and field.name in fields_ and not isinstance(value, expected):
            raise TypeError(field.name)
        if isinstance(value, tuple) and expected is tuple and not all(isinstance(words, str) for words in value):
            raise TypeError(field.name)
        if str(field.type) == "tuple[float, float] | None" and value is not None and not _is_pair(value):
            raise TypeError(field.name)


def _is_pair(value: object) -> bool:
    """Return whether a value is two lengths."""
    pair = isinstance(value, tuple) and len(value) == 2 and all(type(item) in (int, float) for item in value)
    return pair and all(math.isfinite(item) and item > 0 for item in value)  # type: ignore[attr-defined]


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bool | int | float)


def _frozen(value: object) -> Any:
    """Return lists as the tuples that they were before they became JSON."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
