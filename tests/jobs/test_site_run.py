"""A run on FracAtlas and a site's films: both comparisons, resumed as if nothing had been, and who has seen what."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from fracture_core.bundle.loading import load_bundle
from fracture_core.cli.common import sources_of
from fracture_core.data.combined.dataset import is_site
from fracture_core.data.combined.sources import Sources
from fracture_core.data.fracatlas import DatasetError
from fracture_core.evaluation.bundle_comparison import scores_file
from fracture_core.evaluation.part_comparison import comparison_text, forgetting_text
from fracture_core.jobs.comparison import compare_run
from fracture_core.jobs.control import Job, StatusWriter
from fracture_core.jobs.preparation import JobError, check, prepare, prepare_resumption
from fracture_core.jobs.promotion import part_objections
from fracture_core.jobs.worker import run_job
from fracture_core.metrics.curves import roc_auc
from fracture_core.reporting.training_text import copies_in_words, dataset_in_words
from fracture_core.training.progress import TrainingError, TrainingStoppedError
from fracture_core.training.run_folder import RunFolder
from tests.support.site import site_folder
from tests.support.training import SMALL, miniature, tiny_network

RECIPE = SMALL.replace(name="site", epochs=2, views=1, fast_path=True, leak_free=True)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Runs, models and caches of one test, FracAtlas in small and a site's films."""
    monkeypatch.setenv("FRACTURE_MODELS_DIR", str(tmp_path / "models"))
    miniature(tmp_path / "atlas")
    monkeypatch.setenv("FRACATLAS_DIR", str(tmp_path / "atlas"))
    site_folder(tmp_path / "site")
    (tmp_path / "models").mkdir()
    with tiny_network(tmp_path):
        yield tmp_path


