"""The reference recipe beside the published row: counts as anyone would count them, and honest about the start."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import load_bundle
from studies.reference_row import ReferenceRowError, page


def cells(text: str, row: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {row}"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:5]


def test_counts_are_those_of_the_bundles_own_predictions() -> None:
    bundle = load_bundle()
    text = page(bundle)
    test = bundle.predictions().query("split == 'test'")
    fractured = test["label"] == 1
    raw = 1 / (1 + np.exp(-(test["logit"] - bundle.manifest["provenance"]["offset"])))
    for row, called in (
        ("this run at 0.5, uncalibrated", raw >= 0.5),
        ("this run at 0.5, calibrated", test["probability"] >= 0.5),
        ("this run at the threshold", test["probability"] >= bundle.points["single"].threshold),
    ):
        counts = [(~called & ~fractured).sum(), (called & ~fractured).sum(), (~called & fractured).sum()]
        assert cells(text, row) == [*map(str, counts), str((called & fractured).sum())]
    assert cells(text, "published") == ["665", "9", "121", "22"]
    assert cells(text, "no fracture, for every image") == ["674", "0", "143", "0"]


def test_the_page_says_what_it_is_and_what_it_is_not() -> None:
    bundle = load_bundle()
    text = page(bundle)
    assert bundle.sha256 in text and bundle.manifest["provenance"]["start"]["source"] in text
    assert "Not from ImageNet weights" in text
    changed = bundle.recipe.to_json()
    assert "- `localiser`: " + repr(changed["localiser"]) + " instead of 0" in text
    manifest = {**bundle.manifest, "provenance": {**bundle.manifest["provenance"], "start": {"source": "imagenet"}}}
    assert "Not from ImageNet" not in page(dataclasses.replace(bundle, manifest=manifest))


def test_other_test_images_are_refused(monkeypatch) -> None:
    bundle, whole = load_bundle(), load_bundle().predictions()
    monkeypatch.setattr(Bundle, "predictions", lambda self: whole.drop(whole.index[whole["split"] == "test"][0]))
    with pytest.raises(ReferenceRowError, match="816 images"):
        page(bundle)
