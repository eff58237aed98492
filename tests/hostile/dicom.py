"""DICOM files that lie, nest, explode or contradict themselves."""

from __future__ import annotations

import struct
from functools import partial

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from tests.hostile.files import Named, zeros
from tests.support import dicom_files as dicom

_RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
_PREFIX = bytes(128) + b"DICM"
_SEQUENCE = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff"
_NUMBERS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel", "PixelRepresentation")
_COMPRESSED = (
    "RLE",
    "JPEG_BASELINE",
    "JPEG_EXTENDED",
    "JPEG_LOSSLESS_SV1",
    "JPEG_LS",
    "JPEG_2000",
    "HTJ2K",
    "DEFLATED_FRAME",
    "MPEG_4",
)
_ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"


def _sound(**header: object) -> bytes:
    return dicom.file_bytes(dicom.dataset(_RAMP, **{"BitsStored": 12, **header}))


def _meta(syntax: bytes = b"1.2.840.10008.1.2.1\0") -> bytes:
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    return _PREFIX + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(element)) + element


def broken_dicoms() -> Named:
    """Everything about a DICOM file that can be wrong by intent."""
    yield from _numbers()
    yield from _structures()
    yield from _frames()


def _swallowing(tag: bytes) -> bytes:
    """A file in which the value of an element goes on to the end, the patient's name in it."""
    data = _sound()[:4000]
    place = data.index(tag) + 6
    return data[:place] + struct.pack("<H", (len(data) - place - 2) & ~1) + data[place + 2 :]


def _numbers() -> Named:
    for keyword in (
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "SamplesPerPixel",
        "PixelRepresentation",
    ):
        for value in (0, 1, 7, 3000, 65_535):
            yield f"dicom that says {keyword} {value}", partial(_sound, **{keyword: value})
    for value in ("0", "-1", "2", "99999999999", "2147483647"):
        yield f"dicom that says {value} frames", partial(_sound, NumberOfFrames=value)
    for slope, intercept in (("1e308", "1e308"), ("-1e300", "0"), ("1e-300", "0"), ("nan", "inf"), ("0", "0")):
        yield (
            f"dicom with slope {slope}, intercept {intercept}",
            partial(_raw, RescaleSlope=slope, RescaleIntercept=intercept),
        )
    for centre, width in (
        ("nan", "1"),
        ("1e308", "1e308"),
        ("0", "-5"),
        ("0", "1e-300"),
        ("1e400", "0"),
        ("abc", "def"),
    ):
        yield f"dicom with window {centre} {width}", partial(_raw, WindowCenter=centre, WindowWidth=width)
    yield (
        "dicom with 60,000 windows",
        partial(_raw, WindowCenter="\\".join(["1"] * 30_000), WindowWidth="\\".join(["2"] * 30_000)),
    )
    yield "dicom with a window of 30 MB", partial(_raw, WindowCenter="1\\" * 15_000_000, WindowWidth="1")
    for photometric in (
        "MONOCHROME9",
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_RCT",
        "PALETTE COLOR",
        "HSV",
        "\x00\xff",
    ):
        yield f"dicom that says {photometric!r}", partial(_raw, PhotometricInterpretation=photometric)
    for descriptor in ([0, 0, 16], [3, 65_535, 16], [65_535, 0, 0], [4, 0, 99], [1, 1]):
        yield f"dicom with a table {descriptor}", partial(_table, descriptor)


def _raw(**header: str) -> bytes:
    """A file with text that pydicom would refuse to write: declared as unlimited text, it is not checked."""
    made = dicom.dataset(_RAMP, BitsStored=12)
    made.PixelData = _RAMP.tobytes() * 3
    for keyword, value in header.items():
        if keyword in made:
            delattr(made, keyword)
        made.add_new(keyword, "UT", value)
    return dicom.file_bytes(made)


def _table(descriptor: list[int]) -> bytes:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", "US", [1, 2, 3])
    return _sound(VOILUTSequence=[item], ModalityLUTSequence=[item])


