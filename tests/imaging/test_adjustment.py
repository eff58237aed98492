"""Cropping, mirroring and turning move pixels and change none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from fracture_core.imaging.adjustment import Adjustment
from fracture_core.imaging.dicom.header import DicomHeader
from fracture_core.imaging.limits import UnreadableRadiograph
from fracture_core.imaging.radiograph import Radiograph

PIXELS = np.random.default_rng(0).integers(0, 256, (90, 70), np.uint8)
RADIOGRAPH = Radiograph(pixels=PIXELS, name="r.png", sha256="0" * 64, format="PNG", warnings=("Small.",))


@given(st.integers(0, 3), st.booleans())
def test_turns_and_mirrors_equal_pillows(turns, mirrored):
    image = Image.fromarray(PIXELS)
    image = ImageOps.mirror(image) if mirrored else image
    expected = np.asarray(image.rotate(-90 * turns, expand=True))
    adjusted = Adjustment(mirrored=mirrored, quarter_turns=turns).apply(RADIOGRAPH)
    assert (adjusted.pixels == expected).all()
    assert adjusted.pixels.flags.c_contiguous and not adjusted.pixels.flags.writeable
    assert adjusted.warnings[0] == "Small."
    assert (len(adjusted.warnings) == 2) == bool(turns or mirrored)


def test_a_crop_is_cut_at_the_images_edge_and_said():
    adjusted = Adjustment(crop=(30, -5, 500, 60), quarter_turns=1).apply(RADIOGRAPH)
    assert (adjusted.pixels == np.rot90(PIXELS[0:55, 30:], -1)).all()
    assert adjusted.warnings[-1] == "Read after it was cropped to 55 x 40 pixels, turned by 90° clockwise by the user."


@pytest.mark.parametrize("crop", [(0, 0, 31, 60), (60, 0, 40, 90), (200, 200, 50, 50), (0, 0, -40, 50)])
def test_a_part_too_small_to_show_bone_is_refused(crop):
    with pytest.raises(UnreadableRadiograph, match="too small"):
        Adjustment(crop=crop).apply(RADIOGRAPH)


@pytest.mark.parametrize(("turns", "spacing"), [(0, (0.1, 0.2)), (1, (0.2, 0.1)), (2, (0.1, 0.2)), (3, (0.2, 0.1))])
def test_millimetres_turn_with_the_image(turns, spacing):
    header = DicomHeader("CR", "", "", 1, (), pixel_spacing=(0.1, 0.2))
    radiograph = Radiograph(np.zeros((40, 60), np.uint8), "a", "", "DICOM", header=header)
    assert Adjustment(quarter_turns=turns).apply(radiograph).header.pixel_spacing == spacing


def test_a_straightened_image_has_no_millimetres():
    header = DicomHeader("CR", "", "", 1, (), pixel_spacing=(0.1, 0.2))
    radiograph = Radiograph(np.zeros((90, 90), np.uint8), "a", "", "DICOM", header=header)
    corners = ((5.0, 3.0), (80.0, 9.0), (84.0, 80.0), (2.0, 85.0))
    assert Adjustment(corners=corners, quarter_turns=1).apply(radiograph).header.pixel_spacing is None
