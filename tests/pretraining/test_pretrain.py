"""Pre-training in PyTorch: it learns, hears its teacher, and a killed run ends as an uninterrupted one."""

from __future__ import annotations

import dataclasses
import json
from functools import partial

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pre-training needs PyTorch: pip install -r requirements-pretrain.txt")

from fracture_core.data.image_cache import load_image_cache  # noqa: E402
from fracture_core.data.image_pyramid import load_pyramids  # noqa: E402
from fracture_core.data.split import reference_split  # noqa: E402
from fracture_core.imaging.radiograph import read_radiograph  # noqa: E402
from fracture_core.inference.predictor import Predictor  # noqa: E402
from fracture_core.network.graph import GraphError  # noqa: E402
from fracture_core.network.keras_graph import graph_from_keras  # noqa: E402
from fracture_core.network.model import CELL, build_model  # noqa: E402
from fracture_core.network.weights import load_weights, weights_of  # noqa: E402
from fracture_core.paths import RECIPES  # noqa: E402
from fracture_core.pretraining.batches import StageSchedule, batches  # noqa: E402
from fracture_core.pretraining.loop import Pretraining  # noqa: E402
from fracture_core.pretraining.plan import Plan, PretrainingError, claim_folder, folder_lock  # noqa: E402
from fracture_core.pretraining.pretrain import check_answers, match, pretrain  # noqa: E402
from fracture_core.pretraining.teacher import Teacher  # noqa: E402
from fracture_core.pretraining.view_batches import view_batches  # noqa: E402
from fracture_core.recipe import Augmentation, Recipe  # noqa: E402
from fracture_core.training.initial_weights import start_from  # noqa: E402
from fracture_core.training.packaging import package  # noqa: E402
from tests.support.small import small_dataset  # noqa: E402

pytestmark = pytest.mark.slow

torch.set_num_threads(1)  # the order of sums, and so the last bit, must not depend on the machine

RECIPE = Recipe(
    name="tiny",
    image_size=64,
    localiser=8,
    start="none",
    batch_size=8,
    augmentation=Augmentation(rotation=10, horizontal_flip=True, noise=4),
)
SCHEDULE = StageSchedule(steps=6, warmup=2, checkpoint_every=1, validate_every=3, averaging=0.5)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    dataset = small_dataset(tmp_path_factory.mktemp("data"))
    ids = list(dataset.table.index)
    pictures = load_image_cache({i: dataset.path(i) for i in ids}, 96)
    boxes = {i: pictures.placement(i).boxes_in_square(dataset.boxes(i)) for i in ids}
    labels = {i: int(dataset.table.at[i, "label"]) for i in ids}
    squares = load_image_cache({i: dataset.path(i) for i in ids[:12]}, 64).squares
    return dataset, pictures, boxes, labels, (squares, np.array([labels[i] for i in ids[:12]]))


@pytest.fixture(scope="module")
def network():
    model = build_model(RECIPE)
    return graph_from_keras(model), weights_of(model)


def stream_of(material, schedule=SCHEDULE):
    _, pictures, boxes, labels, _ = material
    return partial(batches, pictures, boxes, labels, RECIPE, schedule)


def teacher():
    model = build_model(RECIPE.replace(seed=7))
    return (graph_from_keras(model), weights_of(model)), match("densenet121", "densenet121", model, model)


class KilledError(Exception):
    pass


@pytest.mark.parametrize(("taught", "optimiser"), [(False, "adamw"), (True, "adamw"), (True, "muon")])
def test_a_killed_run_ends_as_an_uninterrupted_one(tmp_path, material, network, taught, optimiser):
    *_, val = material
    stream = stream_of(material)
    extra = teacher() if taught else (None, ())
    schedule = dataclasses.replace(SCHEDULE, optimiser=optimiser)
    whole = Pretraining(tmp_path / "whole", RECIPE, schedule, *network, *extra).run(stream, val)

    run = Pretraining(tmp_path / "killed", RECIPE, schedule, *network, *extra)
    step = run._train_step

    def killed_at_the_fourth(batch):
        if run.step == 3:
            raise KilledError
        return step(batch)

    run._train_step = killed_at_the_fourth
    with pytest.raises(KilledError):
        run.run(stream, val)
    again = Pretraining(tmp_path / "killed", RECIPE, schedule, *network, *extra).run(stream, val)
    for key, array in whole.items():
        np.testing.assert_allclose(again[key], array, rtol=0, atol=1e-6, err_msg=key)


