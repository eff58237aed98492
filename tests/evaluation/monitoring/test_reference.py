"""What a log is compared with: kept beside the bundle, read back, and without anything that names a film."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.saved_points import offered, save_pair
from fracture_core.bundle.validation import BundleError
from fracture_core.evaluation.monitoring.reference import (
    FEATURES,
    FILE,
    rename_calibration,
    save_reference,
    saved_references,
)
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Predictor
from fracture_core.metrics.score_scale import ScoreScale


def test_a_calibrations_films_are_kept_as_numbers_and_read_back(own_models):
    bundle = load_bundle("small", own_models)
    rng = np.random.default_rng(0)
    logits, features, scale = rng.normal(size=60), rng.normal(size=(60, len(FEATURES))), ScoreScale(1.5, -0.7)
    scores = bundle.probability(logits)
    save_reference(bundle, "ward 7", scale, logits, features.tolist())
    save_reference(bundle, "clinic", scale, logits[:30], features[:30].tolist())
    clinic, ward, validation = saved_references(bundle)
    assert "30 films of the calibration 'clinic'" in clinic.title and "60 films" in ward.title
    assert sorted(ward.scores) == pytest.approx(sorted(scores), abs=1e-4)
    rows = sorted(map(tuple, features.round(2).tolist()))
    assert sorted(map(tuple, ward.features.tolist())) == rows
    assert ward.scores.tolist() != scores.round(4).tolist()  # in an order of their own
    (site,) = saved_references(bundle, "ward 7")  # a log on the site's scale is compared on that scale
    assert sorted(site.scores) == pytest.approx(sorted(scale.probability(logits)), abs=1e-4)
    table = bundle.predictions()
    assert sorted(validation.scores) == sorted(table.loc[table["split"] == "val", "probability"])
    assert validation.features.shape == (len(validation.scores), len(FEATURES))
    entry = json.loads((bundle.folder / FILE).read_text())["ward 7"]
    assert set(entry) == {"bundle", "scores", "site_scores", "features"} and entry["bundle"] == bundle.version
    (bundle.folder / FILE).write_text("[")
    assert len(saved_references(bundle)) == 1


def test_a_calibration_that_is_renamed_keeps_its_films(own_models):
    bundle = load_bundle("small", own_models)
    rng = np.random.default_rng(1)
    logits, features, scale = rng.normal(size=40), rng.normal(size=(40, len(FEATURES))), ScoreScale(1.5, -0.7)
    save_pair(bundle, bundle.points["rule_out"], bundle.points["rule_in"], "ward 7")
    save_reference(bundle, "ward 7", scale, logits, features.tolist())
    (before,) = saved_references(bundle, "ward 7")
    rename_calibration(bundle, "ward 7", "St. Mary ")
    assert list(offered(bundle.chosen_points())) == ["St. Mary"]
    # The log goes on under the new name; what was logged under the old one is still compared.
    for name in ("St. Mary", "ward 7"):
        (found,) = saved_references(bundle, name)
        assert found.scores.tolist() == before.scores.tolist() and "'St. Mary'" in found.title
    assert len(saved_references(bundle)) == 2
    # A name that is free again can be given to another calibration, whose films then have it.
    save_reference(bundle, "ward 7", scale, logits[:30], features[:30].tolist())
    (found,) = saved_references(bundle, "ward 7")
    assert len(found.scores) == 30
    with pytest.raises(BundleError, match="already"):
        save_pair(bundle, bundle.points["rule_out"], bundle.points["rule_in"], "ward 7")
        rename_calibration(bundle, "ward 7", "St. Mary")
    assert len(saved_references(bundle, "St. Mary")[0].scores) == 40


def test_a_films_numbers_are_those_that_packaging_computed(small_models):
    bundle = load_bundle("small", small_models)
    table = bundle.predictions()
    ids = table.loc[table["split"] == "val", "image_id"]
    folder = small_models.parent / "data" / "images"
    reader = Predictor(bundle)
    for image_id, kept in zip(ids, bundle.monitored_features, strict=True):
        finding = reader.predict(read_radiograph(next(folder.glob(f"*/{image_id}.jpg"))))
        assert finding.monitored == pytest.approx(kept.tolist(), abs=0.02)
        assert finding.monitored[0] == finding.unfamiliarity and len(finding.monitored) == len(FEATURES)
