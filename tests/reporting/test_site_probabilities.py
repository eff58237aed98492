"""Where a site's points speak, card, report, CSV, JSON, worklist and audit line show its probability and say whose."""

from __future__ import annotations

import argparse
import csv
import io
import json

import numpy as np
import pytest
from pypdf import PdfReader
from scipy.special import expit

from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.saved_points import usable_points
from fracture_core.cli.predict import add_predict_command
from fracture_core.evaluation.saved_site_calibrations import save_site_calibration
from fracture_core.evaluation.site_calibration import calibrate_site
from fracture_core.inference.predictor import Predictor
from fracture_core.metrics.operating_points import answer
from fracture_core.reporting.film_session import FilmSession
from fracture_core.reporting.finding_text import (
    explain_finding,
    probability_in_words,
    sites_in_words,
    thresholds_in_words,
)
from fracture_core.reporting.report import csv_line, report_pdf
from fracture_core.reporting.worklist import to_csv, worklist

NAME = "St Mary's <7>"


@pytest.fixture
def site(own_models):
    """The small bundle, calibrated to a simulated site and saved; its predictor and the site's two points."""
    rng = np.random.default_rng(2)
    labels = (rng.random(900) < 0.25).astype(int)
    logits = rng.normal(labels * 4.0, 1.0) - 3
    bundle = load_bundle("small", own_models)
    made = calibrate_site(bundle, [str(k) for k in range(900)], labels, logits, [""] * 900, name=NAME, alpha=0.05)
    save_site_calibration(bundle, made)
    bundle = load_bundle("small", own_models)
    return Predictor(bundle), usable_points(bundle)[NAME], made


def films(small_models) -> list:
    return sorted((small_models.parent / "data" / "images").glob("*/*.jpg"))[:6]


def test_every_place_shows_the_sites_probability(site, small_models):
    predictor, points, made = site
    session = FilmSession()
    keys = [session.add(path.name, path.read_bytes()) for path in films(small_models)]
    own = [
        session.result(key, predictor, *(predictor.bundle.points[n] for n in ("rule_out", "rule_in"))) for key in keys
    ]
    moved = [session.result(key, predictor, *points) for key in keys]
    expected = [float(expit(one.logit / made.scale.temperature + made.scale.offset)) for one in own]
    assert [one.probability for one in moved] == pytest.approx(expected)
    assert [one.probability for one in own] != pytest.approx(expected)
    entries = session.entries(predictor.bundle.version, points[1].scale)
    assert [entries[key].probability for key in keys] == pytest.approx(expected)
    rows = list(csv.DictReader(io.StringIO(to_csv(worklist(list(entries.values()), *points)))))
    for row in rows:
        finding = next(one for one in moved if one.radiograph.name == row["file"])
        assert "St Mary's" in row["points"] and made.digest[:12] in row["points"]
        if finding.assessed:
            assert float(row["probability"]) == pytest.approx(finding.probability, abs=1e-6)
            assert row["finding"] == finding.triage
    line = entries[keys[0]].audit_line(*points, "AB")
    assert "St Mary's" in line.model
    assessed = next(one for one in moved if one.assessed)
    (row,) = csv.DictReader(io.StringIO(csv_line(assessed)))
    assert float(row["probability"]) == pytest.approx(assessed.probability, abs=1e-6)
    words = explain_finding(assessed, predictor.bundle)
    assert "900 labelled films" in words.detail and NAME in probability_in_words(assessed)
    text = " ".join(PdfReader(io.BytesIO(report_pdf(assessed, predictor.bundle))).pages[0].extract_text().split())
    assert f"calibrated to {NAME}" in text and "900 labelled films" in text and made.digest[:12] in text
    assert sites_in_words(predictor.bundle) == [words.detail]


def test_answers_are_the_same_on_both_scales(site):
    predictor, points, made = site
    table = predictor.bundle.predictions()
    for logit, probability in zip(table["logit"], table["probability"], strict=True):
        moved = float(points[1].scale.probability(logit))
        before = answer(probability, made.points[0].threshold, made.points[1].threshold)
        assert answer(moved, points[0].threshold, points[1].threshold) == before


def test_the_command_line_says_the_same(site, small_models, own_models, monkeypatch, capsys):
    _, points, _ = site
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(own_models))
    parser = argparse.ArgumentParser()
    add_predict_command(parser.add_subparsers())
    paths = [str(path) for path in films(small_models)]
    asked = parser.parse_args(["predict", *paths, "--bundle", "small", "--points", NAME, "--json"])
    asked.run(asked)
    for entry, path in zip(json.loads(capsys.readouterr().out), paths, strict=True):
        assert entry["file"] == path
        if entry["assessed"]:
            assert entry["probability"] == pytest.approx(float(points[1].scale.probability(entry["logit"])))
            assert "Calibrated to St Mary's" in entry["points"]


def test_what_cannot_be_promised_is_never_said(own_models):
    rng = np.random.default_rng(3)
    labels = (rng.random(120) < 0.3).astype(int)
    bundle = load_bundle("small", own_models)
    made = calibrate_site(
        bundle, [str(k) for k in range(120)], labels, rng.normal(labels, 1.0), [""] * 120, name="few", alpha=0.001
    )
    assert not made.unlikely.holds
    rule_out, rule_in = (point.on_site_scale(bundle.temperature) for point in made.points)
    assert "ever “unlikely”" in thresholds_in_words(rule_out, rule_in)
    assert all(answer(p, rule_out.threshold, rule_in.threshold) != "fracture unlikely" for p in (0.0, 1e-9, 0.4))