def test_a_batch_depends_on_seed_and_step_alone(material):
    _, pictures, boxes, labels, _ = material
    straight = list(batches(pictures, boxes, labels, RECIPE, SCHEDULE, 0))
    later = list(batches(pictures, boxes, labels, RECIPE, SCHEDULE, 4))
    assert torch.equal(straight[4].images, later[0].images)
    assert torch.equal(straight[5].cells, later[1].cells)
    assert straight[0].cells.shape == (8, 64 // CELL, 64 // CELL)
    assert straight[0].labels.sum() == round(8 * SCHEDULE.positives)


def test_a_blend_is_known_by_its_teacher_alone(tmp_path, material, network):
    _, pictures, boxes, labels, _ = material
    mixing = dataclasses.replace(SCHEDULE, mixing=0.6, logit_weight=1.0)
    plain = next(batches(pictures, boxes, labels, RECIPE, SCHEDULE, 0))
    mixed = next(batches(pictures, boxes, labels, RECIPE, mixing, 0))
    same = [torch.equal(a, b) for a, b in zip(plain.images, mixed.images, strict=True)]
    assert same == mixed.whole.tolist() and same[0] and not all(same)
    speaking = teacher()
    run = Pretraining(tmp_path, RECIPE, mixing, *network, *speaking)
    run._prepare(stream_of(material, mixing))
    before = run.average.export()
    wrong = dataclasses.replace(mixed, labels=torch.where(mixed.whole, mixed.labels, 1 - mixed.labels))
    wrong = dataclasses.replace(wrong, cells=torch.where(mixed.whole[:, None, None], mixed.cells, 1 - mixed.cells))
    told = run._train_step(wrong)
    again = Pretraining(tmp_path, RECIPE, mixing, *network, *speaking)
    again._prepare(stream_of(material, mixing))
    assert again._train_step(mixed) == told
    after = again.average.export()
    assert any(not np.array_equal(after[key], before[key]) for key in before)
    for key, array in run.average.export().items():
        np.testing.assert_allclose(after[key], array, rtol=0, atol=1e-6, err_msg=key)


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

    bundle = package(folder, "pretrained", dataset, root=tmp_path / "models")
    shipped = bundle.weights()
    np.testing.assert_allclose(shipped["cells/kernel"], stored["cells/kernel"], rtol=1e-3, atol=1e-6)
    assert bundle.history()["stage"].tolist() == [1, 2]
    assert len(bundle.predictions()) == len(split.val) + len(split.test)
    assert 0 < Predictor(bundle).predict(read_radiograph(dataset.path(split.test[0]))).probability < 1


def test_a_folder_is_for_one_plan(tmp_path, material):
    dataset, *_ = material

    def plan(steps: int = 1, seed: int = RECIPE.seed) -> Plan:
        stage = {"name": "one", "image_size": 64, "teacher": False, "schedule": {"steps": steps, "sizes": (64,)}}
        return Plan.from_json({"recipe": RECIPE.replace(seed=seed).to_json(), "stages": [stage]})

    split = reference_split(list(dataset.table.index), dataset.table["csv_label"].to_numpy())
    fresh = lambda plan: lambda model: start_from(model, plan.recipe)  # noqa: E731
    folder = pretrain(plan(), dataset, split, tmp_path / "run", fresh(plan()))
    weights = (folder / "weights.safetensors").read_bytes()
    assert pretrain(plan(), dataset, split, folder, fresh(plan())) == folder
    for other, differs in ((plan(steps=2), "stages"), (plan(seed=5), "recipe")):
        with pytest.raises(PretrainingError, match=rf"holds another run \(it differs in: {differs}\).*--run"):
            pretrain(other, dataset, split, folder, fresh(other))
    with pytest.raises(PretrainingError, match="differs in: split"):
        pretrain(plan(), dataset, dataclasses.replace(split, train=split.train[1:]), folder, fresh(plan()))
    own = RECIPE.replace(start=str(folder / "weights.safetensors"))
    with pytest.raises(PretrainingError, match="differs in: start"):
        pretrain(plan(), dataset, split, folder, lambda model: start_from(model, own))
    assert (folder / "weights.safetensors").read_bytes() == weights
    (folder / "plan.json").write_text("[")
    with pytest.raises(PretrainingError, match="cannot be read"):
        pretrain(plan(), dataset, split, folder, fresh(plan()))


def test_a_folder_of_a_training_is_left_alone(tmp_path):
    (tmp_path / "job.json").write_text("{}")
    plan = Plan.load("pretrain")
    with pytest.raises(PretrainingError, match="differs in: kind"):
        claim_folder(tmp_path, plan)
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


def test_a_folder_in_use_is_left_alone(tmp_path, material):
    dataset, *_ = material
    stage = {"name": "one", "image_size": 64, "teacher": False, "schedule": {"steps": 1, "sizes": (64,)}}
    plan = Plan.from_json({"recipe": RECIPE.to_json(), "stages": [stage]})
    split = reference_split(list(dataset.table.index), dataset.table["csv_label"].to_numpy())
    run = lambda: pretrain(plan, dataset, split, tmp_path, lambda m: start_from(m, plan.recipe))  # noqa: E731
    with folder_lock(tmp_path), pytest.raises(PretrainingError, match="Another process is pre-training in"):
        run()
    assert not (tmp_path / "plan.json").exists()
    assert (run() / "weights.safetensors").exists()


@pytest.mark.parametrize("data", [None, [], {}, {"stages": []}, {"recipe": {"name": "x"}, "stages": [{"name": "a"}]}])
def test_what_is_no_plan_is_refused(data):
    with pytest.raises(PretrainingError):
        Plan.from_json(data)


@pytest.mark.parametrize("wrong", [{"optimiser": "magic"}, {"stpes": 3}, {"learning_rate": 1.0}])
def test_a_wrong_schedule_of_a_later_stage_is_refused_before_the_first_one(tmp_path, material, wrong):
    dataset, *_ = material
    stages = [
        {"name": "first", "image_size": 64, "teacher": False, "schedule": {"steps": 1}},
        {"name": "later", "image_size": 64, "teacher": False, "schedule": wrong},
    ]
    plan = Plan.from_json({"recipe": RECIPE.to_json(), "stages": stages})
    split = reference_split(list(dataset.table.index), dataset.table["csv_label"].to_numpy())
    with pytest.raises(PretrainingError, match=r"stage 'later' is invalid \(.*(magic|stpes|steps)"):
        pretrain(plan, dataset, split, tmp_path / "run", lambda m: start_from(m, plan.recipe))
    assert not (tmp_path / "run").exists()


def test_two_stages_of_one_name_are_refused():
    data = json.loads((RECIPES / "pretrain.json").read_text("utf-8"))
    data["stages"].append({**data["stages"][-1]})
    with pytest.raises(PretrainingError, match=f"Two stages of the plan are called '{data['stages'][-1]['name']}'"):
        Plan.from_json(data)


def test_blends_without_a_teacher_are_refused():
    data = json.loads((RECIPES / "pretrain.json").read_text("utf-8"))
    data["stages"][0]["schedule"]["mixing"] = 0.5
    Plan.from_json(data)
    data["stages"][0]["teacher"] = False
    with pytest.raises(PretrainingError, match="blend"):
        Plan.from_json(data)


def test_frozen_nodes_learn_nothing_and_the_rest_does(tmp_path, material, network):
    *_, val = material
    schedule = dataclasses.replace(SCHEDULE, frozen_through="pool3_pool", statistics_momentum=0.5)
    trained = Pretraining(tmp_path, RECIPE, schedule, *network).run(stream_of(material, schedule), val)
    names = [node.name for node in network[0].nodes]
    frozen = set(names[: names.index("pool3_pool") + 1])
    changed = {key for key, array in trained.items() if not np.array_equal(array, network[1][key])}
    assert not {key for key in changed if key.rsplit("/", 1)[0] in frozen}
    assert {key for key in trained if key.rsplit("/", 1)[0] not in frozen} == changed
    with pytest.raises(GraphError, match="nowhere"):
        Pretraining(tmp_path, RECIPE, dataclasses.replace(SCHEDULE, frozen_through="nowhere"), *network)


def test_a_teacher_with_heads_teaches_its_logits_and_cells(tmp_path, material, network):
    _, pictures, boxes, labels, _ = material
    schedule = dataclasses.replace(SCHEDULE, logit_weight=1.0, cell_weight=2.0)
    run = Pretraining(tmp_path, RECIPE, schedule, *network, *teacher())
    run._prepare(stream_of(material, schedule))
    batch = next(batches(pictures, boxes, labels, RECIPE, schedule, 0))
    # A student whose answers are off by a known amount: what it is taught must be what is written here by hand.
    maps, taught = run.teacher.targets(batch.images)
    student = {"logit": taught["logit"].float() + 1.5, "cells": taught["cells"].float() + 0.5}
    losses = run._distillation(run.teacher, batch.images, student, maps)
    p, q = (torch.sigmoid(logit.double()) for logit in (taught["logit"].float(), student["logit"]))
    assert losses["dense"] == 0
    assert losses["cells"].item() == pytest.approx(2.0 * 0.5**2 / 2, rel=1e-4)
    assert losses["logit"].item() == pytest.approx(-(p * q.log() + (1 - p) * (1 - q).log()).mean().item(), rel=1e-4)


@pytest.mark.parametrize("asked", ["logit_weight", "cell_weight", "teacher_mirrored"])
def test_a_teacher_without_heads_cannot_teach_its_answers(asked):
    radiograph = keras.Input((64, 64, 1))
    trunk = keras.Model(radiograph, {"last_map": keras.layers.MaxPooling2D(32)(radiograph)})
    check_answers(trunk, SCHEDULE)
    check_answers(build_model(RECIPE), dataclasses.replace(SCHEDULE, **{asked: 1}))
    with pytest.raises(PretrainingError, match=f"no heads.*{asked}"):
        check_answers(trunk, dataclasses.replace(SCHEDULE, **{asked: 1}))


def test_a_mirrored_teacher_answers_as_the_mean_over_both_and_its_maps_stay(material, network):
    _, pictures, boxes, labels, _ = material
    images = next(batches(pictures, boxes, labels, RECIPE, SCHEDULE, 0)).images
    (graph, weights), matches = teacher()
    plain, mirrored = (Teacher(graph, weights, matches, mirrored=both) for both in (False, True))
    for one in (plain, mirrored):
        one.measure([images])
    maps, answers = plain.targets(images)
    _, turned = plain.targets(images.flip(-1))
    same, both = mirrored.targets(images)
    assert all(torch.equal(one, other) for one, other in zip(maps, same, strict=True))
    assert (answers["logit"] - turned["logit"]).abs().max() > 0.001
    torch.testing.assert_close(both["logit"], (answers["logit"] + turned["logit"]) / 2)
    torch.testing.assert_close(both["cells"], (answers["cells"] + turned["cells"].flip(-1)) / 2)


@pytest.mark.parametrize(
    ("loss", "weight"), [("label", "label_weight"), ("box", "box_weight"), ("global", "global_weight")]
)
def test_labels_and_boxes_count_as_much_as_the_schedule_says(tmp_path, material, network, loss, weight):
    first = {}
    for share in (1.0, 0.25, 0.0):
        schedule = dataclasses.replace(SCHEDULE, steps=1, **{weight: share})
        run = Pretraining(tmp_path / str(share), RECIPE, schedule, *network)
        run._prepare(stream_of(material, schedule))
        first[share] = run._train_step(next(stream_of(material, schedule)(0)))[loss]
    assert first[0.25] == pytest.approx(first[1.0] / 4, abs=1e-3)
    assert first[1.0] > 0.01
    assert first[0.0] == 0


def test_a_teacher_that_reads_larger_images_teaches_maps_of_the_students_size(tmp_path, material):
    dataset, _, _, labels, val = material
    recipe = RECIPE.replace(head="cells")
    schedule = StageSchedule(steps=2, teacher_size=96, logit_weight=1.0, cell_weight=1.0, mixing=0.5, validate_every=2)
    model, larger = (build_model(recipe.replace(image_size=size, seed=size)) for size in (64, 96))
    taught = (graph_from_keras(larger), weights_of(larger)), match("densenet121", "densenet121", larger, model)
    stream = partial(view_batches, load_pyramids(dataset, list(labels)), labels, recipe, schedule)
    before = weights_of(model)
    after = Pretraining(tmp_path, recipe, schedule, graph_from_keras(model), before, *taught).run(stream, val)
    assert before.keys() == after.keys()
    changed = {key for key, array in before.items() if not np.array_equal(array, after[key])}
    assert {"cells/kernel", "local_logit/bias", "conv1_conv/kernel"} <= changed


def test_a_plan_of_views_ends_in_a_bundle_whose_calibration_is_in_the_pooled_cells_bias(tmp_path, material):
    dataset, *_ = material
    schedule = {"steps": 2, "warmup": 1, "sizes": [64, 96]}
    stages = [{"name": "views", "image_size": 64, "teacher": False, "views": True, "schedule": schedule}]
    plan = {"recipe": RECIPE.replace(head="cells").to_json(), "stages": stages, "statistics_images": 12}
    plan = Plan.from_json(plan)
    split = reference_split(list(dataset.table.index), dataset.table["csv_label"].to_numpy())
    folder = pretrain(plan, dataset, split, tmp_path / "run", lambda m: start_from(m, plan.recipe))
    stored = load_weights(folder / "weights.safetensors")
    bundle = package(folder, "views", dataset, root=tmp_path / "models")
    averaged = load_weights(folder / "views" / "average.safetensors")
    assert not np.allclose(averaged["conv1_bn/mean"], stored["conv1_bn/mean"])
    np.testing.assert_array_equal(averaged["conv1_conv/kernel"], stored["conv1_conv/kernel"])
    shipped, offset = bundle.weights(), bundle.manifest["provenance"]["offset"]
    np.testing.assert_allclose(shipped["local_logit/bias"], stored["local_logit/bias"] + offset, rtol=1e-5)
    np.testing.assert_array_equal(shipped["global_logit/bias"], stored["global_logit/bias"])
    table = bundle.predictions().set_index("image_id")
    image_id = split.val[0]
    found = Predictor(bundle).predict(read_radiograph(dataset.path(image_id), accept_cut_short=True))
    assert found.probability == pytest.approx(table.at[image_id, "probability"], abs=1e-3)


def test_the_rate_of_the_trunk_rises_stays_and_falls_and_the_heads_learn_at_once(tmp_path, network):
    schedule = StageSchedule(steps=100, learning_rate=1.0, warmup=10, decay=0.5, head_rate=3.0)
    run = Pretraining(tmp_path, RECIPE, schedule, *network)
    trunk, heads = [], []
    for run.step in range(100):
        trunk.append(run._rate(head=False))
        heads.append(run._rate(head=True))
    assert trunk[0] == 0.1 and trunk[10:55] == [1.0] * 45 and trunk[-1] < 0.02
    assert np.all(np.diff(trunk[55:]) < 0)
    assert heads[0] == 3.0 and heads[-1] < 0.06


PLANS = (
    "pretrain",
    "pretrain-xception",
    "pretrain-efficientnet-lite2",
    "views-efficientnet-lite2",
    "views-densenet121",
)


@pytest.mark.parametrize("name", PLANS)
def test_the_projects_own_plans_can_be_read(name):
    plan = Plan.load(name)
    for stage in plan.stages:
        assert stage.image_size % 32 == 0
        StageSchedule.from_json(stage.schedule)
    with pytest.raises(PretrainingError):
        Plan.load("nothing-of-the-kind")
