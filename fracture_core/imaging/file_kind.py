"""Determine the format of a file by its content, not by its name."""

from __future__ import annotations

import re

from fracture_core.imaging.format_names import ALL_FORMATS
from fracture_core.imaging.jpeg_header import is_jpeg_ls
from fracture_core.imaging.limits import UnreadableRadiograph

#: Length of the longest signature that tells what a file is, in bytes.
_HEAD = 1024
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
)
_AVIF = re.compile(rb"....ftyp(avif|avis|(?:mif1|msf1|miaf)(?=.{4}(?:.{4}){0,15}avif))", re.DOTALL)
#: What people upload by mistake -> what it is called.
_OTHERS = (
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"PK\x03\x04|PK\x05\x06|Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd"), "an archive"),
    (re.compile(rb"GIF8[79]a"), "a GIF image"),
    (re.compile(rb"....ftyp", re.DOTALL), "a video"),
    # Possessive, because trying comments in every grouping would take years for a file of nothing else.
    (
        re.compile(rb"\s*+(<\?xml[^>]*+>\s*+)?+((?><!--.*?-->)\s*+)*+(<!DOCTYPE svg|<svg)", re.DOTALL | re.I),
        "an SVG drawing",
    ),
    (re.compile(rb"\s*(<!doctype html|<html|<head|<body|<script)", re.I), "a web page"),
    (re.compile(rb"\x7fELF|MZ|#!"), "a program"),
    (re.compile(rb"\{\\rtf|\xd0\xcf\x11\xe0"), "an office document"),
)
_HEIC = re.compile(rb"....ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", re.DOTALL)


def file_kind(data: bytes) -> str:
    """Determine the format of a file by its content.

    Args:
        data: The file.

    Returns:
        "JPEG", "JPEG-LS", "PNG", "TIFF", "DICOM" ...

    Raises:
        UnreadableRadiograph: The file is empty or none of these; the message says what it is, if known.
    """
    if not data:
        raise UnreadableRadiograph("The file is empty.")
    # First of all: a DICOM file's preamble may hold another format's signature.
    if _is_dicom(data):
        return "DICOM"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG-LS" if is_jpeg_ls(data) else "JPEG"
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    head = data[:_HEAD]
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if _AVIF.match(head):
        return "AVIF"
    if _HEIC.match(head):
        return "HEIC"
    for pattern, what in _OTHERS:
        if pattern.match(head):
            raise UnreadableRadiograph(f"This is {what}, not a radiograph. Supported: {ALL_FORMATS}.")
    raise UnreadableRadiograph(f"This file is not an image the app can read. Supported: {ALL_FORMATS}.")


def _is_dicom(data: bytes) -> bool:
    if b"DICM" not in (data[128:132], data[:4]) and data[:2] not in (b"\x02\0", b"\x08\0", b"\0\x02", b"\0\x08"):
        return False
    # pydicom takes a while to import, and most files never need it.
    from fracture_core.imaging.dicom.dataset import is_dicom

    return is_dicom(data)
