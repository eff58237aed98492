"""What may be put in use without being compared first."""

from __future__ import annotations

import json

import pytest

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
    assert restorable({"small", "other"}, own_models) == ["small"]
