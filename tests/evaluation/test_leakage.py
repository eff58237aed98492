"""Why a bundle may have seen the test images that it is judged on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fracture_core.bundle.loading import list_bundles, load_bundle
from fracture_core.evaluation.leakage import LeakageReport, check_leakage, check_site_leakage
from tests.support.runs import altered


def test_test_images_that_were_trained_on_are_said_in_red(models):
    bundle = load_bundle("small", models)
    table = bundle.predictions()
    tested = table.loc[table["split"] == "test", "image_id"].tolist()
    said = check_leakage(bundle, bundle, tested, [*tested[:3], "another"]).unfair
    assert len(said) == 1 and f"trained on 3 of the {len(tested)} test images" in said[0]
    assert check_leakage(bundle, bundle, tested, ["another"]).unfair == ()


@pytest.mark.parametrize(
    ("start", "split", "said"),
    [
        ({"source": "imagenet"}, "a", None),
        ({"source": "bundle:small", "split": "a"}, "a", None),
        ({"source": "bundle:gone", "split": "a"}, "a", None),
        ({"source": "bundle:gone", "split": "b"}, "a", "which is not here and was trained on another split"),
        ({"source": "/x/mine.safetensors"}, "a", "the file mine.safetensors; whether that saw test images"),
    ],
)
def test_starting_weights_that_may_have_seen_the_test_images(models, start, split, said):
    bundle = load_bundle("small", models)
    table = bundle.predictions()
    tested = table.loc[table["split"] == "test", "image_id"].tolist()
    found = check_leakage(altered(bundle, start=start, split=split), bundle, tested).unfair
    assert [said in one for one in found] == ([True] if said else [])


def test_a_start_whose_name_is_another_bundles_by_now_is_judged_by_what_was_noted_of_it(models):
    bundle = load_bundle("small", models)
    table = bundle.predictions()
    tested = table.loc[table["split"] == "test", "image_id"].tolist()
    start = {"source": "bundle:small", "sha256": "0" * 64, "split": "old"}
    (said,) = check_leakage(altered(bundle, start=start, split="new"), bundle, tested).unfair
    assert "which is not here and was trained on another split" in said
    tested_alike = {**start, "test": bundle.test_digest}
    assert check_leakage(altered(bundle, start=tested_alike, split="new"), bundle, tested).unfair == ()
    assert check_leakage(altered(bundle, start=start, split="old"), bundle, tested).unfair == ()


@pytest.mark.parametrize("new", list_bundles())
@pytest.mark.parametrize("current", list_bundles())
def test_nothing_speaks_against_comparing_the_shipped_bundles(new, current):
    new, current = load_bundle(new), load_bundle(current)
    table = new.predictions()
    assert check_leakage(new, current, table.loc[table["split"] == "test", "image_id"].tolist()).unfair == ()


def test_a_starting_bundle_of_another_split_is_counted_against_the_images_it_may_have_seen(models):
    bundle = load_bundle("small", models)
    table = bundle.predictions()
    validated = table.loc[table["split"] == "val", "image_id"].tolist()
    tested = table.loc[table["split"] == "test", "image_id"].tolist()
    new = altered(bundle, start={"source": "bundle:small", "split": "old"}, split="new")
    assert check_leakage(new, bundle, tested).unfair == ()  # it was tested on these itself
    (said,) = check_leakage(new, bundle, tested + validated).unfair
    assert f"may have seen {len(validated)} of these {len(tested) + len(validated)}" in said


def test_a_bundle_that_kept_the_copies_of_test_images_says_so(models):
    bundle = load_bundle("small", models)
    leaky = replace(bundle, recipe=bundle.recipe.replace(leak_free=False))
    (said,) = check_leakage(leaky, bundle, ["x"]).unfair
    assert said.startswith("small was trained without leaving out the copies of test images")


def test_remarks_of_a_pre_training_are_passed_on(models):
    bundle = load_bundle("small", models)
    before = {"split": "other", "remarks": ["it saw one image"]}
    start = {"source": "runs/pretrain/weights.safetensors"}
    found = check_leakage(altered(bundle, start=start, split="own", pretraining=before), bundle, ["x"])
    assert found.unfair == () and found.remarks == ("small: it saw one image.",)
    del before["remarks"]
    found = check_leakage(altered(bundle, start=start, split="own", pretraining=before), bundle, ["x"])
    assert "pre-trained on another split" in found.unfair[0]


def test_a_sites_test_films_are_unseen_by_what_only_fracatlas_trained(models):
    """The start of the start is gone; what was noted of it says whether it can have seen a site's films."""
    bundle = load_bundle("small", models)
    films = {"site/a.png": "0" * 12, "site/b.png": "1" * 12}
    gone = {"source": "bundle:gone", "sha256": "0" * 64, "split": "old"}
    for start, split, fair in (
        ({"source": "imagenet"}, "new", True),
        ({**gone, "split": "new"}, "new", True),
        ({**gone, "test": bundle.test_digest}, "new", True),
        (gone, "new", False),
    ):
        current = altered(bundle, start=start, split=split)
        report, seen = check_site_leakage(altered(bundle, start={"source": "none"}), current, films)
        assert seen == set() and (report.unfair == ()) == fair, start
    own = altered(bundle, start={"source": "none"}, dataset="films", films_seen="9" * 12 + " " + "1" * 12)
    report, seen = check_site_leakage(altered(bundle, start={"source": "none"}), own, films)
    assert seen == {"site/b.png"} and report.unfair == () and "1 of the 2 test films" in report.remarks[0]