def _structures() -> Named:
    yield "dicom prefix and nothing else", lambda: _PREFIX
    yield "dicom prefix and noise", lambda: _PREFIX + np.random.default_rng(0).bytes(5000)
    for depth in (100, 1_000, 100_000, 2_000_000):
        yield f"dicom nested {depth:,} deep", partial(_nested, depth)
    yield "dicom of 4,000,000 elements", lambda: _meta() + struct.pack("<HH2sH", 9, 9, b"LO", 0) * 4_000_000
    yield "dicom of 4,000,000 items", lambda: _meta() + _SEQUENCE + b"\xfe\xff\x00\xe0\0\0\0\0" * 4_000_000
    yield "dicom of 1,000,000 sequences", lambda: _meta() + b"\x40\x00\x75\x02SQ\0\0\0\0\0\0" * 1_000_000
    yield "dicom with a value of 4 GB", lambda: _meta() + b"\x09\0\x10\0OB\0\0\xfe\xff\xff\xff" + bytes(100)
    yield "deflated dicom of a gigabyte", lambda: _meta(b"1.2.840.10008.1.2.1.99") + zeros(1000)[2:-4]
    yield "deflated dicom that is not deflated", lambda: _meta(b"1.2.840.10008.1.2.1.99") + b"\xff" * 1000
    yield "deflated dicom of nothing", lambda: _meta(b"1.2.840.10008.1.2.1.99")
    for modality in ("CT", "MR", "US", "MG", "SR", "XX", "\x1b[2J", "A" * 5000):
        yield f"dicom of modality {modality[:8]!r}", partial(_with_modality, modality)
    yield "dicom of another patient's name in the modality", partial(_with_modality, "Doe^Jane\n\r\t</script>")
    yield "dicom without pixels", lambda: _without("PixelData")
    yield "dicom without rows", lambda: _without("Rows")
    yield "dicom without a class", lambda: _sound().replace(b"1.2.840.10008.5.1.4.1.1.1", b"9.9.999.99999.9.9.9.9.9.9")
    for keyword, tag in (
        ("SOPClassUID", b"\x08\0\x16\0"),
        ("Modality", b"\x08\0\x60\0"),
        ("TransferSyntaxUID", b"\2\0\x10\0"),
        ("PhotometricInterpretation", b"\x28\0\4\0"),
    ):
        yield f"dicom whose {keyword} swallows what follows", partial(_swallowing, tag)
    yield "dicom in an unknown character set", lambda: _sound(SpecificCharacterSet="KLINGON", BodyPartExamined="HAND")
    yield "dicom cut within its header", lambda: _sound()[:300]


def _nested(depth: int) -> bytes:
    return _meta() + (_SEQUENCE + _ITEM) * depth


def _with_modality(modality: str) -> bytes:
    made = dicom.dataset(_RAMP, BitsStored=12)
    made.add_new("Modality", "UT", modality)
    return dicom.file_bytes(made)


def _without(keyword: str) -> bytes:
    made = dicom.dataset(_RAMP, BitsStored=12)
    delattr(made, keyword)
    return dicom.file_bytes(made)


def _frames() -> Named:
    made = partial(dicom.dataset, _RAMP, BitsStored=12)
    noise = np.random.default_rng(0).bytes(4000)
    for name in _COMPRESSED:
        syntax = getattr(dicom, name)
        yield f"dicom of noise in {name}", lambda s=syntax: dicom.file_bytes(made(), s, [noise])
        yield f"dicom with an empty frame in {name}", lambda s=syntax: dicom.file_bytes(made(), s, [b""])
        yield f"dicom that says {name} and is native", lambda s=syntax: _native_as(s)
        if name not in ("RLE", "DEFLATED_FRAME", "MPEG_4"):
            yield f"dicom whose {name} frame is larger", partial(_other_size, syntax)
    for unseen in ("\t", "\n", "\x1b"):
        syntax = dicom.MPEG_4[:12] + unseen + dicom.MPEG_4[13:]
        yield f"dicom of a syntax with {unseen!r} in its name", lambda s=syntax: _native_as(s)
    header = np.zeros(16, "<u4")
    for segments, offset in ((2, 64), (15, 0), (99, 64), (2, 2**31)):
        header[0], header[1:] = segments, offset
        runs = header.tobytes() + b"\x81\0" * 100_000
        yield f"dicom of {segments} RLE segments at {offset}", lambda r=runs: dicom.file_bytes(made(), dicom.RLE, [r])
    yield (
        "dicom whose deflated frame is 500 MB",
        lambda: dicom.file_bytes(made(), dicom.DEFLATED_FRAME, [zeros(500)[2:-4]]),
    )
    yield "dicom of 3,000,000 fragments", _fragments
    yield "dicom whose frame offsets lead nowhere", _wrong_offsets


def _native_as(syntax: str) -> bytes:
    data = dicom.file_bytes(dicom.dataset(_RAMP, BitsStored=12), dicom.MPEG_4, [])
    return data.replace(dicom.MPEG_4.encode(), syntax.encode().ljust(len(dicom.MPEG_4), b"\0")) + _RAMP.tobytes()


def _other_size(syntax: str) -> bytes:
    large = np.zeros((3000, 3000), np.uint8 if syntax == dicom.JPEG_BASELINE else np.uint16)
    frame = dicom.encode(large, syntax, 8 if syntax == dicom.JPEG_BASELINE else 12)
    return dicom.file_bytes(dicom.dataset(_RAMP, BitsStored=12), syntax, [frame])


def _fragments() -> bytes:
    data = dicom.file_bytes(dicom.dataset(_RAMP, BitsStored=12), dicom.RLE, [])
    return data[: data.rindex(b"\xfe\xff\xdd\xe0")] + b"\xfe\xff\x00\xe0\0\0\0\0" * 3_000_000


def _wrong_offsets() -> bytes:
    frames = [dicom.encode(_RAMP, dicom.RLE, 12)] * 3
    made = dicom.dataset(np.stack([_RAMP] * 3), BitsStored=12, NumberOfFrames=3)
    data = dicom.file_bytes(made, dicom.RLE, frames)
    table = encapsulate(frames)[8:20]
    return data.replace(table, struct.pack("<III", 0, 0x7FFFFFFF, 5))
