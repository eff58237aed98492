"""The summary sets what was measured elsewhere beside the model's own test set."""

from __future__ import annotations

import pytest
from sklearn import metrics as sk

from fracture_core.bundle.loading import list_bundles, load_bundle
from fracture_core.evaluation.predictions import split_predictions
from fracture_core.inference.predictor import Predictor
from fracture_core.paths import APP
from fracture_core.reporting.model_summary import external_table, headline

SHIPPED = APP / "models"


@pytest.mark.parametrize("name", list_bundles(SHIPPED))
def test_other_sources_stand_beside_the_own_test_set(name):
    bundle = load_bundle(name, SHIPPED)
    test = split_predictions(bundle)["test"]
    rows = external_table(bundle, test).set_index("Measure")
    rated = bundle.predictions().query("split == 'test'")
    flagged = rated["probability"] >= bundle.points["single"].threshold
    (_, _), (fn, tp) = sk.confusion_matrix(rated["label"], flagged)
    measured = bundle.manifest["provenance"]["elsewhere"]
    row = rows.loc["Fractures flagged at the single threshold"]
    assert row["Own test set"].startswith(f"{tp} of {tp + fn}: {tp / (tp + fn):.3f} (")
    assert row["Other sources"].startswith(f"{measured['flagged']} of {measured['fractured']}: ")
    hits = rated[f"hit_{Predictor(bundle).default_method}"].dropna()
    row = rows.loc["Hottest point of the heatmap in a box"]
    assert row["Own test set"].startswith(f"{int(hits.sum())} of {len(hits)}: ")
    assert row["Other sources"].startswith(f"{measured['hits']} of {measured['boxed']}: ")


def test_where_nothing_was_measured_elsewhere_there_is_no_row(small_models):
    bundle = load_bundle("small", small_models)
    test = split_predictions(bundle)["test"]
    assert external_table(bundle, test).empty
    assert set(headline(test, bundle.points["single"].threshold)) == {"AUC", "Sensitivity", "Specificity"}
