"""The commands on finished models: `evaluate`, `bundles`, `promote` and `export`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fracture_core.cli.common import add_bundle, command
from fracture_core.errors import FractureCoreError

if TYPE_CHECKING:
    from fracture_core.cli.common import Commands


def add_model_commands(commands: Commands) -> None:
    """Add the commands.

    Args:
        commands: Where commands are added.
    """
    parser = command(commands, "evaluate", "Print a bundle's metrics on val or test, with 95 % intervals.", _evaluate)
    add_bundle(parser)
    parser.add_argument("--split", choices=("val", "test"), default="test", help="which images (default: test)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser = command(commands, "bundles", "List the bundles and their main metrics.", _bundles)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser = command(commands, "promote", "Make a bundle the default; earlier ones are kept.", _promote)
    parser.add_argument("named", metavar="RUN|BUNDLE", help="a finished run, or a bundle under models/")
    parser = command(commands, "export", "Export a bundle's network for a model server (KServe v2).", _export)
    parser.add_argument("bundle", metavar="BUNDLE", help="which bundle")
    parser.add_argument("folder", type=Path, metavar="DIR", help="destination folder, created if missing")


def _evaluate(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle.loading import load_bundle
    from fracture_core.evaluation.evaluate import evaluate, format_evaluation

    evaluation = evaluate(load_bundle(arguments.bundle), arguments.split)
    print(json.dumps(evaluation.to_json(), indent=1) if arguments.json else format_evaluation(evaluation))
    return 0


def _bundles(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle.loading import list_bundles, load_bundle
    from fracture_core.evaluation.evaluate import evaluate

    rows: list[dict[str, Any]] = []
    for name in list_bundles():
        try:
            bundle = load_bundle(name)
            evaluation = evaluate(bundle)
        except FractureCoreError as error:
            rows.append({"name": name, "error": str(error)})
            continue
        single = evaluation.confusions["single"]
        row: dict[str, Any] = {"name": name, "version": bundle.version, "created": bundle.created}
        row |= {"auc": evaluation.areas["roc_auc"].value, "sensitivity": single.sensitivity}
        rows.append(row | {"specificity": single.specificity})
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows or [{"name": "none", "error": "No bundle is installed; train one."}]:
        if "error" in row:
            print(f"{row['name']}: {row['error']}")
        else:
            metrics = (
                f"test AUC {row['auc']:.3f}, sensitivity {row['sensitivity']:.2f}, specificity {row['specificity']:.2f}"
            )
            print(f"{row['version']}  {row['created']}  {metrics}")
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    from fracture_core.jobs.promotion import promote

    promoted = promote(arguments.named)
    before = f" `promote {promoted.before}` restores the previous one." if promoted.before else ""
    print(f"The bundle {promoted.name} is now in use.{before}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle.loading import load_bundle
    from fracture_core.inference.model_export import export
    from fracture_core.inference.remote_engine import SETTING

    folder = export(load_bundle(arguments.bundle), arguments.folder)
    print(f"The network is in {folder}. Serve it, for example with: mlserver start {arguments.folder}")
    print(f"Then start the app with {SETTING}=http://127.0.0.1:8080, or the address of your server.")
    return 0
