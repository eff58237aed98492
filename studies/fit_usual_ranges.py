"""Fit a bundle's usual ranges and drawing levels again, and with --write put them into the bundle.

    FRACATLAS_DIR=... python -m studies.fit_usual_ranges [--bundle NAME] [--outsiders FOLDER] [--write]

What is a limb radiograph at all is told by a network that all bundles share (`studies.fit_scope`); with
--outsiders, a folder as that program reads, what it does on the images there is printed, kind by kind. The bundle's own
network, its logits, its calibration and its thresholds stay as they are; what the heatmaps point at is computed again.
If FRACTURE_ELSEWHERE_DIR is set, the bundle is measured on the films in it. A few minutes on one core.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load, save_file

from fracture_core.bundle.bundle import Bundle
from fracture_core.bundle.loading import DEFAULT_BUNDLE, load_bundle
from fracture_core.bundle.manifest import install
from fracture_core.cli.exit_status import exit_status
from fracture_core.data.audit import audit
from fracture_core.data.fracatlas import FracAtlas, find_fracatlas
from fracture_core.data.split import Split, project_split
from fracture_core.evaluation.predictions_csv import predict_split
from fracture_core.files import atomic_write
from fracture_core.imaging.radiograph import read_radiograph
from fracture_core.inference.predictor import Predictor
from fracture_core.inference.scope import scope_network
from fracture_core.training.bundle_features import fit_levels, seal
from fracture_core.training.usual_ranges_fit import RangesFit, fit_usual_ranges

_SUFFIXES = {".jpg", ".jpeg", ".png"}


def refit(bundle: Bundle, dataset: FracAtlas, split: Split, fitted: RangesFit | None, folder: Path) -> None:
    """Write the bundle with new usual ranges, new drawing levels and new columns of heatmaps into `folder`."""
    shutil.copytree(bundle.folder, folder, dirs_exist_ok=True)
    predictor = Predictor(bundle)
    scored, held = predict_split(predictor.scorer, predictor.head, dataset, split)
    old = pd.read_csv(folder / "predictions.csv", dtype={"image_id": str, "split": str})
    old = old[[name for name in old if not name.startswith("hit_") and name not in ("boxes", "found_boxes")]]
    new = [name for name in scored if name.startswith("hit_") or name in ("boxes", "found_boxes")]
    levels = fit_levels(scored, held)
    table = old.merge(scored[["image_id", *new]], on="image_id", validate="one_to_one")
    if len(table) != len(old):
        raise SystemExit("The dataset lacks images that the bundle was scored on.")
    with atomic_write(folder / "predictions.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    before = load((folder / "features.safetensors").read_bytes())
    old = ("scope/", "full_colour/", "box_levels")
    features = {name: array for name, array in before.items() if not name.startswith(old)}
    with atomic_write(folder / "features.safetensors") as temporary:
        save_file(features | levels | (fitted.ranges.to_arrays() if fitted else {}), temporary)
    provenance = {**bundle.manifest["provenance"], "scope": fitted.record() if fitted else None}
    seal(folder, bundle.name, bundle.recipe, table, bundle.temperature, bundle.created, provenance)


def print_by_kind(outsiders: Path) -> None:
    """Print how many images of each folder are called out of scope."""
    for folder in sorted({path.parent for path in outsiders.rglob("*") if path.suffix.lower() in _SUFFIXES}):
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
        caught = [scope_network().of(read_radiograph(p, accept_cut_short=True).pixels).limb < 0 for p in files]
        print(f"  out of scope: {np.sum(caught):4d} of {len(caught):4d} in {folder.relative_to(outsiders)}")


def main() -> int:
    """Fit, print what is known of the fit, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default=DEFAULT_BUNDLE)
    parser.add_argument("--outsiders", type=Path, help="images to try the network on that all bundles share")
    parser.add_argument("--root", type=Path, help="the bundles' folder; default: the one in use")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    bundle, dataset = load_bundle(options.bundle, options.root), FracAtlas(find_fracatlas())
    split = project_split(dataset, audit(dataset))
    fitted = fit_usual_ranges([dataset.path(i) for i in split.train], Predictor(bundle).scorer.fit)
    print(bundle.version)
    if fitted:
        print(f"  of {fitted.films} training films {fitted.limbs:.1%} are called limb radiographs")
    if options.outsiders:
        print_by_kind(options.outsiders)
    if options.write:
        root = bundle.folder.parent
        with tempfile.TemporaryDirectory(prefix=".refit-", dir=root) as temporary:
            folder = Path(temporary) / bundle.name
            refit(bundle, dataset, split, fitted, folder)
            install(folder, bundle.name, root)
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
