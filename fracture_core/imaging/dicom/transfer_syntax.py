"""The transfer syntaxes of DICOM: their identifiers, names, and what the first bytes of a frame say of its own."""

from __future__ import annotations

from pydicom.uid import UID

NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
RLE, DEFLATED_FRAME = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"
JPEG = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 57, 70, 80, 81)}
JPEG_2000 = {f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203)}
JPEG_XL = {f"1.2.840.10008.1.2.4.{n}" for n in (110, 111, 112)}
#: GE's own: everything little endian but the pixels.
PIXELS_BIG_ENDIAN = "1.2.840.113619.5.2"
JPEG_XL_LOSSLESS = "1.2.840.10008.1.2.4.110"
#: Transfer syntaxes that pydicom does not know by name yet.
_NEW_SYNTAXES = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}


def is_native(syntax: str) -> bool:
    """Return whether a transfer syntax stores pixels uncompressed.

    Args:
        syntax: Its UID.

    Returns:
        Whether it does.
    """
    return syntax in NATIVE


def syntax_name(syntax: str) -> str:
    """Return the name of a transfer syntax, for a message.

    Args:
        syntax: Its UID.

    Returns:
        DICOM's name and the UID; the UID alone if it has no name.
    """
    name = _NEW_SYNTAXES.get(syntax) or UID(syntax).name
    return name if name == syntax else f"{name}, {syntax}"


def own_syntax(data: bytes, stated: str) -> str:
    """Return the transfer syntax of a compressed frame: as its own first bytes show, else as the file says.

    Args:
        data: The frame.
        stated: The UID that the file states; empty where it states none.

    Returns:
        A UID.
    """
    if stated and stated not in NATIVE | JPEG | JPEG_2000 | JPEG_XL:
        return stated
    for signatures, syntax in (
        ((b"\xff\xd8\xff",), "1.2.840.10008.1.2.4.50"),
        ((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "), "1.2.840.10008.1.2.4.90"),
        ((b"\xff\x0a", b"\0\0\0\x0cJXL "), "1.2.840.10008.1.2.4.110"),
    ):
        if data.startswith(signatures):
            return syntax
    if stated in JPEG | JPEG_2000 | JPEG_XL:
        return stated
    return RLE
