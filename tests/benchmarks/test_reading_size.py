"""The figures by which a reading size is chosen are the ones that the bundle reports of itself."""

from __future__ import annotations

import argparse
import re

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.reading_size import figures, measure, sizes
from fracture_core.bundle.loading import load_bundle
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.inference.engine import Engine
from fracture_core.inference.evidence_layer import evidence_head, with_evidence
from fracture_core.inference.scorer import Scorer, scoring_engines


def test_several_sizes_are_read_with_the_largest_first():
    assert sizes("416") == (416,)
    assert sizes("320+384") == sizes("384+320+384") == (384, 320)


@pytest.mark.parametrize("text", ["320+large", "320+350", "0", "-32"])
def test_a_size_that_no_network_reads_is_refused_by_the_command_line(text):
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--sizes", type=sizes)
    with pytest.raises(argparse.ArgumentError, match=re.escape(text)):
        parser.parse_args([f"--sizes={text}"])


def test_figures_agree_with_scikit_learn_and_with_counting():
    rng = np.random.default_rng(3)
    truth = np.repeat([0, 1], [200, 100])
    logits = rng.normal(size=300) + 1.5 * truth
    area, precision, specificity, indeterminate = map(float, figures(truth, logits).split())
    fractured, sound = np.sort(logits[truth == 1]), np.sort(logits[truth == 0])
    assert area == pytest.approx(roc_auc_score(truth, logits), abs=5e-4)
    assert precision == pytest.approx(average_precision_score(truth, logits), abs=5e-4)
    # The eleventh lowest fracture is flagged, and so are 90 of 100; the 190th lowest sound one is not likely fractured.
    assert specificity == pytest.approx(np.mean(sound < fractured[10]), abs=5e-4)
    between = (logits >= fractured[5]) & (logits <= sound[189])
    assert indeterminate == pytest.approx(between.mean(), abs=5e-4)


def test_a_bundle_read_as_it_reads_itself_gives_its_own_predictions(small_models):
    bundle, dataset = load_bundle("small", root=small_models), FracAtlas(small_models.parent / "data")
    weights, recipe = bundle.weights(), bundle.recipe
    engine, smaller = scoring_engines(with_evidence(bundle.graph), recipe, lambda graph, _: Engine(graph, weights))
    table = bundle.predictions().query("split == 'val'")
    head = evidence_head(bundle.graph, weights)
    reading = measure(Scorer(engine, recipe, smaller), head, dataset, tuple(table["image_id"]))
    np.testing.assert_allclose(reading.logits, table["logit"], atol=1e-3)
    pointed = table["hit_grad-cam"].dropna()
    assert len(pointed) > 0 and (reading.hits, reading.boxed) == (pointed.sum(), len(pointed))
    assert reading.seconds > 0
