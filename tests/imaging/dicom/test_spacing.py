"""Lengths in millimetres: what the header gives, where it holds, and what becomes of it as the image changes."""

from __future__ import annotations

import numpy as np
import pytest

from fracture_core.imaging.adjustment import Adjustment
from fracture_core.imaging.isolation.decoder import decode_isolated
from fracture_core.imaging.radiograph import read_radiograph
from tests.support import dicom_files as made
from tests.support.made_pictures import phantom

PHANTOM = phantom()


def file(**header: object) -> bytes:
    return made.file_bytes(made.dataset(PHANTOM, **header))


@pytest.mark.parametrize(
    ("header", "spacing", "at_detector"),
    [
        ({}, None, False),
        ({"ImagerPixelSpacing": [0.14, 0.14]}, (0.14, 0.14), True),
        ({"PixelSpacing": [0.14, 0.14]}, (0.14, 0.14), True),
        ({"PixelSpacing": [0.14, 0.14], "ImagerPixelSpacing": [0.14, 0.14]}, (0.14, 0.14), True),
        ({"PixelSpacing": [0.125, 0.125], "ImagerPixelSpacing": [0.14, 0.14]}, (0.125, 0.125), False),
        ({"PixelSpacing": [0.14, 0.14], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.14, 0.14), False),
        ({"NominalScannedPixelSpacing": [0.2, 0.2]}, (0.2, 0.2), True),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.14, 0.14]}, (0.14, 0.14), True),
        ({"PixelSpacing": [140, 140]}, None, False),
        ({"PixelSpacing": [0.14]}, None, False),
    ],
)
def test_the_spacing_is_the_headers_and_says_where_it_holds(header, spacing, at_detector) -> None:
    read = read_radiograph(file(**header)).header
    assert read.pixel_spacing == spacing and read.spacing_at_detector is at_detector


def test_pixels_that_were_made_square_keep_true_lengths() -> None:
    radiograph = read_radiograph(file(PixelSpacing=[0.2, 0.1]))
    assert radiograph.pixels.shape == (400, 150)
    assert radiograph.header.pixel_spacing == pytest.approx((0.1, 0.1))


def test_pixels_that_stay_oblong_change_sides_as_the_image_is_turned() -> None:
    radiograph = read_radiograph(file(PixelSpacing=[1.0, 0.1]))
    assert radiograph.header.pixel_spacing == (0.1, 1.0)
    assert Adjustment(quarter_turns=1).apply(radiograph).header.pixel_spacing == (1.0, 0.1)
    assert Adjustment(quarter_turns=2, mirrored=True).apply(radiograph).header.pixel_spacing == (0.1, 1.0)


def test_the_spacing_comes_through_the_decoder_process() -> None:
    data = file(ImagerPixelSpacing=[0.14, 0.14])
    isolated = decode_isolated(data)
    np.testing.assert_array_equal(isolated.pixels, PHANTOM)
    assert isolated.header == read_radiograph(data).header
