"""What is said beside an answer where the radiograph does not look like the validated ones."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from fracture_core.bundle.usual_ranges import _NAMED
from fracture_core.imaging.dicom.header import DicomHeader
from fracture_core.imaging.letterbox import letterbox
from fracture_core.imaging.radiograph import Radiograph, read_radiograph
from fracture_core.inference.cautions import _DIFFERENCES, cautions, unlike_validated
from fracture_core.inference.scope import CONTENTS


def _radiograph(declared: str | None) -> Radiograph:
    noise = np.random.default_rng(3).integers(0, 256, (300, 240), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    radiograph = read_radiograph(buffer.getvalue(), name="film.png")
    if declared is None:
        return radiograph
    return dataclasses.replace(radiograph, header=DicomHeader("CR", declared, "", 1, ()))


@pytest.mark.parametrize(
    ("declared", "seen", "said"),
    [
        (None, "hip", "This looks like a hip: the model has seen few fractures there."),
        (None, "shoulder", "This looks like a shoulder: the model has seen few fractures there."),
        (None, "hand", ""),
        ("", "shoulder", "This looks like a shoulder: the model has seen few fractures there."),
        ("Left CLAVICLE", "hand", "The file says it shows the shoulder: the model has seen few fractures there."),
        ("PELVIS", "hip", "The file says it shows the hip: the model has seen few fractures there."),
        ("KNEE", "hip", ""),
        (
            "CHEST",
            "shoulder",
            "The file says it shows chest; the model was validated on limbs, hip and shoulder only.",
        ),
    ],
)
def test_a_part_with_few_fractures_is_named(declared: str | None, seen: str, said: str) -> None:
    radiograph = _radiograph(declared)
    _, placement = letterbox(radiograph.pixels, 64)
    assert seen in CONTENTS
    about = [
        one for one in cautions(radiograph, placement, frozenset(), seen) if "looks like a" in one or "says" in one
    ]
    assert about == ([said] if said else [])


def test_every_difference_has_words() -> None:
    assert {name for _, *names in _NAMED for name in names} == set(_DIFFERENCES)


def test_the_caution_names_what_differs_and_what_is_known() -> None:
    text = unlike_validated(["dark", "close"], {"fractured": 122, "flagged": 90})
    assert "darker" in text and "closer" in text and "90 of 122 fractures" in text
    known = {"fractured": 122, "flagged": 90, "fractured_close": 14, "flagged_close": 8}
    assert "On close views from other sources it flagged 8 of 14" in unlike_validated(["dark", "close"], known)
    assert "90 of 122" in unlike_validated(["far"], known) and "90 of 122" in unlike_validated(["dark"], known)
    assert "as a whole" in unlike_validated([], {}) and "not known" in unlike_validated([], {"fractured": "x"})


def test_a_colour_photograph_must_look_familiar_too() -> None:
    from fracture_core.inference.assessment import UNFAMILIAR, not_assessed_reason

    rng = np.random.default_rng(0)
    for channels, refused in ((3, True), (1, False)):
        pixels = np.repeat(np.repeat(rng.integers(0, 256, (16, 16, channels), dtype=np.uint8), 20, 0), 20, 1)
        buffer = io.BytesIO()
        Image.fromarray(np.repeat(pixels, 3 // channels, 2)).save(buffer, "PNG")
        radiograph = read_radiograph(buffer.getvalue(), name="one.png")
        assert not_assessed_reason(radiograph, 1.2, 3.0) == (UNFAMILIAR if refused else "")
        assert not_assessed_reason(radiograph, 0.8, 3.0) == ""
