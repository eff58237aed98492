"""Pre-training: from weak or unrelated weights to a backbone adapted to radiographs.

It replaces ImageNet weights where they are not available, and makes more passes over the data than TensorFlow can on a
CPU: the loop runs in PyTorch (an optional extra) on a copy of the network whose weights transfer to Keras exactly. A
plan is a list of stages, small images first; each continues from the averaged weights of the previous one. A teacher is
any keras.applications network, with its ImageNet weights or a file's.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fracture_core.data.image_cache import load_image_cache
from fracture_core.data.split import Split
from fracture_core.network.weights import Weights, layer_keys, load_weights, save_weights, set_weights, weights_of
from fracture_core.pretraining.plan import Plan, PretrainingError, Stage, claim_folder, folder_lock
from fracture_core.provenance import provenance
from fracture_core.recipe import Recipe
from fracture_core.training.run_folder import RunFolder

if TYPE_CHECKING:
    import keras

    from fracture_core.data.fracatlas import FracAtlas
    from fracture_core.network.graph import Graph
    from fracture_core.pretraining.batches import StageSchedule
    from fracture_core.training.initial_weights import InitialWeights


def pretrain(
    plan: Plan,
    dataset: FracAtlas,
    split: Split,
    folder: Path,
    start: Callable[[keras.Model], InitialWeights],
    *,
    report: Callable[[dict], None] | None = None,
) -> Path:
    """Run or resume a plan.

    Args:
        plan: What to do.
        dataset: What to train on.
        split: Train, val and test.
        folder: The run's folder.
        start: Loads the initial weights into a fresh Keras model, as `training.initial_weights.start_from` does.
        report: Called with the events of the loop.

    Returns:
        The folder, then a finished run that can be packaged.

    Raises:
        PretrainingError: PyTorch is not installed, a schedule is invalid, or the folder is another run's or in use.
    """
    if find_spec("torch") is None:
        raise PretrainingError(
            "Pre-training runs in PyTorch, which is not installed: pip install -r requirements-pretrain.txt."
        )
    from fracture_core.network.keras_graph import graph_from_keras
    from fracture_core.network.model import build_model

    for stage in plan.stages:
        _schedule(stage)  # what is wrong with the last stage is said before the first one's hours
    folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(folder):
        model = build_model(plan.recipe)
        origin = start(model).to_json()
        claim_folder(folder, plan, start=origin, split=split.digest)
        weights = weights_of(model)
        for stage in plan.stages:
            finished = folder / stage.name / "average.safetensors"
            if not finished.exists():
                _run_stage(plan, stage, dataset, split, folder / stage.name, weights, report)
            weights = load_weights(finished)
        graph = graph_from_keras(model)
        if plan.statistics_images:
            weights = _measured_again(plan, dataset, split, graph, weights)
        return _finish(plan, folder, weights, graph, split, origin)


def _run_stage(
    plan: Plan,
    stage: Stage,
    dataset: FracAtlas,
    split: Split,
    folder: Path,
    weights: Weights,
    report: Callable[[dict], None] | None,
) -> None:
    """Run or resume a stage from the weights of the one before; the averaged weights are then in its folder."""
    from fracture_core.network.keras_graph import graph_from_keras
    from fracture_core.network.model import build_model
    from fracture_core.pretraining.loop import Pretraining

    recipe = plan.recipe.replace(image_size=stage.image_size)
    schedule = _schedule(stage)
    student = build_model(recipe)
    teacher, matches = None, ()
    if stage.teacher:
        network = _teacher(plan, stage.schedule.get("teacher_size") or stage.image_size)
        check_answers(network, schedule)
        teacher = graph_from_keras(network), weights_of(network)
        assert plan.teacher is not None  # a plan whose stages ask for one names it
        matches = match(plan.teacher, recipe.backbone, network, student)
    loop = Pretraining(folder, recipe, schedule, graph_from_keras(student), weights, teacher, matches, report)
    stream = _views if stage.views else _letterboxed
    loop.run(partial(stream(dataset, split, recipe), recipe, schedule), _validation(dataset, split, recipe))


def _schedule(stage: Stage) -> StageSchedule:
    """Return a stage's schedule, or raise PretrainingError."""
    from fracture_core.pretraining.batches import StageSchedule

    try:
        return StageSchedule.from_json(stage.schedule)
    except (TypeError, ValueError) as error:
        raise PretrainingError(f"The schedule of stage {stage.name!r} is invalid ({error}).") from error


def check_answers(teacher: keras.Model, schedule: StageSchedule) -> None:
    """Check that a teacher can teach what a schedule asks for.

    Args:
        teacher: With the outputs that it has, by name.
        schedule: The stage's.

    Raises:
        PretrainingError: It has no heads, and its logits or cells are to be learned from.
    """
    asked = [name for name in ("logit_weight", "cell_weight", "teacher_mirrored") if getattr(schedule, name)]
    if asked and "cells" not in teacher.output:
        raise PretrainingError(f"The teacher has no heads, and the schedule asks for its answers: {', '.join(asked)}.")


def _measured_again(plan: Plan, dataset: FracAtlas, split: Split, graph: Graph, weights: Weights) -> Weights:
    from fracture_core.data.image_pyramid import load_pyramids
    from fracture_core.pretraining.statistics import measured_again, reading_batches

    images, labels = load_pyramids(dataset, split.train), _labels(dataset, split)
    size, count = plan.recipe.image_size, plan.statistics_images
    return measured_again(graph, weights, reading_batches(images, labels, size, count, plan.recipe.seed))


