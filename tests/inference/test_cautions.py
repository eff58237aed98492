"""What is said beside an answer where the radiograph does not look like the validated ones."""

from __future__ import annotations

from fracture_core.bundle.scope import _NAMED
from fracture_core.inference.cautions import _DIFFERENCES, unlike_validated


def test_every_difference_has_words() -> None:
    assert {name for _, *names in _NAMED for name in names} == set(_DIFFERENCES)


def test_the_caution_names_what_differs_and_what_is_known() -> None:
    text = unlike_validated(["dark", "close"], {"fractured": 122, "flagged": 90})
    assert "darker" in text and "closer" in text and "90 of 122 fractures" in text
    assert "as a whole" in unlike_validated([], {}) and "not known" in unlike_validated([], {"fractured": "x"})
