"""Pre-training in PyTorch: it learns, hears its teacher, and a killed run ends as an uninterrupted one."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pre-training needs PyTorch: pip install -r requirements-pretrain.txt")

from fracture_core.describe import describe  # noqa: E402
from fracture_core.model import CELL, build_model  # noqa: E402
from fracture_core.pictures import decode  # noqa: E402
from fracture_core.pretrain import Plan, PretrainingError, match, pretrain  # noqa: E402
from fracture_core.recipe import Augmentation, Recipe  # noqa: E402
from fracture_core.split import reference_split  # noqa: E402
from fracture_core.start import start_from  # noqa: E402
from fracture_core.torch_training import Pretraining, Schedule, batches  # noqa: E402
from fracture_core.weights import load_weights, weights_of  # noqa: E402
from tests.small import small_dataset  # noqa: E402

torch.set_num_threads(1)  # the order of sums, and so the last bit, must not depend on the machine

RECIPE = Recipe(
    name="tiny",
    image_size=64,
    localiser=8,
    start="none",
    batch_size=8,
    augmentation=Augmentation(rotation=10, horizontal_flip=True, noise=4),
)
SCHEDULE = Schedule(steps=6, warmup=2, checkpoint_every=1, validate_every=3, averaging=0.5)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    dataset = small_dataset(tmp_path_factory.mktemp("data"))
    ids = list(dataset.table.index)
    pictures = decode({i: dataset.path(i) for i in ids}, 96)
    boxes = {i: pictures.placement(i).boxes_in_square(dataset.boxes(i)) for i in ids}
    labels = {i: int(dataset.table.at[i, "label"]) for i in ids}
    squares = decode({i: dataset.path(i) for i in ids[:12]}, 64).squares
    return dataset, pictures, boxes, labels, (squares, np.array([labels[i] for i in ids[:12]]))


@pytest.fixture(scope="module")
def network():
    model = build_model(RECIPE)
    return describe(model), weights_of(model)


def teacher():
    model = build_model(RECIPE.replace(seed=7))
    return (describe(model), weights_of(model)), match("densenet121", "densenet121", model, model)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("taught", [False, True])
def test_a_killed_run_ends_as_an_uninterrupted_one(tmp_path, material, network, taught):
    _, pictures, boxes, labels, val = material
    extra = teacher() if taught else (None, ())
    whole = Pretraining(tmp_path / "whole", RECIPE, SCHEDULE, *network, *extra).run(pictures, boxes, labels, val)

    run = Pretraining(tmp_path / "killed", RECIPE, SCHEDULE, *network, *extra)
    step = run._train_step

    def killed_at_the_fourth(batch):
        if run.step == 3:
            raise KilledError
        return step(batch)

    run._train_step = killed_at_the_fourth
    with pytest.raises(KilledError):
        run.run(pictures, boxes, labels, val)
    again = Pretraining(tmp_path / "killed", RECIPE, SCHEDULE, *network, *extra).run(pictures, boxes, labels, val)
    for key, array in whole.items():
        np.testing.assert_allclose(again[key], array, rtol=0, atol=1e-6, err_msg=key)


def test_a_batch_depends_on_seed_and_step_alone(material):
    _, pictures, boxes, labels, _ = material
    straight = list(batches(pictures, boxes, labels, RECIPE, SCHEDULE, 0))
    later = list(batches(pictures, boxes, labels, RECIPE, SCHEDULE, 4))
    assert torch.equal(straight[4].pictures, later[0].pictures)
    assert torch.equal(straight[5].cells, later[1].cells)
    assert straight[0].cells.shape == (8, 64 // CELL, 64 // CELL)
    assert straight[0].labels.sum() == round(8 * SCHEDULE.positives)


def test_a_plan_runs_from_its_stages_to_weights_that_training_takes(tmp_path, material):
    dataset, *_ = material
    stages = [{"name": "one", "image_size": 64, "teacher": False, "schedule": {"steps": 2, "warmup": 1}}]
    stages += [{"name": "two", "image_size": 96, "teacher": False, "schedule": {"steps": 1, "warmup": 1}}]
    plan = Plan.from_json({"recipe": RECIPE.to_json(), "stages": stages})
    split = reference_split(list(dataset.table.index), dataset.table["csv_label"].to_numpy())
    heard = []
    folder = pretrain(plan, dataset, split, tmp_path / "run", lambda m: start_from(m, RECIPE), report=heard.append)
    record = json.loads((folder / "run.json").read_text())
    assert record["finished"] and record["split"] == split.digest
    assert any("val_auc" in entry for entry in heard)
    model = build_model(RECIPE)
    start = start_from(model, RECIPE.replace(start=str(folder / "weights.safetensors")))
    assert not start.left
    stored = load_weights(folder / "weights.safetensors")
    assert np.allclose(weights_of(model)["cells/bias"], stored["cells/bias"])


@pytest.mark.parametrize("data", [None, [], {}, {"stages": []}, {"recipe": {"name": "x"}, "stages": [{"name": "a"}]}])
def test_what_is_no_plan_is_refused(data):
    with pytest.raises(PretrainingError):
        Plan.from_json(data)


def test_the_projects_own_plan_can_be_read():
    assert [stage.name for stage in Plan.load("pretrain").stages] == ["taught-224", "boxes-320"]
    with pytest.raises(PretrainingError):
        Plan.load("nothing-of-the-kind")
