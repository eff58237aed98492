"""Bundles by name: the one in use, and notes of it that are no use."""

from __future__ import annotations

import pytest

from fracture_core.bundle.loading import current_bundle


@pytest.mark.parametrize("text", ["{", "[]", '{"bundle": 3}', '{"bundle": "../small"}', '{"bundle": "nothing"}'])
def test_an_odd_note_of_the_bundle_in_use_is_passed_over(models, text):
    (models / "current.json").write_text(text)
    assert current_bundle(models) == "densenet121-fracatlas"