def test_images_of_fracatlas_among_a_users_own_are_seen_by_what_was_trained_on_them(models):
    bundle = load_bundle("small", models)
    table = bundle.predictions()
    tested, validated = (table.loc[table["split"] == part, "image_id"].iloc[0] for part in ("test", "val"))
    films = {"a.png": "0" * 12, "b.png": "1" * 12, "c.png": "2" * 12, "d.png": "3" * 12}
    copies = {"0" * 12: [tested], "1" * 12: [validated], "2" * 12: [tested, "IMG9999999"]}
    current = altered(bundle, start={"source": "none"})
    own = {"dataset": "films", "films_seen": "", "start": {"source": "none"}}
    report, seen = check_site_leakage(altered(bundle, **own, fracatlas_copies=copies), current, films)
    assert seen == {"b.png", "c.png"} and report.unfair == ()
    assert "small was trained or validated on 2 of the 4 test films. They are left out here." in report.remarks
    # What the new one began with has seen them just so.
    begun = altered(bundle, **own | {"start": {"source": "bundle:small"}}, fracatlas_copies=copies)
    other = altered(bundle, **own, fracatlas_copies={})
    assert check_site_leakage(begun, other, films)[1] == {"b.png", "c.png"}
    # Nobody looked: nothing is left out, and that is said.
    report, seen = check_site_leakage(altered(bundle, **own), current, films)
    assert seen == set() and len(report.remarks) == 1
    assert "was not looked up" in report.remarks[0] and "small may have been trained on" in report.remarks[0]
    assert check_site_leakage(altered(bundle, **own), other, films)[0].remarks == ()


def test_a_model_in_use_that_learned_test_images_of_fracatlas_as_somebodys_own_is_said(models):
    bundle = load_bundle("small", models)
    table = bundle.predictions()
    tested = table.loc[table["split"] == "test", "image_id"].tolist()
    new = altered(bundle, start={"source": "none"})
    own = {"dataset": "films", "start": {"source": "none"}, "films_seen": "0" * 12 + " " + "1" * 12}
    copies = {"0" * 12: [tested[0]], "1" * 12: ["IMG9999999"], "2" * 12: [tested[1]]}
    report = check_leakage(new, altered(bundle, **own, fracatlas_copies=copies), tested)
    assert report.unfair == (f"small was trained or validated on 1 of these {len(tested)} test images.",)
    assert check_leakage(new, altered(bundle, **own, fracatlas_copies={}), tested) == LeakageReport(())
    (said,) = check_leakage(new, altered(bundle, **own), tested).remarks
    assert "was not looked up" in said
