"""The command line: `python -m fracture_core --help`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from fracture_core import __version__
from fracture_core.errors import FractureCoreError

NOTICE = "Research demonstrator: a reading aid, not a medical device."


def parser() -> argparse.ArgumentParser:
    """Give the parser of every command."""
    top = argparse.ArgumentParser(
        prog="python -m fracture_core", description="Find fractures on bone radiographs.", epilog=NOTICE
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_dataset_commands(commands)
    _add_training_commands(commands)
    _add_reading_commands(commands)
    return top


def _command(commands, name: str, summary: str, run) -> argparse.ArgumentParser:
    one = commands.add_parser(name, help=summary, description=summary, epilog=NOTICE)
    one.set_defaults(run=run)
    return one


def _add_dataset_commands(commands) -> None:
    one = _command(
        commands, "download", "Download FracAtlas (338 MB, CC BY 4.0), check it and put it in place.", _download
    )
    one.add_argument(
        "--to", type=Path, metavar="FOLDER", help="where it goes (default: FRACATLAS_DIR, else data/FracAtlas)"
    )
    one = _command(
        commands, "audit", "Find what is wrong with the dataset: cut-short files, duplicates, conflicts.", _audit
    )
    _add_dataset(one)
    one.add_argument("--json", action="store_true", help="print one JSON object")


def _add_training_commands(commands) -> None:
    one = _command(commands, "train", "Train a network by a recipe and make a bundle of it.", _train)
    one.add_argument("recipe", nargs="?", default="default", help="a recipe's name or file (default: default)")
    _add_dataset(one, own=True)
    one.add_argument("--start", metavar="WEIGHTS", help="start from these weights instead of the recipe's own")
    one.add_argument(
        "--set", action="append", default=[], metavar="CHOICE=VALUE", help="change one choice of the recipe"
    )
    one.add_argument("--bundle", metavar="NAME", help="the bundle's name (default: the recipe's name)")
    one.add_argument("--resume", type=Path, metavar="RUN", help="go on with an interrupted run folder")
    one = _command(commands, "estimate", "Measure some training steps; say what a run would take.", _estimate)
    one.add_argument("recipe", nargs="?", default="default", help="a recipe's name or file (default: default)")
    _add_dataset(one, own=True)
    one = _command(commands, "runs", "List the training runs: how they stand, and their figures.", _runs)
    one.add_argument("--json", action="store_true", help="print one JSON list")
    one = _command(commands, "resume", "Go on with a run that was stopped, killed or failed.", _resume)
    one.add_argument("named", metavar="RUN", help="the run's folder, its name, or a part of the name")
    one.add_argument("--background", action="store_true", help="give way to other programs, and print nothing")
    one = _command(commands, "promote", "Make a bundle the one that is used; earlier ones stay.", _promote)
    one.add_argument("named", metavar="RUN|BUNDLE", help="a finished run, or a bundle under models/")
    one = _command(commands, "pretrain", "Pre-train a network with labels, boxes and a teacher (PyTorch).", _pretrain)
    one.add_argument("plan", nargs="?", default="pretrain", help="a plan's name or file (default: pretrain)")
    _add_dataset(one)
    one.add_argument("--start", default="imagenet", metavar="WEIGHTS", help="starting weights (default: imagenet)")
    one.add_argument("--teacher-weights", metavar="FILE", help="the teacher's weights (default: imagenet)")
    one.add_argument("--run", dest="folder", type=Path, default=Path("runs/pretrain"), help="made, or resumed")
    one = _command(commands, "package", "Make a bundle of a finished run folder.", _package)
    one.add_argument("run_folder", type=Path, metavar="RUN")
    one.add_argument("--bundle", required=True, metavar="NAME", help="the bundle's name")
    _add_dataset(one, own=True)


def _add_reading_commands(commands) -> None:
    one = _command(commands, "predict", "Read radiographs: a finding and a probability for each file.", _predict)
    one.add_argument("files", nargs="+", metavar="FILE", help="JPEG, PNG, TIFF, BMP, WebP or DICOM")
    _add_bundle(one)
    one.add_argument("--heatmap", type=Path, metavar="DIR", help="write overlays (.png) and evidence (.npy) there")
    one.add_argument("--method", metavar="METHOD", help="how the heatmap is made (default: the bundle's own)")
    one.add_argument("--accept-cut-short", action="store_true", help="read damaged files as far as they go")
    one.add_argument("--json", action="store_true", help="print one JSON list")
    one = _command(commands, "evaluate", "Print a bundle's figures on val or test, with 95 %% intervals.", _evaluate)
    _add_bundle(one)
    one.add_argument("--split", choices=("val", "test"), default="test", help="which images (default: test)")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one = _command(commands, "export", "Write a bundle's network as model servers load it (KServe v2).", _export)
    one.add_argument("bundle", metavar="BUNDLE", help="which bundle")
    one.add_argument("folder", type=Path, metavar="DIR", help="made where it is missing")
    one = _command(commands, "bundles", "List the bundles and their headline figures.", _bundles)
    one.add_argument("--json", action="store_true", help="print one JSON list")


def _add_dataset(one: argparse.ArgumentParser, *, own: bool = False) -> None:
    what = "FracAtlas, or your own: a folder a class, or a csv of images and labels" if own else "FracAtlas"
    one.add_argument(
        "--dataset", type=Path, metavar="FOLDER", help=f"{what} (default: FRACATLAS_DIR, else data/FracAtlas)"
    )


def _add_bundle(one: argparse.ArgumentParser) -> None:
    one.add_argument("--bundle", metavar="NAME", help="which bundle (default: the one in use)")


def _download(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from fracture_core.download import download
    from fracture_core.fracatlas import default_location

    with tqdm(unit="B", unit_scale=True, unit_divisor=1024, desc="FracAtlas") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        folder = download(arguments.to or default_location(), progress=progress)
    print(f"FracAtlas is in {folder}.")
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    from fracture_core.audit import audit
    from fracture_core.fracatlas import FracAtlas

    found = audit(FracAtlas(arguments.dataset), progress=_bar("auditing"))
    print(found.to_json() if arguments.json else found.describe())
    return 0


def _train(arguments: argparse.Namespace) -> int:
    from fracture_core.recipe import Recipe, RecipeError

    recipe = Recipe.load(arguments.resume / "recipe.json" if arguments.resume else arguments.recipe)
    changes = {}
    for change in arguments.set:
        choice, separator, value = change.partition("=")
        if not separator:
            raise RecipeError(f"--set takes CHOICE=VALUE, not {change!r}.")
        try:
            changes[choice] = json.loads(value)
        except json.JSONDecodeError:
            changes[choice] = value
    if arguments.start:
        changes["start"] = arguments.start
    recipe = recipe.replace(**changes)
    if os.environ.get("TF_CONFIG"):
        return _train_as_worker(arguments, recipe)
    from fracture_core.job import check, prepare, prepare_resumption
    from fracture_core.job_process import carry_out
    from fracture_core.progress import print_progress

    if arguments.resume:
        run = prepare_resumption(arguments.resume, recipe, arguments.dataset, arguments.bundle)
    else:
        check(recipe, arguments.dataset)
        run = prepare(recipe, arguments.dataset, arguments.bundle or recipe.name)
    return _say_bundle(carry_out(run, listener=print_progress))


def _train_as_worker(arguments: argparse.Namespace, recipe) -> int:
    """Train as one of several processes, which share a run: none of them is the only one."""
    from fracture_core.dataset import open_dataset
    from fracture_core.distribution import available_strategy, is_chief
    from fracture_core.packaging import package
    from fracture_core.train import print_progress, train

    strategy = available_strategy()
    dataset = open_dataset(arguments.dataset)
    run = train(recipe, dataset, run=arguments.resume, progress=print_progress, strategy=strategy)
    if not is_chief(strategy):
        return 0
    return _say_bundle(package(run, arguments.bundle or recipe.name, dataset, progress=_bar("scoring")))


def _say_bundle(bundle) -> int:
    print(f"The bundle {bundle.name} is in {bundle.folder}.")
    return 0


def _estimate(arguments: argparse.Namespace) -> int:
    import time

    began = time.monotonic()
    from fracture_core.estimate import estimate
    from fracture_core.job import check
    from fracture_core.recipe import Recipe
    from fracture_core.speed import measure
    from fracture_core.training_words import estimate_in_words

    recipe = Recipe.load(arguments.recipe)
    split = check(recipe, arguments.dataset)[1]
    measure(recipe, began)
    print(estimate_in_words(estimate(recipe, split)))
    return 0


def _runs(arguments: argparse.Namespace) -> int:
    from fracture_core.run_history import history_rows, in_lines

    rows = history_rows()
    print(json.dumps(rows, indent=1) if arguments.json else in_lines(rows))
    return 0


def _resume(arguments: argparse.Namespace) -> int:
    from fracture_core.job_process import carry_out, give_way
    from fracture_core.progress import print_progress
    from fracture_core.run_status import find_run

    run = find_run(arguments.named)
    if arguments.background:
        give_way()
    return _say_bundle(carry_out(run, listener=None if arguments.background else print_progress))


def _promote(arguments: argparse.Namespace) -> int:
    from fracture_core.promotion import promote

    promoted = promote(arguments.named)
    before = f" Before it: {promoted.before}; `promote {promoted.before}` puts it back." if promoted.before else ""
    print(f"The bundle {promoted.name} is now the one that is used.{before}")
    return 0


def _pretrain(arguments: argparse.Namespace) -> int:
    import dataclasses

    from fracture_core.audit import audit
    from fracture_core.fracatlas import FracAtlas
    from fracture_core.pretrain import Plan, pretrain
    from fracture_core.split import project_split
    from fracture_core.start import start_from

    plan = Plan.load(arguments.plan)
    if arguments.teacher_weights:
        plan = dataclasses.replace(plan, teacher_weights=arguments.teacher_weights)
    dataset = FracAtlas(arguments.dataset)
    split = project_split(dataset, audit(dataset, progress=_bar("auditing")))
    recipe = plan.recipe.replace(start=arguments.start)
    folder = pretrain(
        plan,
        dataset,
        split,
        arguments.folder,
        lambda model: start_from(model, recipe),
        report=lambda e: print(json.dumps(e)),
    )
    print(f"The weights are in {folder / 'weights.safetensors'}; train with --start and that path.")
    return 0


def _package(arguments: argparse.Namespace) -> int:
    from fracture_core.dataset import open_dataset
    from fracture_core.packaging import package

    dataset = open_dataset(arguments.dataset)
    bundle = package(arguments.run_folder, arguments.bundle, dataset, progress=_bar("scoring"))
    print(f"The bundle {bundle.name} is in {bundle.folder}.")
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    from fracture_core.predict import Failure, load_reader

    reader = load_reader(arguments.bundle)
    entries, failed = [], False
    results = reader.read_many(arguments.files, accept_cut_short=arguments.accept_cut_short)
    for file, result in zip(arguments.files, results, strict=True):
        entry = dict.fromkeys(("file", "probability", "logit", "finding", "warnings", "heatmap", "error"))
        entry |= {"file": file, "warnings": []}
        if isinstance(result, Failure):
            failed, entry["error"] = True, result.error
        else:
            entry |= {"probability": result.probability, "logit": result.logit, "finding": result.finding}
            entry["warnings"] = list(result.warnings)
            if arguments.heatmap:
                from fracture_core.overlay import write_heatmap

                method = arguments.method or reader.default_method
                entry["heatmap"] = str(write_heatmap(result, method, arguments.heatmap, Path(file).stem))
        entries.append(entry)
        if not arguments.json:
            _print_finding(entry, reader.bundle)
    if arguments.json:
        print(json.dumps(entries, indent=1))
    return 1 if failed else 0


def _print_finding(entry: dict, bundle) -> None:
    if entry["error"]:
        print(f"{entry['file']}: error: {entry['error']}", file=sys.stderr)
        return
    out, within = (bundle.points[name].threshold for name in ("rule_out", "rule_in"))
    print(f"{entry['file']}: {entry['finding']}, probability {entry['probability']:.3f}")
    print(f"  unlikely below {out:.3f}, likely from {within:.3f} ({bundle.version})")
    for warning in entry["warnings"]:
        print(f"  warning: {warning}")
    if entry["heatmap"]:
        print(f"  heatmap: {entry['heatmap']}")


def _evaluate(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle import load_bundle
    from fracture_core.evaluate import describe, evaluate

    evaluation = evaluate(load_bundle(arguments.bundle), arguments.split)
    print(json.dumps(evaluation.to_json(), indent=1) if arguments.json else describe(evaluation))
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle import load_bundle
    from fracture_core.remote_engine import SETTING
    from fracture_core.served_model import export

    made = export(load_bundle(arguments.bundle), arguments.folder)
    print(f"The network is in {made}. Serve it, for example: mlserver start {arguments.folder}")
    print(f"Then start the app with {SETTING}=http://127.0.0.1:8080 or wherever the server listens.")
    return 0


def _bundles(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle import list_bundles, load_bundle
    from fracture_core.evaluate import evaluate

    rows = []
    for name in list_bundles():
        try:
            bundle = load_bundle(name)
            figures = evaluate(bundle)
        except FractureCoreError as error:
            rows.append({"name": name, "error": str(error)})
            continue
        single = figures.confusions["single"]
        row = {"name": name, "version": bundle.version, "created": bundle.created}
        row |= {"auc": figures.areas["roc_auc"].value, "sensitivity": single.sensitivity}
        rows.append(row | {"specificity": single.specificity})
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows or [{"name": "none", "error": "There is no bundle in models/; train one."}]:
        if "error" in row:
            print(f"{row['name']}: {row['error']}")
        else:
            figures = (
                f"test AUC {row['auc']:.3f}, sensitivity {row['sensitivity']:.2f}, specificity {row['specificity']:.2f}"
            )
            print(f"{row['version']}  {row['created']}  {figures}")
    return 0


def _bar(what: str):
    """A progress callback that draws a bar on stderr."""
    from tqdm import tqdm

    bar = tqdm(desc=what, leave=False)

    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return progress


def main(arguments: list[str] | None = None) -> int:
    """Run one command; give the exit status. Errors of ours are one sentence on stderr."""
    parsed = parser().parse_args(arguments)
    try:
        return parsed.run(parsed)
    except FractureCoreError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
