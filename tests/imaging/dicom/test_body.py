"""Elements whose byte order contradicts what the file says of them, and files that lack the preamble."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from fracture_core.imaging.dicom.body import is_big_endian
from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from tests.support import dicom_files as made

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
WINDOW = {"BitsStored": 12, "WindowCenter": 1000, "WindowWidth": 400}


def _parts(data: bytes) -> tuple[bytes, bytes]:
    """Split a file into what comes before its first element of group 8, and the rest; group 2 says how long it is."""
    end = 144 + int.from_bytes(data[140:144], "little")
    return data[:end], data[end:]


@pytest.mark.parametrize("said", [made.IMPLICIT, made.EXPLICIT, made.BIG_ENDIAN, made.JPEG_LS])
@pytest.mark.parametrize("written", [made.IMPLICIT, made.EXPLICIT, made.BIG_ENDIAN])
@pytest.mark.filterwarnings("ignore:Expected .* VR, but found")
def test_the_elements_are_believed_before_the_meta_header(written: str, said: str) -> None:
    plain = made.file_bytes(made.dataset(RAMP, **WINDOW), written)
    other = made.file_bytes(made.dataset(RAMP, **WINDOW), said) if said != made.JPEG_LS else made.compressed(RAMP, said)
    mixed = _parts(other)[0] + _parts(plain)[1]
    np.testing.assert_array_equal(read_radiograph(mixed).pixels, read_radiograph(plain).pixels)


def test_the_first_group_tells_the_byte_order() -> None:
    assert is_big_endian(b"xx\0\x08", 2) is True
    assert is_big_endian(b"xx\x08\0", 2) is False
    assert is_big_endian(b"xx\0\0", 2) is is_big_endian(b"xxab", 2) is is_big_endian(b"xx", 2) is None


@pytest.mark.parametrize("syntax", [made.IMPLICIT, made.EXPLICIT, made.BIG_ENDIAN, made.DEFLATED, made.RLE])
def test_a_file_without_the_preamble_is_read(syntax: str) -> None:
    whole = (
        made.compressed(RAMP, syntax, **WINDOW)
        if syntax == made.RLE
        else made.file_bytes(made.dataset(RAMP, **WINDOW), syntax)
    )
    assert whole[128:132] == b"DICM"
    np.testing.assert_array_equal(read_radiograph(whole[128:]).pixels, read_radiograph(whole).pixels)


@pytest.mark.parametrize("bare", [True, False])
def test_damage_in_jpeg_ls_is_not_called_truncation(bare: bool) -> None:
    """A stream that goes on to its end lacks nothing; one that stops does."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    stream = imagecodecs.jpegls_encode(noise)
    middle = len(stream) // 2
    damaged = stream[:middle] + b"\xff\xff\xff\xff" + stream[middle + 4 :]
    for wrong, words in (
        (damaged, "The file is damaged: at least the bottom"),
        (stream[:middle], "The file is truncated: the"),
    ):
        data = wrong if bare else made.file_bytes(made.dataset(noise), made.JPEG_LS, [wrong])
        with pytest.raises(UnreadableRadiograph, match=words) as caught:
            read_radiograph(data)
        assert 0.3 < caught.value.missing < 0.7
        assert read_radiograph(data, accept_cut_short=True).missing == caught.value.missing


def test_a_deflated_file_may_end_with_the_checksum_of_gzip() -> None:
    data = made.file_bytes(made.dataset(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)), made.DEFLATED)
    whole = read_radiograph(data).pixels
    np.testing.assert_array_equal(read_radiograph(data + bytes(range(8))).pixels, whole)