def _letterboxed(dataset: FracAtlas, split: Split, recipe: Recipe) -> Callable[..., Iterator]:
    """Return batches of whole training radiographs, decoded a quarter larger so that zooming in loses nothing."""
    from fracture_core.pretraining.batches import batches

    larger = round(recipe.image_size * 1.25 / 32) * 32
    paths = {i: dataset.path(i) for i in split.train}
    images = load_image_cache(paths, larger, crop_to_field=recipe.crop_to_field)
    boxes = {i: images.placement(i).boxes_in_square(dataset.boxes(i)) for i in split.train}
    return partial(batches, images, boxes, _labels(dataset, split))


def _views(dataset: FracAtlas, split: Split, recipe: Recipe) -> Callable[..., Iterator]:
    """Return batches of random views of the training radiographs."""
    from fracture_core.data.image_pyramid import load_pyramids
    from fracture_core.pretraining.view_batches import view_batches

    return partial(view_batches, load_pyramids(dataset, split.train), _labels(dataset, split))


def _labels(dataset: FracAtlas, split: Split) -> dict[str, int]:
    return {i: int(dataset.table.at[i, "label"]) for i in split.train}


def _validation(dataset: FracAtlas, split: Split, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Return val as inference sees it, uint8 (n, S, S), and its labels (n,)."""
    paths = {i: dataset.path(i) for i in split.val}
    val = load_image_cache(paths, recipe.image_size, crop_to_field=recipe.crop_to_field)
    return val.squares, dataset.table.loc[list(split.val), "label"].to_numpy()


def _teacher(plan: Plan, size: int) -> keras.Model:
    """Return the teacher with its own preprocessing inside, and with heads if its weights have them."""
    import keras

    from fracture_core.network.backbones import BACKBONES, application, reset_layer_names
    from fracture_core.network.model import build_model
    from fracture_core.training.initial_weights import read_start

    assert plan.teacher is not None  # a plan whose stages ask for one names it
    backbone = BACKBONES[plan.teacher]
    recipe = Recipe.from_json(
        {"name": "teacher", "backbone": plan.teacher, "start": plan.teacher_weights, "image_size": size}
    )
    weights, _, _ = read_start(recipe)
    if "cells_coarse/kernel" in weights:
        head = "cells" if "cells_context/kernel" in weights else "global"
        model = build_model(recipe.replace(localiser=weights["cells_coarse/kernel"].shape[3], head=head))
        set_weights(model, weights)
        return model
    reset_layer_names()
    radiograph = keras.Input((size, size, 1), name="radiograph")
    x = keras.layers.Concatenate(name="grey_to_three_channels")([radiograph] * 3)
    x = keras.layers.Rescaling(list(backbone.scale), list(backbone.offset), name="normalise")(x)
    trunk = application(plan.teacher)(include_top=False, weights=None, input_tensor=x)
    set_weights(trunk, weights)
    return keras.Model(radiograph, {"last_map": trunk.output})


#: (teacher, student) -> pairs of nodes whose maps have one stride, chosen by hand.
MATCHES = {
    ("efficientnet-lite2", "densenet121"): (
        ("block2c_add", "pool2_relu"),
        ("block3c_add", "pool3_relu"),
        ("block5d_add", "pool4_relu"),
        ("top_activation", "relu"),
    ),
    ("xception", "densenet121"): (
        ("add.1", "pool2_pool"),
        ("add.5", "pool3_pool"),
        ("add.10", "pool4_relu"),
        ("add.11", "relu"),
        ("block14_sepconv2_act", "relu"),
    ),
}


def match(teacher: str, student: str, teacher_model: keras.Model, student_model: keras.Model) -> tuple:
    """Pair the nodes to match: set by hand where known, else the last maps of each stride.

    Args:
        teacher: The teacher's backbone.
        student: The student's backbone.
        teacher_model: The teacher.
        student_model: The student.

    Returns:
        (teacher's node, student's node) pairs.
    """
    if (teacher, student) in MATCHES:
        return MATCHES[teacher, student]
    ours, theirs = _last_maps(student_model), _last_maps(teacher_model)
    return tuple((theirs[stride], ours[stride]) for stride in (8, 16, 32) if stride in ours and stride in theirs)


def _last_maps(model: keras.Model) -> dict[int, str]:
    """Return the key of the trunk's last layer by the stride of its map."""
    keys = layer_keys(model)
    size = model.input.shape[1]
    last = {}
    for layer in model.layers:
        shape: tuple[int, ...] = getattr(layer.output, "shape", ())
        if len(shape) == 4 and shape[3] > 3 and not layer.name.startswith("cells"):
            last[-(-size // shape[1])] = keys[layer.name]
    return last


def _finish(
    plan: Plan,
    folder: Path,
    weights: Weights,
    graph: Graph,
    split: Split,
    origin: dict,
) -> Path:
    save_weights(folder / "weights.safetensors", weights)
    run = RunFolder(folder)
    run.write_setup(plan.recipe, split)
    run.write_graph(graph.to_json())
    run.write_history(_validations(folder / stage.name / "history.jsonl" for stage in plan.stages))
    run.update_record(**provenance(), name=plan.recipe.name, start=origin, split=split.digest, finished=True)
    run.update_record(ended=datetime.now(UTC).isoformat(timespec="seconds"), trained_on=len(split.train))
    run.update_record(teacher=plan.teacher, stages=[dataclasses.asdict(stage) for stage in plan.stages])
    return folder


def _validations(histories: Iterable[Path]) -> list[dict[str, float]]:
    """Return a row for each validation: its number, the stage counted from 1, the stage's step, and the metrics."""
    rows: list[dict[str, float]] = []
    for stage, path in enumerate(histories, 1):
        entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
        for entry in entries:
            if "val_auc" in entry:
                figures = {key: entry[key] for key in ("step", "val_auc", "val_ap")}
                rows.append({"epoch": len(rows) + 1, "stage": stage} | figures)
    return rows
