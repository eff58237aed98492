"""Which bundle is in use, how another takes its place, and what may do so without being compared first."""

from __future__ import annotations

import json
import shutil

import pytest

from fracture_core.bundle.loading import current_bundle, list_bundles, load_bundle
from fracture_core.bundle.validation import BundleError
from fracture_core.jobs import promotion
from fracture_core.jobs.promotion import promote, restorable


@pytest.fixture
def proved(monkeypatch):
    """The miniature's twelve test images count as enough."""
    monkeypatch.setattr(promotion, "FEWEST_TEST_IMAGES", 5)


def in_use(models, name: str) -> None:
    (models / "current.json").write_text(json.dumps({"bundle": name}))


def test_what_no_run_made_is_offered(own_models, proved):
    in_use(own_models, "small")
    assert restorable(set(), own_models) == ["other"]


def test_what_a_run_made_waits_for_its_comparison(own_models, proved):
    in_use(own_models, "small")
    assert restorable({"other"}, own_models) == []


def test_what_was_tested_on_too_few_images_is_not_offered(own_models):
    in_use(own_models, "small")
    assert restorable(set(), own_models) == []


def test_a_promotion_can_be_taken_back(own_models):
    in_use(own_models, "small")
    promote("other", own_models)
    assert promote("other", own_models).before is None  # pressed twice
    assert restorable({"small", "other"}, own_models) == ["small"]


def test_promotion_is_a_name_and_moves_no_bundle(models):
    shutil.copytree(models / "small", models / "new")
    before = {p: p.read_bytes() for p in models.glob("*/*")}
    assert list_bundles(models) == ["new", "small"]
    promoted = promote("small", models)
    assert (promoted.name, promoted.before) == ("small", None)
    assert list_bundles(models) == ["small", "new"] and load_bundle(root=models).name == "small"
    assert promote("new", models).before == "small"
    assert load_bundle(root=models).name == "new"
    promote("small", models)  # put back
    assert current_bundle(models) == "small"
    assert {p: p.read_bytes() for p in models.glob("*/*")} == before


def test_a_damaged_bundle_is_not_put_in_use(models):
    shutil.copytree(models / "small", models / "new")
    promote("small", models)
    (models / "new" / "card.md").write_text("altered")
    with pytest.raises(BundleError):
        promote("new", models)
    assert current_bundle(models) == "small"
    shutil.rmtree(models / "small")
    assert current_bundle(models) == "densenet121-fracatlas"  # the one in use has gone
