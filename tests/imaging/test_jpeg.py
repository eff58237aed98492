"""How much of a truncated JPEG is missing: planted cuts, real ones, and no false alarm on whole files."""

from __future__ import annotations

import threading

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageFile

from fracture_core.imaging.radiograph import UnreadableRadiograph, read_radiograph
from tests.support.made_pictures import assert_contract, encoded, phantom


def cut(data: bytes, share: float) -> bytes:
    start = data.rindex(b"\xff\xda") + 12
    return data[: start + int((len(data) - start) * share)]


def missing_share(data: bytes) -> float:
    return read_radiograph(data, accept_cut_short=True).missing


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 7}, {"optimize": True}, {"subsampling": 2}])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("tail", [b"", b"\xff\xd9", b"\0" * 500, b"\xff" * 50])
def test_a_cut_short_jpeg_is_refused_or_read_with_what_is_missing(mode: str, options: dict, tail: bytes) -> None:
    whole = encoded(Image.fromarray(phantom(400, 300)).convert(mode), "JPEG", quality=90, **options)
    pixels = read_radiograph(whole).pixels
    assert missing_share(whole) == 0
    data = cut(whole, 0.6) + tail
    # With its end in place, it could as well be one whose middle is damaged.
    words = (
        r"damaged: at least the bottom \d+ %" if tail == b"\xff\xd9" else r"truncated: the bottom \d+ % .* is missing"
    )
    with pytest.raises(UnreadableRadiograph, match=words):
        read_radiograph(data)
    radiograph = read_radiograph(data, accept_cut_short=True)
    assert_contract(radiograph)
    assert 0.2 < radiograph.missing < 0.7
    rows = round(radiograph.missing * 400)
    # All that was kept is right, all that is missing is black, and no more is called missing than needs be.
    np.testing.assert_array_equal(radiograph.pixels[: 398 - rows], pixels[: 398 - rows])
    assert not radiograph.pixels[400 - rows :].any()
    assert f"{round(100 * radiograph.missing)} %" in radiograph.warnings[0]


def test_what_is_missing_grows_with_the_cut() -> None:
    whole = encoded(phantom(400, 300), "JPEG", quality=90)
    shares = [missing_share(cut(whole, share) + b"\xff\xd9") for share in np.linspace(0.98, 0.02, 20)]
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] > 0.9


def test_a_whole_jpeg_is_whole_whatever_follows_or_lacks_at_its_end() -> None:
    for mode, options in (("L", {}), ("RGB", {"progressive": True}), ("CMYK", {})):
        whole = encoded(Image.fromarray(phantom()).convert("RGB").convert(mode), "JPEG", **options)
        for data in (whole, whole + b"\0" * 999, whole + whole, whole[:-2]):
            assert missing_share(data) == 0, (mode, len(data) - len(whole))
    # A corner of exactly mid-grey is what a decoder out of data leaves: it must not be taken for that.
    grey = encoded(np.full((200, 200), 128, np.uint8), "JPEG")
    assert missing_share(grey) == 0 and missing_share(grey[:-2]) == 0


def test_a_progressive_jpeg_that_lacks_detail() -> None:
    whole = encoded(phantom(400, 300), "JPEG", progressive=True, quality=90)
    scans = [i for i in range(len(whole)) if whole.startswith(b"\xff\xda", i)]
    assert len(scans) > 3
    half = whole[: scans[len(scans) // 2]]
    assert missing_share(half) == pytest.approx(1 / 400)
    with pytest.raises(UnreadableRadiograph, match="fine detail"):
        read_radiograph(half)
    assert not (read_radiograph(half, accept_cut_short=True).pixels[-40:] == 0).all()
    assert missing_share(whole[: scans[0] + 300]) > 0.2


def test_no_global_switch_is_touched_and_threads_do_not_meet() -> None:
    whole = encoded(phantom(), "JPEG")
    broken = cut(whole, 0.5)
    seen: list[object] = []

    def work(accept: bool) -> None:
        for _ in range(40):
            seen.append(ImageFile.LOAD_TRUNCATED_IMAGES)
            if accept:
                seen.append(read_radiograph(broken, accept_cut_short=True).missing == 0)
            else:
                with pytest.raises(UnreadableRadiograph):
                    read_radiograph(broken)

    threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4 * 40 + 2 * 40 and not any(seen)


# --- damage within


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("pair", [b"\xff\x3c", b"\xff\xa0", b"\xff\x02"])
def test_a_bad_pair_of_bytes_costs_the_rows_up_to_the_next_restart(pair: bytes, colour: bool) -> None:
    image = phantom(400, 300)
    whole = encoded(np.dstack([image] * 3) if colour else image, "JPEG", quality=90, restart_marker_rows=1)
    reference = read_radiograph(whole).pixels
    markers = [place for place in range(len(whole) - 1) if whole[place] == 0xFF and 0xD0 <= whole[place + 1] <= 0xD7]
    place = (markers[4] + markers[5]) // 2
    bad = whole[:place] + pair + whole[place + 2 :]
    with pytest.raises(UnreadableRadiograph, match=r"damaged: \d+ % of the image cannot be decoded") as caught:
        read_radiograph(bad)
    radiograph = read_radiograph(bad, accept_cut_short=True)
    lost = np.flatnonzero((radiograph.pixels != reference).any(axis=1))
    assert 0 < radiograph.missing == pytest.approx(caught.value.missing) and radiograph.missing < 0.1
    assert lost.size and np.ptp(lost) < 40 and not radiograph.pixels[lost].any()


def test_jpegs_without_restarts_end_at_a_bad_marker() -> None:
    whole = encoded(phantom(400, 300), "JPEG", quality=90)
    place = len(whole) // 2
    bad = whole[:place] + b"\xff\x3c" + whole[place + 2 :]
    with pytest.raises(UnreadableRadiograph, match=r"bottom \d+ % of the image"):
        read_radiograph(bad)
    assert 0.2 < read_radiograph(bad, accept_cut_short=True).missing < 0.8


@pytest.mark.parametrize("options", [{"lossless": True}, {"bitspersample": 12}])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_cut_deep_and_lossless_jpegs_keep_their_first_rows(options: dict, end: bytes) -> None:
    deep = phantom(400, 300).astype(np.uint16) * 16
    options = {"bitspersample": 16} | options if "lossless" in options else options
    whole = imagecodecs.jpeg8_encode(deep, **options)
    reference = read_radiograph(whole).pixels
    cut_short = whole[: len(whole) // 2] + end
    with pytest.raises(UnreadableRadiograph, match=r"truncated: the bottom \d+ %"):
        read_radiograph(cut_short)
    radiograph = read_radiograph(cut_short, accept_cut_short=True)
    held = round(400 * (1 - radiograph.missing))
    assert 40 < held < 360
    np.testing.assert_array_equal(radiograph.pixels[:held], reference[:held])
    assert not radiograph.pixels[held:].any()


def test_a_jpeg_that_says_it_is_rgb_is_read_as_rgb() -> None:
    colour = np.dstack([phantom(), phantom()[::-1], np.full_like(phantom(), 60)])
    data = imagecodecs.jpeg8_encode(colour, level=98, colorspace="RGB", outcolorspace="RGB")
    np.testing.assert_allclose(read_radiograph(data).pixels, colour @ [0.299, 0.587, 0.114], atol=8)


def test_pixels_that_are_not_square_are_told() -> None:
    warnings = read_radiograph(encoded(phantom(), "JPEG", dpi=(200, 100))).warnings
    assert any("2 times as high as wide" in sentence for sentence in warnings)
