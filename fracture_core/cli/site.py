"""The commands for a site's own films: `calibrate` and `review`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from fracture_core.cli.common import add_bundle, add_dataset, bar, command

if TYPE_CHECKING:
    import pandas as pd

    from fracture_core.cli.common import Commands
    from fracture_core.data.dataset import Dataset
    from fracture_core.evaluation.site_calibration import SiteCalibration


def add_site_commands(commands: Commands) -> None:
    """Add the commands.

    Args:
        commands: Where commands are added.
    """
    parser = command(
        commands, "calibrate", "Calibrate a bundle to your own labelled films, with a guarantee.", _calibrate
    )
    add_dataset(parser, own=True)
    add_bundle(parser)
    parser.add_argument(
        "--alpha", type=float, default=0.02, help="largest share of fractures among 'unlikely' films (default: 0.02)"
    )
    parser.add_argument(
        "--beta", type=float, default=0.8, help="smallest share of fractures among 'likely' films (default: 0.8)"
    )
    parser.add_argument("--confidence", type=float, default=0.95, help="confidence in each share (default: 0.95)")
    parser.add_argument("--name", help="save the site's operating points under this name (default: only print)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser = command(commands, "review", "Summarise a review folder, or export it for others.", _review)
    parser.add_argument("folder", nargs="?", type=Path, help="the review folder (default: FRACTURE_REVIEW_DIR)")
    parser.add_argument("--export", type=Path, metavar="DIR", help="write the labelled films there")
    parser.add_argument("--as", dest="kind", default="csv", help="format: csv, folders, coco or yolo (default: csv)")


def _calibrate(arguments: argparse.Namespace) -> int:
    from fracture_core.bundle.saved_points import check_name
    from fracture_core.data.dataset import open_dataset
    from fracture_core.evaluation.monitoring.reference import save_reference
    from fracture_core.evaluation.saved_site_calibrations import save_site_calibration
    from fracture_core.evaluation.site_calibration import calibrate_site
    from fracture_core.evaluation.site_scores import score_films
    from fracture_core.inference.predictor import load_predictor
    from fracture_core.metrics.guarantees import check_shares

    # Before the films are scored, which takes long.
    check_shares(arguments.alpha, arguments.beta, arguments.confidence)
    if arguments.name is not None:
        check_name(arguments.name)
    dataset = open_dataset(arguments.dataset, progress=bar("reading"))
    predictor = load_predictor(arguments.bundle)
    films = score_films(predictor, dataset, progress=bar("scoring"))
    calibration = calibrate_site(
        predictor.bundle,
        films["image_id"].tolist(),
        films["label"].to_numpy(),
        films["logit"].to_numpy(),
        films["patient"].tolist(),
        name=arguments.name or dataset.name,
        alpha=arguments.alpha,
        beta=arguments.beta,
        confidence=arguments.confidence,
    )
    _print_calibration(calibration, dataset, films, as_json=arguments.json)
    if arguments.name is None:
        return 0
    # After it is printed: a folder that cannot be written costs no result.
    save_site_calibration(predictor.bundle, calibration)
    save_reference(predictor.bundle, arguments.name, calibration.scale, films["logit"], films["features"].tolist())
    if not arguments.json:
        print(f"Saved as {arguments.name!r}: choose it in the app's sidebar, or with `predict --points`.")
    return 0


def _print_calibration(calibration: SiteCalibration, dataset: Dataset, films: pd.DataFrame, *, as_json: bool) -> None:
    from fracture_core.evaluation.site_calibration import promise_text

    if as_json:
        print(json.dumps(calibration.to_json(), indent=1), flush=True)
        return
    left_out = len(dataset) - len(films)
    print(f"{calibration.bundle} on {dataset.name}: {len(films)} films, {calibration.fractured['all']} fractured.")
    if left_out:
        print(f"{left_out} films were left out: the model does not assess them, or they cannot be read.")
    print(f"Score scale: temperature {calibration.scale.temperature:.3f}, offset {calibration.scale.offset:+.3f}.")
    for promise in (calibration.unlikely, calibration.likely):
        print(promise_text(promise))
    print(f"On {calibration.films['report']} films that were held out, before and after:")
    for before, after in zip(calibration.before, calibration.after, strict=True):
        cells = (f"{group.n} films, {group.fractured} fractured" for group in (before, after))
        print(f"  {before.triage:18} {'  ->  '.join(cells)}")
    print(f"  calibration error  {calibration.ece[0]:.3f}  ->  {calibration.ece[1]:.3f}", flush=True)


def _review(arguments: argparse.Namespace) -> int:
    from fracture_core.data.review.export import export_review, readers_agreement, reviewed_films
    from fracture_core.data.review.review_set import ReviewSet, is_review_folder
    from fracture_core.data.review.verdict import ReviewError
    from fracture_core.paths import expand_user_path, review_folder

    folder = expand_user_path(arguments.folder) if arguments.folder else review_folder()
    if folder is None:
        raise ReviewError("There is no review folder; give its path, or set FRACTURE_REVIEW_DIR.")
    if not is_review_folder(folder):
        raise ReviewError(f"{folder} is not a review folder.")
    review = ReviewSet(folder)
    films = reviewed_films(review.verdicts())
    labels = [film.label for film in films]
    print(f"{len(films)} films with {len(review.verdicts())} verdicts.")
    print(f"Fracture: {labels.count(1)}. No fracture: {labels.count(0)}. Without a label: {labels.count(None)}.")
    for (first, second), pair in readers_agreement(films).items():
        print(f"{first or '?'} and {second or '?'}: {pair.agreed} of {pair.n} agreed, Cohen's kappa {pair.kappa}.")
    if arguments.export:
        exported = export_review(review, arguments.export, arguments.kind)
        print(f"{exported.films} films written to {arguments.export}.")
        for sentence in exported.left_out:
            print(sentence)
    return 0
