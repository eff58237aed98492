"""The command line: `python -m fracture_core --help`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fracture_core import __version__
from fracture_core.cli.common import NOTICE, add_bundle, add_dataset, bar, command
from fracture_core.cli.predict import add_predict_command
from fracture_core.cli.training import add_training_commands
from fracture_core.errors import FractureCoreError


def parser() -> argparse.ArgumentParser:
    """Give the parser of every command."""
    top = argparse.ArgumentParser(
        prog="python -m fracture_core", description="Find fractures on bone radiographs.", epilog=NOTICE
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_dataset_commands(commands)
    add_training_commands(commands)
    _add_reading_commands(commands)
    return top


def _add_dataset_commands(commands) -> None:
    one = command(
        commands, "download", "Download FracAtlas (338 MB, CC BY 4.0), check it and put it in place.", _download
    )
    one.add_argument(
        "--to", type=Path, metavar="FOLDER", help="where it goes (default: FRACATLAS_DIR, else data/FracAtlas)"
    )
    one = command(
        commands, "audit", "Find what is wrong with the dataset: cut-short files, duplicates, conflicts.", _audit
    )
    add_dataset(one)
    one.add_argument("--json", action="store_true", help="print one JSON object")


def _add_reading_commands(commands) -> None:
    add_predict_command(commands)
    one = command(commands, "evaluate", "Print a bundle's figures on val or test, with 95 %% intervals.", _evaluate)
    add_bundle(one)
    one.add_argument("--split", choices=("val", "test"), default="test", help="which images (default: test)")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one = command(commands, "export", "Write a bundle's network as model servers load it (KServe v2).", _export)
    one.add_argument("bundle", metavar="BUNDLE", help="which bundle")
    one.add_argument("folder", type=Path, metavar="DIR", help="made where it is missing")
    one = command(commands, "bundles", "List the bundles and their headline figures.", _bundles)
    one.add_argument("--json", action="store_true", help="print one JSON list")


def _download(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from fracture_core.data.download import download
    from fracture_core.paths import dataset_folder

    with tqdm(unit="B", unit_scale=True, unit_divisor=1024, desc="FracAtlas") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        folder = download(arguments.to or dataset_folder(), progress=progress)
    print(f"FracAtlas is in {folder}.")
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    from fracture_core.data.audit import audit
    from fracture_core.data.fracatlas import FracAtlas

    found = audit(FracAtlas(arguments.dataset), progress=bar("auditing"))
    print(found.to_json() if arguments.json else found.describe())
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle.bundle import load_bundle
    from fracture_core.evaluation.evaluate import evaluate, format_evaluation

    evaluation = evaluate(load_bundle(arguments.bundle), arguments.split)
    print(json.dumps(evaluation.to_json(), indent=1) if arguments.json else format_evaluation(evaluation))
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle.bundle import load_bundle
    from fracture_core.inference.model_export import export
    from fracture_core.inference.remote_engine import SETTING

    made = export(load_bundle(arguments.bundle), arguments.folder)
    print(f"The network is in {made}. Serve it, for example: mlserver start {arguments.folder}")
    print(f"Then start the app with {SETTING}=http://127.0.0.1:8080 or wherever the server listens.")
    return 0


def _bundles(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle.bundle import list_bundles, load_bundle
    from fracture_core.evaluation.evaluate import evaluate

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
