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
    """Add them to the top parser's subparsers."""
    one = command(commands, "evaluate", "Print a bundle's figures on val or test, with 95 %% intervals.", _evaluate)
    add_bundle(one)
    one.add_argument("--split", choices=("val", "test"), default="test", help="which images (default: test)")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one = command(commands, "bundles", "List the bundles and their headline figures.", _bundles)
    one.add_argument("--json", action="store_true", help="print one JSON list")
    one = command(commands, "promote", "Make a bundle the one that is used; earlier ones stay.", _promote)
    one.add_argument("named", metavar="RUN|BUNDLE", help="a finished run, or a bundle under models/")
    one = command(commands, "export", "Write a bundle's network as model servers load it (KServe v2).", _export)
    one.add_argument("bundle", metavar="BUNDLE", help="which bundle")
    one.add_argument("folder", type=Path, metavar="DIR", help="made where it is missing")


def _evaluate(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle.bundle import load_bundle
    from fracture_core.evaluation.evaluate import evaluate, format_evaluation

    evaluation = evaluate(load_bundle(arguments.bundle), arguments.split)
    print(json.dumps(evaluation.to_json(), indent=1) if arguments.json else format_evaluation(evaluation))
    return 0


def _bundles(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle.bundle import list_bundles, load_bundle
    from fracture_core.evaluation.evaluate import evaluate

    rows: list[dict[str, Any]] = []
    for name in list_bundles():
        try:
            bundle = load_bundle(name)
            figures = evaluate(bundle)
        except FractureCoreError as error:
            rows.append({"name": name, "error": str(error)})
            continue
        single = figures.confusions["single"]
        row: dict[str, Any] = {"name": name, "version": bundle.version, "created": bundle.created}
        row |= {"auc": figures.areas["roc_auc"].value, "sensitivity": single.sensitivity}
        rows.append(row | {"specificity": single.specificity})
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows or [{"name": "none", "error": "There is no bundle in models/; train one."}]:
        if "error" in row:
            print(f"{row['name']}: {row['error']}")
        else:
            said = (
                f"test AUC {row['auc']:.3f}, sensitivity {row['sensitivity']:.2f}, specificity {row['specificity']:.2f}"
            )
            print(f"{row['version']}  {row['created']}  {said}")
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    from fracture_core.jobs.promotion import promote

    promoted = promote(arguments.named)
    before = f" Before it: {promoted.before}; `promote {promoted.before}` puts it back." if promoted.before else ""
    print(f"The bundle {promoted.name} is now the one that is used.{before}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle.bundle import load_bundle
    from fracture_core.inference.model_export import export
    from fracture_core.inference.remote_engine import SETTING

    made = export(load_bundle(arguments.bundle), arguments.folder)
    print(f"The network is in {made}. Serve it, for example: mlserver start {arguments.folder}")
    print(f"Then start the app with {SETTING}=http://127.0.0.1:8080 or wherever the server listens.")
    return 0
