"""Examples give nothing away, and an image of the dataset is known again by its bytes, whatever it is called."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from fracture_core.bundle.loading import list_bundles, load_bundle
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Failure, Finding, load_predictor
from fracture_core.reporting.demo_cases import bundled_examples, examples, recognise
from fracture_core.reporting.finding_text import kind_of


@pytest.fixture(scope="module")
def dataset(small_models) -> FracAtlas:
    return FracAtlas(small_models.parent / "data")


@pytest.fixture(scope="module")
def bundle(small_models):
    return load_bundle("small", small_models)


def test_examples_are_test_images_half_of_them_fractured(bundle):
    test = bundle.predictions().query("split == 'test'").set_index("image_id")["label"]
    orders = {tuple(examples(bundle, 6, seed)) for seed in range(5)}
    for chosen in orders:
        assert len(set(chosen)) == 6
        assert test[list(chosen)].sum() == 3
    assert len(orders) > 1
    assert examples(bundle, 6, 1) == examples(bundle, 6, 1)


@pytest.mark.parametrize("name", ["{id}.jpg", "scan (2).jpeg", "IMG0000001.jpg"])
def test_an_image_is_known_by_its_bytes_under_any_name(dataset, bundle, name):
    splits = bundle.predictions().set_index("image_id")["split"]
    for image_id in dataset.table.index[:6]:
        data = dataset.path(image_id).read_bytes()
        truth = recognise(dataset, bundle, read_radiograph(data, name=name.format(id=image_id)))
        assert truth.image_id == image_id
        assert truth.fractured == bool(dataset.table.at[image_id, "label"])
        assert (truth.boxes == dataset.boxes(image_id)).all()
        assert (truth.seen_note == "") == (splits.get(image_id) == "test")


def test_another_file_is_not_taken_for_one_of_the_dataset(dataset, bundle):
    image_id = dataset.table.index[0]
    data = bytearray(dataset.path(image_id).read_bytes())
    data[-40] ^= 1  # as long, of the same name, and one bit apart
    changed = read_radiograph(bytes(data), name=f"{image_id}.jpg", accept_cut_short=True)
    assert recognise(dataset, bundle, changed) is None
    assert recognise(dataset, bundle, replace(changed, length=1)) is None


def test_of_files_alike_to_the_byte_the_one_of_that_name_is_meant(tmp_path, bundle):
    from tests.support.miniature import Entry, build, picture

    twins = [Entry(name, picture=picture(1)) for name in ("IMG0000001", "IMG0000002")]
    fractured = Entry("IMG0000003", ("Fractured",), 1, boxes=((9.0, 9.0, 9.0, 9.0),))
    dataset = FracAtlas(build(tmp_path, [*twins, fractured]))
    for entry in twins:
        radiograph = read_radiograph(dataset.path(entry.image_id))
        assert recognise(dataset, bundle, radiograph).image_id == entry.image_id


def test_the_radiographs_that_travel_along_are_whole_attributed_and_unseen_by_the_shipped_models():
    folder = Path(__file__).parents[2] / "pages" / "examples"
    listed = bundled_examples(folder)
    assert len(listed) == 8
    assert {path.name for path in folder.glob("*.jpg")} == {example.path.name for example in listed}
    assert "CC BY 4.0" in (folder / "ATTRIBUTION.md").read_text("utf-8")
    for example in listed:
        assert hashlib.sha256(example.path.read_bytes()).hexdigest() == example.sha256
        assert bool(len(example.boxes)) == example.fractured
    for name in list_bundles():
        splits = load_bundle(name).predictions().set_index("image_id")["split"]
        assert set(splits[[example.image_id for example in listed]]) == {"test"}


def test_among_them_is_one_of_each_answer_and_one_that_is_refused():
    listed = bundled_examples(Path(__file__).parents[2] / "pages" / "examples")
    reader = load_predictor()
    results = list(reader.predict_many([example.path for example in listed]))
    findings = [result for result in results if isinstance(result, Finding)]
    assert {kind_of(finding.triage) for finding in findings if finding.assessed} == {
        "likely",
        "indeterminate",
        "unlikely",
    }
    refused = [result for result in results if isinstance(result, Failure)]
    assert [failure.name for failure in refused] == ["IMG0004169.jpg"] and "truncated" in refused[0].error


def test_one_of_them_is_recognised_without_the_dataset(bundle):
    listed = bundled_examples(Path(__file__).parents[2] / "pages" / "examples")
    label = recognise(None, bundle, read_radiograph(listed[0].path), listed)
    assert (label.image_id, label.fractured) == (listed[0].image_id, listed[0].fractured)
    assert recognise(None, bundle, replace(read_radiograph(listed[0].path), sha256="0" * 64), listed) is None
