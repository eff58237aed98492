"""Examples give nothing away, and an image of the dataset is known again by its bytes, whatever it is called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fracture_core.bundle.bundle import load_bundle
from fracture_core.data.fracatlas import FracAtlas
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.reporting.demo_cases import examples, recognise


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
        assert ("Test image" in truth.summary_text()) == (splits.get(image_id) == "test")


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
