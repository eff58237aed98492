"""Every figure of the checklist is the model's own, computed again from its predictions by other programs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as sk

from fracture_core.bundle.loading import list_bundles, load_bundle
from fracture_core.evaluation.predictions import split_predictions
from fracture_core.metrics.formatting import figure
from fracture_core.paths import APP
from fracture_core.reporting.claim_checklist import NOT_REPORTED, claim_items

SHIPPED = APP / "models"
NAMES = list_bundles(SHIPPED)


@pytest.mark.parametrize("name", NAMES)
def test_each_figure_is_still_the_models(name):
    bundle = load_bundle(name, SHIPPED)
    splits = split_predictions(bundle)
    answers = {item.number: item.answer for item in claim_items(bundle, splits["val"], splits["test"])}
    assert list(answers) == list(range(1, 45))
    table = bundle.predictions()
    val, test = (table[table["split"] == split] for split in ("val", "test"))
    truth, scores = test["label"].to_numpy(), test["probability"].to_numpy()
    assert f"AUC {figure(sk.roc_auc_score(truth, scores))} (" in answers[32]
    assert f"average precision {figure(sk.average_precision_score(truth, scores))} (" in answers[37]
    threshold = bundle.points["single"].threshold
    # A subgroup has rates if it has ten radiographs of each class; hardware and several views divide the set in two.
    flags = test[["hand", "leg", "hip", "shoulder", "mixed", "frontal", "lateral", "oblique", "hardware", "multiscan"]]
    inside = [*(flags[name] == 1 for name in flags), flags["hardware"] == 0, flags["multiscan"] == 0]
    groups = [truth, *(truth[rows.to_numpy()] for rows in inside if rows.any())]
    rated = sum(min(np.bincount(group, minlength=2)) >= 10 for group in groups)
    (tn, fp), (fn, tp) = sk.confusion_matrix(truth, scores >= threshold)
    for word, k, n in (("sensitivity", tp, tp + fn), ("specificity", tn, tn + fp)):
        low, high = binomtest(int(k), int(n)).proportion_ci(method="wilson")
        assert f"{word} {k / n:.3f} ({low:.3f}\u00a0to\u00a0{high:.3f})" in answers[38]
    assert f"{threshold:.3f}" in answers[38]
    assert f"{rated} of {len(groups)} are large enough" in answers[30]
    assert f"{fn} fractures missed and {fp} false positives" in answers[39]
    assert f"{len(val)} for validation, {len(test)} for test" in answers[35]
    assert f"{int(np.sum(val['label']))} of {len(val)} in validation, {int(truth.sum())} of {len(test)}" in answers[36]
    recipe, provenance = bundle.recipe, bundle.manifest["provenance"]
    assert f"{recipe.image_size} px" in answers[22] and recipe.backbone in answers[22]
    assert f"{recipe.image_size} px" in answers[9] and f" {recipe.monitor} " in answers[26]
    assert f"{len(test)} test radiographs, {int(truth.sum())} with a fracture" in answers[21]
    assert provenance["start"]["source"] in answers[24] and provenance["versions"]["openvino"] in answers[23]
    assert answers[35].startswith(f"{provenance['trained_on']} images for training")
    elsewhere = provenance.get("elsewhere")
    if elsewhere:
        k, n = elsewhere["flagged"], elsewhere["fractured"]
        low, high = binomtest(k, n).proportion_ci(method="wilson")
        assert (
            f"{k} of {n} fractures flagged" in answers[33]
            and f"({k / n:.3f} ({low:.3f}\u00a0to\u00a0{high:.3f}))" in answers[33]
        )
        limbs = f"{elsewhere['limbs_not_assessed']} of {elsewhere['limbs']} limb radiographs called out of scope"
        assert limbs in answers[33]
    else:
        assert answers[33] == NOT_REPORTED
