"""Files that are not what they are called, files that are two things at once, and names that are weapons."""

from __future__ import annotations

import base64
import io
import zipfile

from tests.hostile.files import SOUND, Named

FILENAMES = (
    "../../../../etc/passwd",
    "..\\..\\windows\\system32\\config.png",
    "/dev/null",
    "con.png\x00.exe",
    "\x1b[2J\x1b]0;owned\x07.png",
    "line\nbreak\r\n.png",
    "x" * 300 + ".png",
    "é" * 300,
    "photo\u202egnp.exe",
    "\u200b\u200b\u200b",
    "<script>alert(1)</script>.png",
    "'; drop table radiographs; --.png",
    "$(reboot).png",
    "",
    ".",
    "..",
    "   ",
    "a/b/../c/",
    "\ud800broken.png",
    "%00%2e%2e%2f.png",
)

_SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
_PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n%%EOF"


def disguises() -> Named:
    """Other files under a radiograph's name, polyglots, and next to nothing."""
    yield "0 bytes", lambda: b""
    for byte in (0, 10, 0x42, 0x49, 0x4D, 0x52, 0x89, 0xFF):
        yield f"1 byte, {byte:#x}", lambda b=byte: bytes([b])
    for name, head in (
        ("html", b"<!DOCTYPE html><html><script>alert(1)</script></html>"),
        ("svg", _SVG),
        ("svg with a billion laughs", b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "ha">]>' + _SVG),
        ("svg after a comment of 60 KB", b"<!--" + b"-" * 60_000 + b"-->" + _SVG),
        ("svg after half a comment", b"<!-- " * 200 + _SVG),
        ("pdf", _PDF),
        ("zip", _zip()),
        ("gzip", b"\x1f\x8b\x08\0" + bytes(50)),
        ("elf", b"\x7fELF" + bytes(100)),
        ("windows program", b"MZ\x90\0" + bytes(100)),
        ("shell script", b"#!/bin/sh\nrm -rf /\n"),
        ("pickle", b"\x80\x04\x95\x1f\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."),
        ("gif", base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")),
        ("heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("mp4", b"\0\0\0\x18ftypisom\0\0\0\0isom"),
        ("jpeg 2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100)),
        ("text", "Röntgenbild folgt per Post.".encode()),
        ("utf-16 text", "radiograph".encode("utf-16")),
        ("nifti", b"\x5c\x01\0\0" + bytes(344)),
        ("csv", b"image_id,fractured\nIMG0000001,1\n"),
    ):
        yield f"{name} called a radiograph", lambda h=head: h
    for kind, make in SOUND.items():
        yield f"{kind} with a zip behind it", lambda m=make: m() + _zip()
    for name, head in (("pdf", _PDF), ("html", b"<html>"), ("zip", _zip()), ("text", b"\n")):
        yield f"{name} with a jpeg behind it", lambda h=head: h + SOUND["jpeg"]()
    for name in ("jpeg", "png", "tiff", "bmp"):
        yield f"dicom with the preamble of a {name}", lambda n=name: _preamble(SOUND[n]())
    yield "jpeg within a jpeg's comment", lambda: _comment(SOUND["jpeg"]())
    yield "two jpegs", lambda: SOUND["jpeg"]() * 2
    yield "jpeg with a png's beginning", lambda: b"\x89PNG\r\n\x1a\n" + SOUND["jpeg"]()


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../radiograph.jpg", b"nothing")
    return file.getvalue()


def _preamble(data: bytes) -> bytes:
    return data[:128] + SOUND["dicom"]()[128:]


def _comment(data: bytes) -> bytes:
    return data[:2] + b"\xff\xfe" + (len(data) + 2).to_bytes(2, "big") + data + data[2:]
