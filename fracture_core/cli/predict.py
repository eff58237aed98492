"""The command `predict`: read radiographs and print a finding for each file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fracture_core.cli.common import add_bundle, command

if TYPE_CHECKING:
    from fracture_core.inference.predictor import Finding


#: Of an entry in the JSON list. Without an answer `assessed` is false, `reason` says why, and there is no probability.
_FIELDS = ("file", "finding", "assessed", "reason", "probability", "logit", "warnings", "heatmap", "error")


def add_predict_command(commands) -> None:
    """Add it to the top parser's subparsers."""
    one = command(commands, "predict", "Read radiographs: a finding and a probability for each file.", _predict)
    one.add_argument("files", nargs="+", metavar="FILE", help="JPEG, PNG, TIFF, BMP, WebP or DICOM")
    add_bundle(one)
    one.add_argument("--heatmap", type=Path, metavar="DIR", help="write overlays (.png) and evidence (.npy) there")
    one.add_argument("--method", metavar="METHOD", help="how the heatmap is made (default: the bundle's own)")
    one.add_argument("--accept-cut-short", action="store_true", help="read damaged files as far as they go")
    one.add_argument("--json", action="store_true", help="print one JSON list")


def _predict(arguments: argparse.Namespace) -> int:
    from fracture_core.inference.predictor import Failure, load_predictor

    reader = load_predictor(arguments.bundle)
    entries, failed = [], False
    results = reader.predict_many(arguments.files, accept_cut_short=arguments.accept_cut_short)
    for file, result in zip(arguments.files, results, strict=True):
        entry = dict.fromkeys(_FIELDS)
        entry |= {"file": file, "warnings": []}
        if isinstance(result, Failure):
            failed, entry["error"] = True, result.error
        else:
            entry |= {
                "finding": result.triage,
                "assessed": result.assessed,
                "reason": result.not_assessed_reason or None,
            }
            entry["warnings"] = list(result.warnings)
            if result.assessed:
                entry |= {"probability": result.probability, "logit": result.logit}
            if arguments.heatmap and result.assessed:
                method = arguments.method or reader.default_method
                entry["heatmap"] = str(_write_heatmap(result, method, arguments.heatmap, Path(file).stem))
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
    if entry["assessed"]:
        print(f"{entry['file']}: {entry['finding']}, probability {entry['probability']:.3f}")
    else:
        print(f"{entry['file']}: {entry['finding']}. {entry['reason']}")
    print(f"  unlikely below {out:.3f}, likely from {within:.3f} ({bundle.version})")
    for warning in entry["warnings"]:
        print(f"  warning: {warning}")
    if entry["heatmap"]:
        print(f"  heatmap: {entry['heatmap']}")


def _write_heatmap(finding: Finding, method: str, folder: Path, stem: str) -> Path:
    """Write <stem>.png, the overlay, and <stem>.npy, the evidence float32 (H, W), into `folder`; give the PNG's path.

    Raises DrawingError where they cannot be written, and HeatmapError where the method does not fit the network.
    """
    import numpy as np

    from fracture_core.explain.overlay import DrawingError, overlay, to_png
    from fracture_core.files import atomic_write, write_bytes

    evidence = finding.heatmap(method)
    path = Path(folder) / f"{stem}.png"
    try:
        write_bytes(path, to_png(overlay(finding.radiograph.pixels, evidence, method)))
        with atomic_write(path.with_suffix(".npy")) as temporary:
            np.save(temporary, evidence, allow_pickle=False)
    except OSError as error:
        raise DrawingError(f"The heatmap cannot be written to {folder} ({error.strerror or error}).") from error
    return path
