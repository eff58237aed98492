"""Wrong data within an image: never read without a word, never called truncation, and a sound file never damaged."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from tests.support import dicom_files as made
from tests.support.made_pictures import encoded, phantom
from tests.support.tiff_files import DEFLATE, one_strip, tiff_file

#: Noise keeps a stream long, so that there is data to lose.
NOISE = np.random.default_rng(0).integers(0, 60, (400, 300))
PICTURE = np.clip(phantom(400, 300).astype(int) * 0.7 + NOISE, 0, 255).astype(np.uint8)
DEEP = PICTURE.astype(np.uint16) * 16 + 5
TWELVE = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}


def jpeg(mode: str = "L", **options: object) -> bytes:
    return encoded(Image.fromarray(PICTURE).convert("RGB").convert(mode), "JPEG", quality=90, **options)


def dicom(syntax: str, bits: int = 12) -> bytes:
    pixels, header = (DEEP, TWELVE) if bits == 12 else (PICTURE, {})
    return made.file_bytes(made.dataset(pixels, **header), syntax, [made.encode(pixels, syntax, bits)])


def tiff_jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, "TIFF", compression="jpeg", quality=90)
    return file.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "jpeg": jpeg,
    "jpeg, colour": lambda: jpeg("RGB"),
    "jpeg, progressive": lambda: jpeg(progressive=True),
    "jpeg, restarts": lambda: jpeg(restart_marker_blocks=500),
    "jpeg, four inks": lambda: jpeg("CMYK"),
    "jpeg of 12 bits": lambda: imagecodecs.jpeg8_encode(DEEP, level=90, bitspersample=12),
    "jpeg, lossless": lambda: imagecodecs.jpeg8_encode(DEEP, lossless=True, bitspersample=12),
    "jpeg-ls": lambda: imagecodecs.jpegls_encode(PICTURE),
    "dicom jpeg": lambda: dicom(made.JPEG_BASELINE, 8),
    "dicom jpeg of 12 bits": lambda: dicom(made.JPEG_EXTENDED),
    "dicom jpeg, lossless": lambda: dicom(made.JPEG_LOSSLESS_SV1),
    "dicom jpeg-ls": lambda: dicom(made.JPEG_LS),
    "dicom, run lengths": lambda: dicom(made.RLE),
    "dicom, deflated frame": lambda: dicom(made.DEFLATED_FRAME),
    "dicom, deflated": lambda: made.file_bytes(made.dataset(DEEP, **TWELVE), made.DEFLATED),
    "tiff, deflate": lambda: tiff_file(PICTURE, compression=DEFLATE, rows_per_strip=400),
    "tiff, jpeg": tiff_jpeg,
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_a_lost_sector_is_called_damage(kind: str, share: float) -> None:
    whole = FILES[kind]()
    read_radiograph(whole)
    place = int(share * len(whole)) // 512 * 512
    data = whole[:place] + bytes(512) + whole[place + 512 :]
    with pytest.raises(UnreadableRadiograph, match="damaged") as caught:
        read_radiograph(data)
    assert "truncated" not in str(caught.value)
    if caught.value.missing is not None:
        radiograph = read_radiograph(data, accept_cut_short=True)
        assert radiograph.missing == caught.value.missing > 0 and "damaged" in radiograph.warnings[0]


def test_the_checksum_of_a_deflated_strip_counts() -> None:
    """Stored blocks have no codes that could be wrong: only the checksum tells."""
    compressor = zlib.compressobj(level=0)
    strip = compressor.compress(PICTURE.tobytes()) + compressor.flush()
    whole = one_strip(strip, 300, 400, {258: (3, 8), 259: (3, DEFLATE), 262: (3, 1), 277: (3, 1)})
    np.testing.assert_array_equal(read_radiograph(whole).pixels, PICTURE)
    wrong = bytearray(whole)
    wrong[-len(strip) // 2] ^= 0x40
    with pytest.raises(UnreadableRadiograph, match="damaged"):
        read_radiograph(bytes(wrong))
    # Without the checksum's last byte nothing of the image is missing.
    assert not read_radiograph(whole[:-1]).missing