def started(here, **changes):
    sources = Sources(None, str(here / "site"), changes.pop("weight", 3.0))
    recipe = RECIPE.replace(**changes)
    check(recipe, sources)
    return prepare(recipe, sources, recipe.name)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_on_both_is_held_against_the_model_in_use_on_both_test_parts(here, capsys):
    first = prepare(RECIPE.replace(name="before"), None, "before")
    before = run_job(first)
    (here / "models" / "current.json").write_text('{"bundle": "before"}')
    run = started(here)
    bundle = run_job(run)

    folder = RunFolder(run)
    split, record = folder.split(), folder.record()
    ours, theirs = record["sources"]
    assert (ours["weight"], theirs["weight"], theirs["name"]) == (1.0, 3.0, "films")
    assert bundle.manifest["provenance"]["sources"] == record["sources"]
    assert record["dataset"] == "FracAtlas and films"

    parts = compare_run(bundle, before, run)
    assert [one.part for one in parts] == ["FracAtlas", "films"]
    table = bundle.predictions()
    for one, of_site in zip(parts, (False, True), strict=True):
        test = table[(table["split"] == "test") & (table["image_id"].map(is_site) == of_site)]
        assert sorted(one.comparison.test.image_ids) == sorted(test["image_id"])
        assert sorted(test["image_id"]) == sorted(i for i in split.test if is_site(i) == of_site)
        assert one.comparison.auc.first == pytest.approx(roc_auc(test["label"], test["logit"]))
        assert not one.comparison.leakage.unfair
    # FracAtlas's test images keep the scores that the model in use was published with; the site's were read now.
    published = before.predictions().set_index("image_id")["probability"]
    assert (published[parts[0].comparison.test.image_ids].to_numpy() == parts[0].comparison.test.second).all()
    assert all(is_site(line.split(",")[0]) for line in scores_file(run, before).read_text().splitlines()[1:])

    assert record["comparison"] == [one.to_json() for one in parts] == bundle.manifest["provenance"]["comparison"]
    said = comparison_text(json.loads(json.dumps(record["comparison"])))
    assert f"On {ours['test']} test images of FracAtlas" in said and f"On {theirs['test']} test images of films" in said
    assert "Too few test images to tell which is better" in said and forgetting_text(parts)
    assert all("test images were compared" in one for one in part_objections(parts))
    for line in (
        "Against the model in use at the time",
        f"| films | {theirs['test']} |",
        "counts as 3 of FracAtlas in training",
    ):
        assert line in bundle.card
    assert not list((here / "models").glob(".making*")) and load_bundle("site", here / "models").sha256 == bundle.sha256

    # Killed before it could say so and carried out again, it finds everything done, and changes nothing.
    StatusWriter(run).write("comparing")
    assert run_job(run).sha256 == bundle.sha256
    assert RunFolder(run).record()["comparison"] == record["comparison"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_resumed_and_repeated_it_gives_the_same_weights(here):
    run, again = started(here), started(here, name="again")
    steps = 0

    def stop_after_a_few(event):
        nonlocal steps
        steps += event.stage == "training"
        if steps == 6:
            (run / "wish").write_text("stop")

    with pytest.raises(TrainingStoppedError):
        run_job(run, listener=stop_after_a_few)
    assert not RunFolder(run).finished
    with pytest.raises(JobError, match="counts 3 times"):
        prepare_resumption(run, RunFolder(run).recipe(), Sources(None, None, 5.0))
    prepare_resumption(run, RunFolder(run).recipe())
    assert Job.read(run).sources == Sources(None, str(here / "site"), 3.0)
    run_job(run)
    run_job(again)
    first, second = (RunFolder(one).record() for one in (run, again))
    assert first["weights_sha256"] == second["weights_sha256"] and first["sources"] == second["sources"]
    other = started(here, name="other", weight=1.0)
    run_job(other)
    assert RunFolder(other).record()["weights_sha256"] != first["weights_sha256"]  # the weight of a film matters


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_test_films_that_a_predecessor_has_seen_are_left_out_and_said(here):
    """The model in use was trained on the site's films alone, under other names and with another split."""
    shutil.copytree(here / "site", here / "earlier")
    (here / "earlier" / "films").rename(here / "earlier" / "pictures")
    _, *lines = (here / "earlier" / "films.csv").read_text().replace("films/", "pictures/").splitlines()
    parts = ("train", "train", "val", "test")
    lines = [f"{line},{parts[int(line.rpartition('p')[2]) // 2 % 4]}" for line in lines]
    (here / "earlier" / "films.csv").write_text("\n".join(["image,label,patient,split", *lines]) + "\n")
    own = run_job(prepare(RECIPE.replace(name="own"), str(here / "earlier"), "own"))
    (here / "models" / "current.json").write_text('{"bundle": "own"}')
    run = started(here)
    bundle = run_job(run)
    fracatlas, site = compare_run(bundle, own, run)
    assert len(fracatlas.comparison.test.labels) == bundle.manifest["provenance"]["sources"][0]["test"]
    tested = set(own.predictions().loc[lambda t: t["split"] == "test", "film"])
    ours = bundle.predictions().set_index("image_id")["film"]
    mine = {i for i in RunFolder(run).split().test if is_site(i)}
    unseen = {i for i in mine if ours[i] in tested}
    assert len(unseen) < len(mine)
    if site.comparison is None:  # what is left may be of one class, or nothing
        assert "one class" in site.reason or "has seen all" in site.reason or "same radiographs" in site.reason
    else:
        assert set(site.comparison.test.image_ids) == unseen
        seen = f"on {len(mine) - len(unseen)} of the {len(mine)} test films"
        assert any(seen in said for said in site.comparison.leakage.remarks)

    # Without the record of what it has seen nothing can be ruled out.
    forgetful = {k: v for k, v in own.manifest["provenance"].items() if k != "films_seen"}
    unknown = replace(own, manifest={**own.manifest, "provenance": forgetful})
    fracatlas, site = compare_run(bundle, unknown, run)
    assert any("its record does not say on which films" in said for said in site.comparison.leakage.unfair)
    assert any("biased" in said for said in part_objections([fracatlas, site]))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_images_of_fracatlas_in_a_folder_of_ones_own_are_left_out_and_said(here, monkeypatch):
    """The model in use was trained on FracAtlas; half of the user's own films are copies of its images."""
    before = run_job(prepare(RECIPE.replace(name="before"), None, "before"))
    (here / "models" / "current.json").write_text('{"bundle": "before"}')
    originals = {f"{path.stem[::-1]}.jpg": path for path in sorted((here / "atlas" / "images").rglob("*.jpg"))}
    site_folder(here / "mixed", copies=originals, patients=False)
    recipe = RECIPE.replace(name="own", epochs=1, start="bundle:before")
    run = run_job_of(recipe, here / "mixed")
    bundle = load_bundle("own", here / "models")
    (part,) = compare_run(bundle, before, run)
    tested = set(before.predictions().loc[lambda t: t["split"] == "test", "image_id"])
    mine = RunFolder(run).split().test
    seen = {i for i in mine if i.endswith(".jpg") and Path(i).stem[::-1] not in tested}
    assert seen and set(part.comparison.test.image_ids) == set(mine) - seen
    said = f"before was trained or validated on {len(seen)} of the {len(mine)} test films"
    assert any(said in remark for remark in part.comparison.leakage.remarks)
    copied = sum(i.endswith(".jpg") for i in mine)
    assert f"{copied} of the {len(mine)} test images are images of FracAtlas" in bundle.card
    assert "This model began with bundle:before" in bundle.card

    # Where FracAtlas is not at hand nobody knows, and a second folder of the same names is not the same films.
    monkeypatch.setenv("FRACATLAS_DIR", str(here / "nowhere"))
    (here / "models" / "current.json").write_text('{"bundle": "own"}')
    shutil.copytree(here / "mixed", here / "elsewhere" / "mixed")
    for file in (here / "elsewhere" / "mixed" / "films").iterdir():
        cv2.imwrite(str(file), cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)[:, ::-1])
    run = run_job_of(recipe.replace(name="there", start="none"), here / "elsewhere" / "mixed")
    there = load_bundle("there", here / "models")
    assert "fracatlas_copies" not in there.manifest["provenance"] and "looked up" not in there.card
    (part,) = compare_run(there, bundle, run)
    assert len(part.comparison.test.labels) == len(RunFolder(run).split().test)
    assert any("was not looked up" in said for said in part.comparison.leakage.remarks)


def run_job_of(recipe, folder):
    run = prepare(recipe, str(folder), recipe.name)
    run_job(run)
    return run


@pytest.mark.slow
def test_a_film_that_was_deleted_meanwhile_is_a_sentence(here):
    run = started(here)

    def stop_at_once(event):
        if event.stage == "training":
            (run / "wish").write_text("stop")

    with pytest.raises(TrainingStoppedError):
        run_job(run, listener=stop_at_once)
    lines = (here / "site" / "films.csv").read_text().splitlines()
    (here / "site" / "films.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(TrainingError, match=r"1 of the images .* no longer in FracAtlas and films: start a new run"):
        run_job(run)


def test_the_words_before_the_start_count_both(here):
    dataset, split = check(RECIPE, Sources(None, str(here / "site")))
    said = dataset_in_words(dataset, split)
    assert "left out" in copies_in_words(dataset, True) and "films" in copies_in_words(dataset, True)
    assert "60 radiographs of FracAtlas" in said and "left out" not in said
    assert "40 of films" in said and "counts as 1 of FracAtlas" in said


def test_a_weight_without_a_site_is_refused():
    class Given:
        dataset, site, site_weight = None, None, 2.0

    with pytest.raises(DatasetError, match="--site"):
        sources_of(Given())
