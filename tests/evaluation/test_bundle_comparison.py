"""Two bundles on the radiographs that both scored."""

from __future__ import annotations

import shutil

from fracture_core.bundle.loading import load_bundle
from fracture_core.evaluation.bundle_comparison import compare_bundles, matched_table


def test_a_bundle_against_itself_differs_in_nothing(models):
    shutil.copytree(models / "small", models / "new")
    found = compare_bundles(load_bundle("new", models), load_bundle("small", models))
    assert found.auc.difference.value == 0 and not found.differ.rows
    assert found.verdict.startswith("Neither is shown to be better") and not found.leakage.unfair
    table = matched_table(found)
    assert table["Model"].tolist() == ["new", "small"]
    counts = table[["True positives", "False negatives", "False positives", "True negatives"]]
    assert (counts.iloc[0] == counts.iloc[1]).all() and counts.iloc[0].sum() == len(found.test.labels)
    wrong = counts.iloc[0]["False negatives"] + counts.iloc[0]["False positives"]
    assert len(found.worst) == min(wrong, 12)
    threshold = found.matched.thresholds[0]
    odds = [p / (1 - p) for p in (threshold, *found.worst["new"])]
    ratios = [max(one / odds[0], odds[0] / one) for one in odds[1:]]
    assert ratios == sorted(ratios, reverse=True)
    alarms = found.worst["error"] == "false positive"
    assert ((found.worst["new"] >= threshold) == alarms).all()
