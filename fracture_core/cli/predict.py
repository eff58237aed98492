"""The command `predict`: assess radiographs and print a finding for each file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fracture_core.cli.common import add_bundle, command
from fracture_core.cli.streams import printable, silent_libraries
from fracture_core.errors import FractureCoreError
from fracture_core.imaging.format_names import ANY_FORMAT

if TYPE_CHECKING:
    from fracture_core.bundle.bundle import Bundle
    from fracture_core.cli.common import Commands
    from fracture_core.cli.heatmap_files import HeatmapFiles
    from fracture_core.inference.predictor import Failure, Finding
    from fracture_core.metrics.operating_points import OperatingPoint

Entry = dict[str, Any]
Points = tuple["OperatingPoint", "OperatingPoint"]

#: Of an entry in the JSON list. `error` says why a file could not be read, and `heatmap_error` why its finding has no
#: overlay. Without an answer `assessed` is false, `reason` says why, and there is no probability.
_FIELDS = (
    *("file", "finding", "assessed", "reason", "probability", "logit", "points", "warnings"),
    *("heatmap", "heatmap_error", "error"),
)


def add_predict_command(commands: Commands) -> None:
    """Add the command.

    Args:
        commands: Where commands are added.
    """
    parser = command(commands, "predict", "Assess radiographs: a finding and a probability for each file.", _predict)
    names = f"{ANY_FORMAT} (one whose name begins with a hyphen: ./-NAME)"
    parser.add_argument("files", nargs="+", metavar="FILE", help=names)
    add_bundle(parser)
    parser.add_argument(
        "--points", metavar="NAME", help="saved operating points, such as a site's (default: the bundle's own)"
    )
    parser.add_argument("--heatmap", type=Path, metavar="DIR", help="write overlays (.png) and evidence (.npy) here")
    parser.add_argument("--method", metavar="METHOD", help="heatmap method (default: the bundle's own)")
    parser.add_argument("--frame", type=_number, default=1, metavar="N", help="frame of a DICOM file (default: 1)")
    parser.add_argument(
        "--window", type=_number, default=1, metavar="N", help="which window or VOI LUT of a DICOM file (default: 1)"
    )
    parser.add_argument(
        "--accept-truncated",
        "--accept-cut-short",
        dest="accept_cut_short",
        action="store_true",
        help="read truncated files as far as they go, where their format allows it",
    )
    parser.add_argument(
        "--greys-as-stored", action="store_true", help="leave black and white as they are in images that look inverted"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def _number(text: str) -> int:
    # Python converts no number of thousands of digits.
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _predict(arguments: argparse.Namespace) -> int:
    from fracture_core.explain.heatmap_methods import METHODS, HeatmapError
    from fracture_core.inference.predictor import load_predictor

    if arguments.method and arguments.method not in METHODS:
        raise HeatmapError(f"There is no heatmap method {arguments.method!r}; choose one of {', '.join(METHODS)}.")
    reader = load_predictor(arguments.bundle)
    points = _points(reader.bundle, arguments.points)
    heatmaps = None
    if arguments.heatmap:
        from fracture_core.cli.heatmap_files import HeatmapFiles

        heatmaps = HeatmapFiles(arguments.heatmap, arguments.files)
    entries = []
    with silent_libraries():
        results = reader.predict_many(
            arguments.files,
            accept_cut_short=arguments.accept_cut_short,
            frame=arguments.frame - 1,
            window=arguments.window - 1,
            points=points,
            greys_as_stored=arguments.greys_as_stored,
        )
        for file in arguments.files:
            # Nothing but the entry outlives its turn: a large radiograph and its heatmap take hundreds of megabytes.
            entry = _entry(file, next(results), heatmaps, arguments.method or reader.default_method)
            entries.append(entry)
            if not arguments.json:
                _print_entry(entry, reader.bundle, points)
    if arguments.json:
        print(json.dumps(entries, indent=1))
    return 1 if any(entry["error"] or entry["heatmap_error"] for entry in entries) else 0


def _entry(file: str, result: Finding | Failure, heatmaps: HeatmapFiles | None, method: str) -> Entry:
    from fracture_core.inference.predictor import Failure

    entry: Entry = dict.fromkeys(_FIELDS)
    entry |= {"file": file, "warnings": []}
    if isinstance(result, Failure):
        return entry | {"error": result.error}
    entry |= {"finding": result.triage, "assessed": result.assessed, "warnings": list(result.warnings)}
    if not result.assessed:
        return entry | {"reason": result.not_assessed_reason}
    from fracture_core.reporting.finding_text import site_in_words

    site = site_in_words(result.rule_out, result.rule_in)
    entry |= {"probability": result.probability, "logit": result.logit, "points": site or "the model's own"}
    if heatmaps is not None:
        try:
            entry["heatmap"] = str(heatmaps.write(result, method, file))
        except FractureCoreError as error:
            entry["heatmap_error"] = str(error)
    return entry


def _points(bundle: Bundle, name: str | None) -> Points:
    """Return the operating points to use; raise BundleError if none were saved under that name."""
    from fracture_core.bundle.saved_points import usable_points
    from fracture_core.bundle.validation import BundleError

    if name is None:
        return bundle.points["rule_out"], bundle.points["rule_in"]
    saved = usable_points(bundle)
    if name not in saved:
        there = ", ".join(map(repr, saved)) or "none"
        raise BundleError(f"No operating points named {name!r} are saved beside {bundle.name}; there are: {there}.")
    return saved[name]


def _print_entry(entry: Entry, bundle: Bundle, points: Points) -> None:
    file = printable(entry["file"])
    if entry["error"]:
        print(f"{file}: error: {printable(entry['error'])}", file=sys.stderr, flush=True)
        return
    if entry["assessed"]:
        from fracture_core.reporting.finding_text import thresholds_in_words

        print(f"{file}: {entry['finding']}, probability {entry['probability']:.3f}")
        print(f"  {thresholds_in_words(*points, number='{:.3f}'.format)} Model: {bundle.version}.")
        if points[1].site is not None:
            print(f"  {printable(entry['points'])}")
    else:
        print(f"{file}: {entry['finding']}. {entry['reason']}")
    for warning in entry["warnings"]:
        print(f"  warning: {printable(warning)}")
    if entry["heatmap"]:
        print(f"  heatmap: {printable(entry['heatmap'])}")
    # Flushed, so that a finding and an error stand in the order of the files.
    print(end="", flush=True)
    if entry["heatmap_error"]:
        print(f"{file}: error: {printable(entry['heatmap_error'])}", file=sys.stderr, flush=True)
