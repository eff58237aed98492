"""Operating points that were saved to a bundle: pairs whole, names once."""

from __future__ import annotations

import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.bundle.saved_points import offered, save_pair, save_single
from fracture_core.bundle.validation import BundleError


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
            save_pair(bundle, out, within, name)
    assert len(bundle.chosen_points()) == 3
