"""Operating points that were saved to a bundle: pairs whole, names once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.saved_points import delete_saved, offered, save_pair, save_single
from fracture_core.bundle.validation import BundleError
from fracture_core.training import bundle_features


def test_a_pair_is_saved_whole_or_not_at_all(own_models):
    bundle = load_bundle("small", own_models)
    out, within = bundle.points["rule_out"], bundle.points["rule_in"]
    save_pair(bundle, out, within, " both ")
    save_single(bundle, out, "one")
    pairs = offered(bundle.chosen_points())
    assert [p.threshold for p in pairs["both"]] == [out.threshold, within.threshold]
    assert pairs["one"][0] == pairs["one"][1]
    for name in ("both", "one", "", "x" * 61, "a\nb", "x (rule-in)"):
        with pytest.raises(BundleError):
            save_pair(bundle, out, within, name, "another note")
    assert len(bundle.chosen_points()) == 3


def test_what_is_saved_twice_is_there_once(own_models):
    bundle = load_bundle("small", own_models)
    out, within = bundle.points["rule_out"], bundle.points["rule_in"]
    undefined = replace(bundle.points["single"], specificity=float("nan"))
    for _ in range(2):
        save_pair(bundle, out, within, "both", "a note")
        save_single(bundle, undefined, "one ")
    assert list(offered(bundle.chosen_points())) == ["both", "one"] and len(bundle.chosen_points()) == 3
    with pytest.raises(BundleError, match="already"):
        save_single(bundle, replace(undefined, threshold=0.123), "one")
    with pytest.raises(BundleError, match="already"):
        save_pair(bundle, out, within, "both", "another note")


def test_what_is_saved_while_a_comparison_is_recorded_stays(own_models, monkeypatch):
    bundle = load_bundle("small", own_models)
    save_single(bundle, bundle.points["single"], "before")

    def write_card_slowly(*arguments):
        """Another session saves one point and deletes another, while the card is being written."""
        save_single(bundle, bundle.points["single"], "night shift")
        delete_saved(bundle, "before")
        (bundle.folder / "site_calibrations.json").write_text("[]")
        write_card(*arguments)

    write_card = bundle_features.write_card
    monkeypatch.setattr(bundle_features, "write_card", write_card_slowly)
    recorded = bundle_features.record_comparison(bundle, [{"part": "x", "reason": "y"}])
    assert recorded.manifest["provenance"]["comparison"]
    assert [point.name for point in recorded.chosen_points()] == ["night shift"]
    assert (recorded.folder / "site_calibrations.json").is_file()


def test_nothing_is_saved_beside_a_model_that_took_its_place(own_models):
    stale = load_bundle("small", own_models)
    save_single(stale, stale.points["single"], "one")
    manifest = own_models / "small" / "bundle.json"
    shutil.copyfile(manifest, own_models / "before.json")
    data = json.loads(manifest.read_text())
    data["files"]["card.md"] = "0" * 64
    manifest.write_text(json.dumps(data))
    with pytest.raises(BundleError, match="was replaced meanwhile"):
        save_single(stale, stale.points["single"], "two")
    with pytest.raises(BundleError, match="was replaced meanwhile"):
        delete_saved(stale, "one")
    shutil.move(own_models / "before.json", manifest)
    assert [point.name for point in stale.chosen_points()] == ["one"]
