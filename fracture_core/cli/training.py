"""The commands that train: `train`, `estimate`, `runs`, `resume`, `pretrain`, `package`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fracture_core.cli.common import add_dataset, add_site, bar, command, sources_of

if TYPE_CHECKING:
    from fracture_core.bundle.bundle import Bundle
    from fracture_core.cli.common import Commands
    from fracture_core.recipe import Recipe


def add_training_commands(commands: Commands) -> None:
    """Add the commands.

    Args:
        commands: Where commands are added.
    """
    parser = command(commands, "train", "Train a network from a recipe, and package it as a bundle.", _train)
    parser.add_argument("recipe", nargs="?", default="default", help="a recipe's name or file (default: default)")
    add_dataset(parser, own=True)
    add_site(parser)
    parser.add_argument("--start", metavar="WEIGHTS", help="starting weights, in place of the recipe's")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, such as epochs=5 or augmentation.zoom=0.1; may be repeated",
    )
    named = "the bundle's name (default: the recipe's; a number is appended if it is taken)"
    parser.add_argument("--bundle", metavar="NAME", help=named)
    parser.add_argument("--resume", metavar="RUN", help="resume this run: its folder, its name, or a part of the name")
    parser = command(commands, "estimate", "Time some training steps, and estimate how long a run takes.", _estimate)
    parser.add_argument("recipe", nargs="?", default="default", help="a recipe's name or file (default: default)")
    add_dataset(parser, own=True)
    add_site(parser)
    parser = command(commands, "runs", "List the training runs with their state and metrics.", _runs)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser = command(commands, "resume", "Resume a run that was stopped, killed or failed.", _resume)
    parser.add_argument("named", metavar="RUN", help="the run's folder, its name, or a part of the name")
    parser.add_argument("--background", action="store_true", help="run at low priority, and print nothing")
    parser = command(commands, "pretrain", "Pre-train a network with labels, boxes and a teacher (PyTorch).", _pretrain)
    parser.add_argument("plan", nargs="?", default="pretrain", help="a plan's name or file (default: pretrain)")
    add_dataset(parser)
    parser.add_argument("--start", default="imagenet", metavar="WEIGHTS", help="starting weights (default: imagenet)")
    parser.add_argument("--teacher-weights", metavar="FILE", help="the teacher's weights (default: the plan's)")
    parser.add_argument("--run", dest="folder", type=Path, help="run folder (default: runs/pretrain)")
    parser = command(commands, "package", "Package a finished run folder as a bundle.", _package)
    parser.add_argument("named", metavar="RUN", help="the run's folder, its name, or a part of the name")
    parser.add_argument("--bundle", required=True, metavar="NAME", help="the bundle's name")
    add_dataset(parser, own=True)
    add_site(parser)


def _train(arguments: argparse.Namespace) -> int:
    from fracture_core.jobs.status import find_run
    from fracture_core.recipe import Recipe, RecipeError
    from fracture_core.training.run_folder import RunFolder

    resumed = None if arguments.resume is None else find_run(arguments.resume)
    recipe = RunFolder(resumed).recipe() if resumed else Recipe.load(arguments.recipe)
    changes = {}
    for change in arguments.set:
        key, separator, value = change.partition("=")
        if not separator or not key:
            raise RecipeError(f"--set takes KEY=VALUE, not {change!r}.")
        try:
            changes[key] = json.loads(value)
        except (ValueError, RecursionError):
            changes[key] = value
    if arguments.start:
        changes["start"] = arguments.start
    recipe = recipe.replace(**changes)
    if os.environ.get("TF_CONFIG"):
        return _train_as_worker(arguments, recipe, resumed)
    from fracture_core.jobs.lock import check_idle, training_lock
    from fracture_core.jobs.preparation import check, new_run, prepare_resumption
    from fracture_core.jobs.worker import carry_out
    from fracture_core.training.progress import print_progress

    check_idle()
    sources = sources_of(arguments)
    if resumed:
        with training_lock(resumed):
            prepare_resumption(resumed, recipe, sources, arguments.bundle)
            return _say_bundle(carry_out(resumed, listener=print_progress), resumed)
    check(recipe, sources)
    with new_run(recipe, sources, arguments.bundle or recipe.name) as run:
        return _say_bundle(carry_out(run, listener=print_progress), run)


def _train_as_worker(arguments: argparse.Namespace, recipe: Recipe, resumed: Path | None) -> int:
    """Train as one of several processes that share a run; the chief, which writes it, holds the training lock."""
    from fracture_core.data.dataset import open_sources
    from fracture_core.jobs.lock import training_lock
    from fracture_core.jobs.preparation import free_name
    from fracture_core.training.distribution import Workers, available_strategy
    from fracture_core.training.packaging import package
    from fracture_core.training.run_folder import new_run_path
    from fracture_core.training.train import print_progress, train

    strategy = available_strategy()
    dataset = open_sources(sources_of(arguments))
    run = resumed or new_run_path(recipe)
    if not Workers(strategy).is_chief:
        train(recipe, dataset, run=run, progress=print_progress, strategy=strategy)
        return 0
    with training_lock(run):
        train(recipe, dataset, run=run, progress=print_progress, strategy=strategy)
        bundle = package(run, free_name(arguments.bundle or recipe.name), dataset, progress=bar("scoring"))
    return _say_bundle(bundle)


def _say_bundle(bundle: Bundle, run: Path | None = None) -> int:
    """Say where a bundle is, and what became of the comparison of its run with the bundle in use."""
    from fracture_core.evaluation.part_comparison import comparison_text
    from fracture_core.training.run_folder import RunFolder

    print(f"The bundle {bundle.name} is in {bundle.folder}.")
    if run is not None and (comparison := RunFolder(run).record().get("comparison")):
        print(comparison_text(comparison))
    return 0


def _estimate(arguments: argparse.Namespace) -> int:
    import time

    began = time.monotonic()
    from fracture_core.jobs.preparation import check
    from fracture_core.recipe import Recipe
    from fracture_core.reporting.training_text import estimate_in_words
    from fracture_core.training.estimate import estimate
    from fracture_core.training.step_timing import measure

    recipe = Recipe.load(arguments.recipe)
    dataset, split = check(recipe, sources_of(arguments))
    measure(recipe, began)
    print(estimate_in_words(estimate(recipe, dataset, split)))
    return 0


def _runs(arguments: argparse.Namespace) -> int:
    from fracture_core.jobs.history import history_rows, in_lines

    rows = history_rows()
    print(json.dumps(rows, indent=1) if arguments.json else in_lines(rows))
    return 0


def _resume(arguments: argparse.Namespace) -> int:
    from fracture_core.jobs.status import find_run
    from fracture_core.jobs.worker import lower_priority, run_job
    from fracture_core.training.progress import print_progress

    run = find_run(arguments.named)
    if arguments.background:
        lower_priority()
    return _say_bundle(run_job(run, listener=None if arguments.background else print_progress), run)


def _pretrain(arguments: argparse.Namespace) -> int:
    import dataclasses

    from fracture_core.data.audit import audit
    from fracture_core.data.fracatlas import FracAtlas
    from fracture_core.data.split import project_split
    from fracture_core.paths import runs_folder
    from fracture_core.pretraining.memory import keep_freed_memory
    from fracture_core.pretraining.plan import Plan
    from fracture_core.pretraining.pretrain import pretrain
    from fracture_core.training.initial_weights import start_from

    keep_freed_memory()
    plan = Plan.load(arguments.plan)
    if arguments.teacher_weights:
        plan = dataclasses.replace(plan, teacher_weights=arguments.teacher_weights)
    dataset = FracAtlas(arguments.dataset)
    split = project_split(dataset, audit(dataset, progress=bar("auditing")))
    recipe = plan.recipe.replace(start=arguments.start)
    folder = pretrain(
        plan,
        dataset,
        split,
        arguments.folder or runs_folder() / "pretrain",
        lambda model: start_from(model, recipe),
        report=lambda e: print(json.dumps(e)),
    )
    print(f"The weights are in {folder / 'weights.safetensors'}; train with --start and that path.")
    return 0


def _package(arguments: argparse.Namespace) -> int:
    from fracture_core.data.dataset import open_sources
    from fracture_core.jobs.preparation import sources_of_run
    from fracture_core.jobs.status import find_run
    from fracture_core.training.packaging import check_finished, package

    run = find_run(arguments.named)
    check_finished(run)
    dataset = open_sources(sources_of_run(run, sources_of(arguments)))
    bundle = package(run, arguments.bundle, dataset, progress=bar("scoring"))
    print(f"The bundle {bundle.name} is in {bundle.folder}.")
    return 0
